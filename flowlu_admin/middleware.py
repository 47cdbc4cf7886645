"""Middleware: believe a proxy only when it is ours, and let nothing be cached."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from flowlu_admin.network import client_address, is_trusted

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED")

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


class NoStoreMiddleware:
    """No answer of this service may stay in a browser's or a proxy's cache; static files are served before it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers["Cache-Control"] = "no-store"
        return response
