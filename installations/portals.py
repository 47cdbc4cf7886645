"""Portal names: the one place that decides which host a call may go to.

Anybody can name a portal, so the name is matched whole against what is allowed and never repaired.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from installations.errors import PortalNotAllowed

MAX_PORTAL_LENGTH = 253

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_HOST = re.compile(r"[a-z0-9_.-]{1,253}")


def normalise_portal(text: str, suffixes: Sequence[str]) -> str:
    """Return the portal's host in lower case: one label and one of the allowed suffixes.

    Nothing is trimmed. Text outside ASCII is refused before it is lower-cased, because lower-casing turns
    some of it into ASCII (the Kelvin sign becomes k). Raises PortalNotAllowed, whose context says why.
    """
    if not text or len(text) > MAX_PORTAL_LENGTH:
        raise _refused("length")
    if not text.isascii():
        raise _refused("not_ascii")
    host = text.lower()
    for suffix in suffixes:
        ending = "." + suffix.lower().removeprefix(".")
        if ending == "." or not host.endswith(ending):
            continue
        if not _LABEL.fullmatch(host.removesuffix(ending)):
            raise _refused("label")
        if host.rpartition(".")[2].isdigit():
            raise _refused("ip_address")
        return host
    raise _refused("suffix")


def portal_base_url(portal: str, template: str) -> str:
    """Put a normalised portal into FLOWLU_PORTAL_URL; the result has no slash at its end."""
    if not _HOST.fullmatch(portal):
        raise _refused("host")
    return template.replace("{portal}", portal).rstrip("/")


def portal_origin(portal: str, template: str) -> str:
    """Return scheme, host and port of a portal, as a content security policy names it."""
    parts = urlsplit(portal_base_url(portal, template))
    if parts.scheme not in ("https", "http") or not parts.netloc or "@" in parts.netloc:
        raise ValueError("FLOWLU_PORTAL_URL must be an http or https address without user information")
    return f"{parts.scheme}://{parts.netloc}"


def _refused(reason: str) -> PortalNotAllowed:
    return PortalNotAllowed(reason=reason)
