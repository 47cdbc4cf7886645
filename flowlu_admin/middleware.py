"""Middleware: believe a proxy only when it is ours, give each request an id, let nothing be cached, take no unusual
method at a page, say of what is not there nothing but that, and show operators times in their zone."""

from collections.abc import Callable

from django.conf import settings
from django.core.signals import request_finished
from django.http import Http404, HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import get_resolver
from django.utils import timezone

from flowlu_admin.network import client_address, is_trusted
from flowlu_admin.time_zones import zone_of
from installations import request_ids

_REQUEST_ID = "HTTP_X_REQUEST_ID"
_FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_FORWARDED",
    _REQUEST_ID,
)

PAGE_METHODS = ("GET", "HEAD", "POST")
_APIS = ("/api/", "/service/")
_OPERATORS = ("/admin/", "/accounts/")

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class TrustedProxyMiddleware:
    """Make REMOTE_ADDR the client's address when TRUSTED_PROXIES forwarded it; drop such headers otherwise.

    Everything after it (rate limits, the scheme, the audit trail) may then read them without a second thought.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        trusted = tuple(settings.TRUSTED_PROXIES)
        peer = request.META.get("REMOTE_ADDR", "")
        if trusted and is_trusted(peer, trusted):
            forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
            request.META["REMOTE_ADDR"] = client_address(peer, forwarded, trusted)
        else:
            for name in _FORWARDED:
                request.META.pop(name, None)
        return self.get_response(request)


class RequestIdMiddleware:
    """Give each request an id, which its answer, every line of the log and the body of an error have.

    A trusted proxy may have given it one, which its own log has too. The id is forgotten when the answer is over, past
    the line of gunicorn's log.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        request_finished.connect(_forget_request, dispatch_uid="request-id")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = request_ids.begin(request.META.get(_REQUEST_ID, ""))
        response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        return response


def _forget_request(**_kwargs: object) -> None:
    request_ids.end()


class NoStoreMiddleware:
    """No answer of this service may stay in a browser's or a proxy's cache; static files are served before it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers["Cache-Control"] = "no-store"
        return response


class PageMethodsMiddleware:
    """A page takes GET, HEAD and POST only, whoever asks.

    Django's admin and allauth hand any other method to the view, which takes it for a GET or, as allauth does with
    PUT, for a POST that sends a form. The APIs are left out: they answer by themselves, in their own order.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in PAGE_METHODS and not request.path_info.startswith(_APIS):
            return HttpResponseNotAllowed(PAGE_METHODS)
        return self.get_response(request)


class NotFoundMiddleware:
    """Answer 404 with DEBUG as without it: Django's technical page repeats the whole address, its query included."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if not isinstance(exception, Http404):
            return None
        not_found: Callable[..., HttpResponseBase] = get_resolver().resolve_error_handler(404)
        return not_found(request, exception=exception)


class OperatorZoneMiddleware:
    """Pages of operators have their zone as the current one. What is streamed, as exports are, stays in UTC."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(_OPERATORS):
            return self.get_response(request)
        with timezone.override(zone_of(request)):
            return self.get_response(request)
