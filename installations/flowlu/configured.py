"""The adapter as this deployment is configured: one client per process and per set of settings."""

from functools import lru_cache

from django.conf import settings

from installations.flowlu.client import FlowluClient, Limits
from installations.portals import portal_base_url


def flowlu_client() -> FlowluClient:
    """Return the process's client. Its connections are pooled and shared by all threads."""
    limits = Limits(
        connect=settings.FLOWLU_CONNECT_SECONDS,
        read=settings.FLOWLU_READ_SECONDS,
        total=settings.FLOWLU_TOTAL_SECONDS,
        at_once=settings.PORTAL_CONCURRENCY,
    )
    return _client(settings.FLOWLU_PORTAL_URL, settings.FLOWLU_PORTAL_URL_IS_SET, settings.DEBUG, limits)


@lru_cache(maxsize=8)
def _client(template: str, is_set: bool, debug: bool, limits: Limits) -> FlowluClient:
    # Only an address that was set by hand may be private; only a development machine may speak plain http.
    return FlowluClient(
        lambda portal: portal_base_url(portal, template), allow_private=is_set, allow_http=debug, limits=limits
    )
