"""Operators' sign-in sessions, of which a database dump gives nothing usable.

The cookie's value is looked up by its hash and the content is sealed for its row: it may hold the seed of a second
factor while that is being set up. Named by `SESSION_ENGINE`.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from allauth.account.internal.flows.password_reset_by_code import PASSWORD_RESET_VERIFICATION_SESSION_KEY
from allauth.account.internal.stagekit import LOGIN_SESSION_KEY
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.http import int_to_base36

from tokens import vault
from tokens.errors import UnsealFailed
from tokens.sealing import Context, seal, unseal

# As long as Django's column: 160 bits of the hash of a value that has more.
_KEY_LENGTH = 40
# How long a session is kept in which nobody is signed in: on the way to it, or on the way to another password.
# Strangers can begin as many as they like, and to end somebody's sessions all are read.
_NOBODYS = timedelta(minutes=30)
# Under this name a session says since when, and from where, somebody is signed in: `open_sessions` writes it.
MARK: Final = "operator_session"


def stored_key(session_key: str) -> str:
    """Return the form in which a session key is stored."""
    return sha256(session_key.encode()).hexdigest()[:_KEY_LENGTH]


def context_of(row_key: str) -> Context:
    """Return where the content of the session lies that is stored under this key."""
    return Context("sessions.Session", row_key, "session_data")


class SessionStore(DatabaseSessionStore):
    """Django's database sessions with a hashed key and sealed content."""

    def encode(self, session_dict: dict[str, Any]) -> str:
        context = context_of(stored_key(self.session_key or ""))
        return base64.b64encode(seal(super().encode(session_dict), context, vault.token_keys())).decode("ascii")

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Return the content, or nothing for what does not unseal: its holder has to sign in again."""
        return self.decode_at(stored_key(self.session_key or ""), session_data)

    def decode_at(self, row_key: str, session_data: bytes | str) -> dict[str, Any]:
        """Return the content of the row that is stored under this key, as `decode` does."""
        try:
            plain = unseal(base64.b64decode(session_data, validate=True), context_of(row_key), vault.token_keys())
        except (UnsealFailed, binascii.Error, ValueError):
            return {}
        decoded: dict[str, Any] = super().decode(plain)
        return decoded

    def exists(self, session_key: str) -> bool:
        return super().exists(stored_key(session_key))

    def delete(self, session_key: str | None = None) -> None:
        session_key = session_key or self.session_key
        if session_key is not None:
            super().delete(stored_key(session_key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = stored_key(row.session_key)
        if SESSION_KEY not in data:
            row.expire_date = min(row.expire_date, timezone.now() + _NOBODYS)
        elif began := (data.get(MARK) or {}).get("began"):
            # Django counts from the last change, and what is in use is changed: it would go on for good.
            ends = datetime.fromtimestamp(began, UTC) + timedelta(seconds=self.get_session_cookie_age())
            row.expire_date = min(row.expire_date, ends)
        return row

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        key = self.session_key
        rows = self.model.objects.filter(session_key=stored_key(key), expire_date__gt=timezone.now()) if key else None
        row: AbstractBaseSession | None = rows.first() if rows is not None else None
        if row is None:
            self._session_key = None
        return row


def end_other_sessions(user_id: int, session_key: str | None) -> int:
    """End every open session of an operator but the one of this key; returns how many. Reads all: operators are few.

    One that waits for the second factor, after the password, is one of them, and one that asked for another password.
    """
    store = SessionStore()
    open_now = Session.objects.filter(expire_date__gt=timezone.now())
    others = open_now.exclude(session_key=stored_key(session_key or ""))
    theirs = [row.pk for row in others if _is_of(store.decode_at(row.pk, row.session_data), user_id)]
    return Session.objects.filter(pk__in=theirs).delete()[0]


def _is_of(content: dict[str, Any], user_id: int) -> bool:
    """Return whether somebody is signed in with a session, or on the way to it, which allauth writes in base 36."""
    on_the_way = (content.get(LOGIN_SESSION_KEY) or {}).get("user_pk")
    resetting = (content.get(PASSWORD_RESET_VERIFICATION_SESSION_KEY) or {}).get("user_id")
    return content.get(SESSION_KEY) == str(user_id) or on_the_way == int_to_base36(user_id) or resetting == str(user_id)
