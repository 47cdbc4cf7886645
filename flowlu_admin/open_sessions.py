"""Which sessions of an operator are open, since when and from where, as their sealed content says.

A session is named by a handle: a hash of the hash under which it is stored, which signs nobody in.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from flowlu_admin.browsers import browser_of
from flowlu_admin.sessions import MARK, SessionStore, stored_key

SEEN_EVERY_SECONDS: Final = 600  # so coarse is "last seen": a session is not written with every page


@dataclass(frozen=True, slots=True)
class OpenSession:
    handle: str
    began_at: datetime | None  # None of one from before this was noted
    seen_at: datetime | None
    address: str
    browser: str
    row_key: str


def connect() -> None:
    """Note of every session from now on how it began."""
    user_logged_in.connect(_began, dispatch_uid="flowlu_admin.session_began")


def note_seen(request: HttpRequest) -> None:
    """Note that a session is in use and from where, where the last note is older than SEEN_EVERY_SECONDS."""
    mark = request.session.get(MARK) or {}
    now = timezone.now().timestamp()
    if now - mark.get("seen", 0) >= SEEN_EVERY_SECONDS:
        request.session[MARK] = {"began": mark.get("began"), **_now(request, now)}


def open_sessions(user_id: int) -> list[OpenSession]:
    """Return the sessions in which an operator is signed in, the newest use first. Reads all: operators are few."""
    store = SessionStore()
    rows = Session.objects.filter(expire_date__gt=timezone.now())
    found = [(row.pk, store.decode_at(row.pk, row.session_data)) for row in rows]
    theirs = [_described(key, content) for key, content in found if content.get(SESSION_KEY) == str(user_id)]
    return sorted(theirs, key=lambda each: (each.seen_at is None, -_seconds(each.seen_at), each.handle))


def handle_of(session_key: str | None) -> str:
    """Return the handle of the session whose cookie has this value."""
    return _handle(stored_key(session_key or ""))


def _began(request: HttpRequest, **_more: Any) -> None:
    now = timezone.now().timestamp()
    request.session[MARK] = {"began": now, **_now(request, now)}


def _now(request: HttpRequest, now: float) -> dict[str, Any]:
    # TrustedProxyMiddleware has settled the address.
    address, agent = (request.META.get(name) or "" for name in ("REMOTE_ADDR", "HTTP_USER_AGENT"))
    return {"seen": now, "address": address, "browser": browser_of(agent)}


def _described(row_key: str, content: dict[str, Any]) -> OpenSession:
    mark = content.get(MARK) or {}
    began, seen = (_moment(mark.get(name)) for name in ("began", "seen"))
    return OpenSession(_handle(row_key), began, seen, mark.get("address", ""), mark.get("browser", ""), row_key)


def _handle(row_key: str) -> str:
    return sha256(f"handle of {row_key}".encode()).hexdigest()[:20]


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime | None) -> float:
    return 0 if moment is None else moment.timestamp()
