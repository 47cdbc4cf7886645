"""The adapter as this deployment is configured: one client per process and per set of settings."""

from functools import lru_cache

from django.conf import settings

from installations.flowlu.client import FlowluClient, Limits
from installations.flowlu.oauth_endpoint import ClientCredentials, EndpointLimits, OAuthEndpoint
from installations.flowlu.wire import Wire, read_error_codes
from installations.portals import portal_base_url


def flowlu_client() -> FlowluClient:
    """Return the process's client. Its connections are pooled and shared by all threads."""
    limits = Limits(
        connect=settings.FLOWLU_CONNECT_SECONDS,
        read=settings.FLOWLU_READ_SECONDS,
        total=settings.FLOWLU_TOTAL_SECONDS,
        at_once=settings.PORTAL_CONCURRENCY,
        failures=settings.PORTAL_FAILURES,
        pause=settings.PORTAL_PAUSE_SECONDS,
    )
    return _client(settings.FLOWLU_PORTAL_URL, settings.FLOWLU_PORTAL_URL_IS_SET, settings.DEBUG, limits, wire())


def wire() -> Wire:
    """Return the open points of the wire, as they are set."""
    return Wire(
        token_header=settings.FLOWLU_TOKEN_HEADER,
        delete_method="POST" if settings.FLOWLU_DELETE_METHOD == "post" else "GET",
        body="json" if settings.FLOWLU_BODY == "json" else "form",
        retry_header=settings.FLOWLU_RETRY_HEADER,
        error_codes=read_error_codes(settings.FLOWLU_ERROR_CODES),
    )


@lru_cache(maxsize=8)
def _client(template: str, is_set: bool, debug: bool, limits: Limits, wire: Wire) -> FlowluClient:
    # Only an address that was set by hand may be private; only a development machine may speak plain http.
    return FlowluClient(
        lambda portal: portal_base_url(portal, template),
        allow_private=is_set,
        allow_http=debug,
        limits=limits,
        wire=wire,
    )


def can_refresh() -> bool:
    """Return whether this deployment knows a token endpoint and who it is there."""
    return bool(settings.FLOWLU_TOKEN_URL and settings.FLOWLU_CLIENT_ID and settings.FLOWLU_CLIENT_SECRET)


def can_revoke_upstream() -> bool:
    """Return whether this deployment knows a revocation endpoint and who it is there."""
    return bool(settings.FLOWLU_REVOCATION_URL and settings.FLOWLU_CLIENT_ID and settings.FLOWLU_CLIENT_SECRET)


def oauth_endpoint() -> OAuthEndpoint:
    """Return the process's client of the token and the revocation endpoint."""
    credentials = ClientCredentials(
        settings.FLOWLU_CLIENT_ID,
        settings.FLOWLU_CLIENT_SECRET,
        "post" if settings.FLOWLU_CLIENT_AUTH == "post" else "basic",
    )
    limits = EndpointLimits(
        connect=min(settings.FLOWLU_CONNECT_SECONDS, settings.OAUTH_TOTAL_SECONDS),
        read=settings.OAUTH_TOTAL_SECONDS,
        total=settings.OAUTH_TOTAL_SECONDS,
    )
    return _endpoint(credentials, settings.FLOWLU_TOKEN_URL, settings.FLOWLU_REVOCATION_URL, settings.DEBUG, limits)


@lru_cache(maxsize=8)
def _endpoint(
    credentials: ClientCredentials, token_url: str, revocation_url: str, debug: bool, limits: EndpointLimits
) -> OAuthEndpoint:
    # Both addresses are set by hand, so they may be private, unless a portal's name becomes part of one.
    return OAuthEndpoint(
        credentials,
        token_url=token_url,
        revocation_url=revocation_url,
        allow_http=debug,
        allow_private=debug or "{portal}" not in token_url + revocation_url,
        limits=limits,
    )
