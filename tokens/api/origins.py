"""From where a page calls (docs/adr/0028). Whether the application takes that is `tokens.access.check_origin`.

Only a browser's word counts for something here, and it cannot be made to lie by a page. A program can send any Origin
or none; it gains nothing, since the session token decides who it is.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def foreign_origin(request: HttpRequest) -> str | None:
    """Return the origin of the page that sent the request; None for our own pages, and where no origin is named.

    Our own is what the browser asked for, which ALLOWED_HOSTS guards, and what is set as PUBLIC_URL: a proxy may pass
    on neither the scheme nor the host.
    """
    origin = request.headers.get("Origin")
    if origin is None or origin == f"{request.scheme}://{request.get_host()}".lower() or origin == _public():
        return None
    return origin


def _public() -> str:
    parts = urlsplit(settings.PUBLIC_URL)
    return f"{parts.scheme}://{parts.netloc}".lower()
