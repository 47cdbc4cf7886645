"""Which request is being answered, and for which installation: for log lines, and for whoever asks about an error.

Both are kept with the thread that answers. They open nothing and name nobody.
"""

import re
import secrets
from contextvars import ContextVar

_OURS = re.compile(r"[0-9a-f]{32}")
_request: ContextVar[str] = ContextVar("request_id", default="")
_installation: ContextVar[int | None] = ContextVar("installation_id", default=None)


def begin(given: str = "") -> str:
    """Return the id of the request that begins: the given one, if it is as ours are, else a new one."""
    request_id = given if _OURS.fullmatch(given) else secrets.token_hex(16)
    _request.set(request_id)
    _installation.set(None)
    return request_id


def end() -> None:
    """Forget the request, so that what its thread does next is not taken for a part of it."""
    _request.set("")
    _installation.set(None)


def current() -> str:
    """Return the id of the request that is being answered; empty outside of one."""
    return _request.get()


def note_installation(installation_id: int | None) -> None:
    """Note for which installation the request is; None where that is not known."""
    _installation.set(installation_id)


def installation() -> int | None:
    """Return for which installation the request is, as far as that is known."""
    return _installation.get()
