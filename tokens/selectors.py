"""Reads of the upper app. The first one is the hot path and costs one statement."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from django.conf import settings
from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from installations import editions, scopes
from installations.scopes import Approval, Coverage, Level
from tokens import prepared, vault
from tokens.access import Caller
from tokens.models import EmbedSession, OAuthToken, RevokedFingerprint

# Written out instead of built by the ORM: this runs on every call, and compiling it took longer than running it.
# The edition is joined in the middle: PostgreSQL plans one place earlier or later in half as long again.
_CALLER: Final = f"""
SELECT s.id, s.last_used_at, t.id, t.uuid,
       CASE WHEN r.id IS NOT NULL THEN 'revoked' ELSE t.state END, COALESCE(t.revocation_id, r.revocation_id),
       t.generation, t.sealed_access_token,
       i.id, i.status,
       i.locked_at IS NOT NULL OR p.locked_at IS NOT NULL OR a.locked_at IS NOT NULL,
       p.domain, u.id, u.flowlu_user_id, u.locked_at IS NOT NULL,
       a.refreshed_by, t.expires_at, t.sealed_refresh_token IS NOT NULL, t.needs_proof,
       edition.newest, a.allowed_origins,
       ap.code, ap.level, ap.catalogue_entry
  FROM tokens_embedsession s
  JOIN tokens_oauthtoken t ON t.id = s.oauth_token_id
  JOIN installations_installation i ON i.id = t.installation_id
  {editions.JOIN_NEWEST}
  JOIN installations_portal p ON p.id = i.portal_id
  JOIN installations_application a ON a.id = i.application_id
  JOIN installations_portaluser u ON u.id = t.portal_user_id
  LEFT JOIN tokens_revokedfingerprint r ON r.fingerprint = t.access_fingerprint
  LEFT JOIN installations_approvedpermission ap
         ON ap.installation_id = i.id AND ap.withdrawn_at IS NULL
"""  # noqa: S608 - constants only
_OPEN: Final = " AND s.ended_at IS NULL AND s.expires_at > %s AND s.last_used_at > %s"
_BY_TOKEN: Final = _CALLER + " WHERE s.token_hash = %s" + _OPEN
_BY_ID: Final = _CALLER + " WHERE s.id = %s" + _OPEN


def hash_session_token(session_token: str) -> str:
    """Return the form in which a session token is stored and looked up."""
    return sha256(session_token.encode("utf-8", "surrogatepass")).hexdigest()


def caller_of(session_token: str) -> Caller | None:
    """Return who holds a session token and all that decides their calls; None when the session is not open.

    One statement: one row for each approved permission, or a single one when nothing is approved. One more for the
    first caller of a process after the catalogue was edited.
    """
    return _caller(_BY_TOKEN, hash_session_token(session_token))


def caller_of_session(session_id: int) -> Caller | None:
    """Return what `caller_of` would return to the session's holder. The same statement with another key.

    For proving that a cut holds, where nobody but the holder knows the session token, and for reading the caller again
    within their own request. Never for an id that a request names.
    """
    return _caller(_BY_ID, session_id)


def _caller(statement: str, key: str | int) -> Caller | None:
    now = timezone.now()
    idle_since = now - timedelta(seconds=settings.EMBED_SESSION_IDLE)
    rows = prepared.rows_of(statement, [key, now, idle_since])
    if not rows:
        return None
    first = rows[0]
    return Caller(
        session_id=first[0],
        session_used_seconds_ago=(now - as_utc(first[1])).total_seconds(),
        token_id=first[2],
        token_uuid=str(uuid.UUID(str(first[3]))),
        token_state=first[4],
        revocation_id=first[5],
        token_generation=first[6],
        sealed_access_token=None if first[7] is None else bytes(first[7]),
        installation_id=first[8],
        installation_status=first[9],
        installation_locked=bool(first[10]),
        portal=first[11],
        portal_user_id=first[12],
        flowlu_user_id=first[13],
        user_locked=bool(first[14]),
        refreshed_by=first[15],
        token_expires_at=None if first[16] is None else as_utc(first[16]),
        has_refresh_token=bool(first[17]),
        token_needs_proof=bool(first[18]),
        catalogue=editions.at(first[19]),
        approvals=[approval_of(*row[21:]) for row in rows if row[21] is not None],
        allowed_origins=_origins(first[20]),
    )


def _origins(stored: Any) -> frozenset[str]:
    found = json.loads(stored) if isinstance(stored, str | bytes) else stored
    return frozenset(origin for origin in found if isinstance(origin, str)) if isinstance(found, list) else frozenset()


def approval_of(code: str, level: str, entry: Any) -> Approval:
    """Read one approved permission of a written statement."""
    covers = _covers_of(entry) if isinstance(entry, str | bytes) else _covers_in(entry)
    return Approval(code, Level(level), covers)


@lru_cache(maxsize=4096)  # a catalogue has some hundred entries; what one covers depends on its text alone
def _covers_of(entry: str | bytes) -> tuple[Coverage, ...]:
    try:
        return _covers_in(json.loads(entry))
    except ValueError:
        return ()


def _covers_in(entry: Any) -> tuple[Coverage, ...]:
    try:
        return scopes.from_json(entry["covers"])
    except (ValueError, KeyError, TypeError):
        return ()  # a damaged row grants nothing, and takes no other scope down with it


def as_utc(value: datetime) -> datetime:
    """Return a time from a written statement with its zone."""
    # SQLite keeps UTC without saying so; only the ORM would add the zone.
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def session_of(caller: Caller) -> EmbedSession:
    """Return the caller's session with token, user, installation, portal and application. One statement."""
    return EmbedSession.objects.select_related(
        "oauth_token__portal_user",
        "oauth_token__installation__portal",
        "oauth_token__installation__application",
    ).get(pk=caller.session_id)


def is_revoked(*secrets: str | None) -> bool:
    """Return whether any of the secrets is on the deny list. One statement."""
    return RevokedFingerprint.objects.filter(fingerprint__in=vault.digests_of(*secrets)).exists()


def tokens_with_sessions(tokens: QuerySet[OAuthToken]) -> QuerySet[OAuthToken]:
    """Return tokens with their people, places and number of open sessions, the live ones first. One statement.

    The sealed columns stay in the database.
    """
    # For each token that is shown: joined, the sessions of all would be counted first.
    is_open = Q(ended_at__isnull=True, expires_at__gt=timezone.now())
    opened = EmbedSession.objects.filter(is_open, oauth_token=OuterRef("pk")).order_by().values("oauth_token")
    counted = Coalesce(Subquery(opened.annotate(rows=Count("pk")).values("rows")), 0)
    return (
        tokens.select_related("portal_user__portal", "installation__portal", "installation__application")
        .defer("sealed_access_token", "sealed_refresh_token")
        .annotate(
            open_sessions=Case(When(state=OAuthToken.State.REVOKED, then=0), default=counted),
            is_revoked=Case(When(state=OAuthToken.State.REVOKED, then=1), default=0),
            has_refresh_token=Q(sealed_refresh_token__isnull=False),
        )
        .order_by("is_revoked", "-stored_at", "-pk")
    )
