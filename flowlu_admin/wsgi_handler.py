"""How a request enters: as UTF-8, whatever it calls itself."""

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest


class Utf8Request(WSGIRequest):
    """A request whose query and forms are UTF-8.

    Django believes the charset of a Content-Type and reads the query with it while the request is being made, before
    any handler of errors: a charset that is none for texts, or too many parameters, was an exception in the server.
    """

    @property
    def encoding(self) -> None:
        """None stands for DEFAULT_CHARSET."""
        return None

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        pass


class Utf8Handler(WSGIHandler):
    request_class = Utf8Request
