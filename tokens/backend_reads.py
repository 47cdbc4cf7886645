"""Reads for backend use. The first one decides every call and costs one statement."""

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from installations import editions
from tokens import prepared, selectors
from tokens.backend_access import ActAs, BackendCall, PurposeFacts, SystemKey, UserToken, read_named
from tokens.models import ApiKey, Purpose

KEY_PREFIX: Final = "fls_"
KEY_BYTES: Final = 32
_KEY: Final = re.compile(r"fls_[A-Za-z0-9_-]{43}")

# One row for each approved permission and API key that could be used; a single one when there is neither. Every part
# is looked up by itself, so that what is missing is known by name and not only that something is.
_DECISION: Final = f"""
SELECT p.id, p.acts_as, p.scopes, p.enabled, p.expires_at,
       cp.id IS NOT NULL, ca.id IS NOT NULL, co.id IS NOT NULL,
       i.id, i.status, i.locked_at IS NOT NULL OR o.locked_at IS NOT NULL OR a.locked_at IS NOT NULL,
       u.id, u.locked_at IS NOT NULL,
       EXISTS (SELECT 1 FROM tokens_oauthtoken x WHERE x.installation_id = i.id AND x.portal_user_id = u.id),
       EXISTS (SELECT 1 FROM tokens_oauthtoken x
                WHERE x.installation_id = i.id AND x.portal_user_id = u.id AND x.state = 'stale'),
       t.id, t.uuid, t.generation, t.sealed_access_token, t.state, t.needs_proof, t.expires_at,
       t.sealed_refresh_token IS NOT NULL, a.refreshed_by,
       k.id, k.uuid, k.scopes, k.sealed_key, a.allowed_portals,
       ap.id, ap.code, ap.level, ap.catalogue_entry,
       EXISTS (SELECT 1 FROM tokens_serviceclient sc
                WHERE sc.id = %(client)s AND sc.enabled AND sc.key_hash = %(key_hash)s),
       p.covers, k.covers, edition.newest
  FROM (SELECT 1 AS one) AS asked
  {editions.JOIN_NEWEST}
  LEFT JOIN tokens_purpose p ON p.code = %(purpose)s
  LEFT JOIN tokens_serviceclient_purposes cp ON cp.purpose_id = p.id AND cp.serviceclient_id = %(client)s
  LEFT JOIN installations_application a ON a.app_id = %(app_id)s
  LEFT JOIN tokens_serviceclient_applications ca ON ca.application_id = a.id AND ca.serviceclient_id = %(client)s
  LEFT JOIN installations_portal o ON o.domain = %(portal)s
  LEFT JOIN tokens_serviceclient_portals co ON co.portal_id = o.id AND co.serviceclient_id = %(client)s
  LEFT JOIN installations_installation i
         ON i.portal_id = o.id AND i.application_id = a.id AND i.status <> 'uninstalled'
  LEFT JOIN installations_portaluser u ON u.portal_id = o.id AND u.flowlu_user_id = %(user)s
  LEFT JOIN tokens_oauthtoken t ON t.id = (
            SELECT n.id FROM tokens_oauthtoken n
             WHERE n.installation_id = i.id AND n.portal_user_id = u.id
               AND (n.state = 'active' OR (n.state = 'stale' AND a.refreshed_by = 'server'
                                           AND (n.needs_proof OR n.sealed_refresh_token IS NOT NULL)))
               AND NOT EXISTS (SELECT 1 FROM tokens_revokedfingerprint r WHERE r.fingerprint = n.access_fingerprint)
             ORDER BY n.state, n.stored_at DESC, n.id DESC LIMIT 1)
  LEFT JOIN tokens_apikey k
         ON k.installation_id = i.id AND k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > %(now)s)
        AND %(kind)s = 'system'
        AND EXISTS (SELECT 1 FROM tokens_apikey_purposes kp WHERE kp.apikey_id = k.id AND kp.purpose_id = p.id)
  LEFT JOIN installations_approvedpermission ap ON ap.installation_id = i.id AND ap.withdrawn_at IS NULL
"""  # noqa: S608 - constants only
_CLIENT: Final = "SELECT c.id, c.last_used_at FROM tokens_serviceclient c WHERE c.key_hash = %s AND c.enabled"


@dataclass(frozen=True, slots=True)
class Client:
    """A service client that is switched on, found by its key."""

    id: int
    last_used_at: datetime | None
    key_hash: str = field(repr=False)  # of the key that it came with


def hash_service_key(key: str) -> str:
    """Return the form in which a service key is stored and looked up."""
    return sha256(key.encode("ascii")).hexdigest()


def client_of(key: str) -> Client | None:
    """Return the service client that is switched on and holds this key. One statement, none for what is no key."""
    if not _KEY.fullmatch(key):
        return None
    key_hash = hash_service_key(key)
    rows = prepared.rows_of(_CLIENT, [key_hash])
    return Client(rows[0][0], selectors.as_utc(rows[0][1]) if rows[0][1] else None, key_hash) if rows else None


def decision_of(act_as: ActAs, purpose: str, client: Client | None) -> BackendCall:
    """Return all that decides a call of a client, or of code of this project. One statement, and one more for the first
    decision of a process after the catalogue was edited.

    What does not exist is None in it. A client whose key was replaced since it came in counts as switched off.
    """
    now = timezone.now()
    client_id = client.id if client else None
    values = {
        "purpose": purpose,
        "client": client_id,
        "key_hash": client.key_hash if client else None,
        "app_id": act_as.app_id,
        "portal": act_as.portal,
        "user": act_as.user_id,
        "kind": act_as.kind,
        "now": now,
    }
    rows = prepared.rows_of(_DECISION, values)
    first = rows[0]
    keys = {row[24]: row for row in rows if row[24] is not None}
    approvals = {row[29]: row for row in rows if row[29] is not None}
    return BackendCall(
        act_as=act_as,
        client_id=client_id,
        client_enabled=client is None or bool(first[33]),
        purpose=None if first[0] is None else _purpose(first, now),
        purpose_allowed=client_id is None or bool(first[5]),
        application_allowed=client_id is None or bool(first[6]),
        portal_allowed=client_id is None or bool(first[7]),
        application_takes_portal=_takes(_json(first[28]), act_as.portal),
        installation_id=first[8],
        installation_status=first[9] or "",
        installation_locked=bool(first[10]),
        portal_user_id=first[11],
        user_locked=bool(first[12]),
        user_known_here=bool(first[13]),
        has_stale_token=bool(first[14]),
        token=None if first[15] is None else _token(act_as.portal, first[15:24]),
        keys=[
            SystemKey(row[24], _uuid(row[25]), read_named(_json(row[26]), _json(row[35])), bytes(row[27]))
            for row in keys.values()
        ],
        approvals=[selectors.approval_of(*row[30:33]) for row in approvals.values()],
        catalogue=editions.at(first[36]),
    )


def _token(portal: str, row: Sequence[Any]) -> UserToken:
    pk, uuid_, generation, sealed, state, needs_proof, expires_at, has_refresh_token, refreshed_by = row
    return UserToken(
        portal,
        pk,
        _uuid(uuid_),
        generation,
        state,
        bool(needs_proof),
        selectors.as_utc(expires_at) if expires_at is not None else None,
        bool(has_refresh_token),
        refreshed_by,
        None if sealed is None else bytes(sealed),
    )


def _purpose(row: Sequence[Any], now: datetime) -> PurposeFacts:
    expired = row[4] is not None and selectors.as_utc(row[4]) <= now
    return PurposeFacts(row[0], row[1], read_named(_json(row[2]), _json(row[34])), bool(row[3]), expired)


def _takes(allowed_portals: Any, portal: str) -> bool:
    """Say whether an application may be used on a portal: on any, where none is named."""
    return not allowed_portals or portal in allowed_portals


def _uuid(value: Any) -> str:
    return str(uuid.UUID(str(value)))


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value  # the databases take nothing but JSON


def replaced_and_alive(api_key: ApiKey) -> list[ApiKey]:
    """Return the keys whose place this one took, directly or not, and which work on for a while. A statement for each
    that was replaced, and there are few."""
    found: list[ApiKey] = []
    row: ApiKey | None = api_key
    while row is not None:
        row = ApiKey.objects.defer("sealed_key").filter(replaced_by=row.pk).first()
        if row is not None and row.state == ApiKey.State.ACTIVE:
            found.append(row)
    return found


def purposes_by_code(codes: Sequence[str]) -> dict[str, Purpose]:
    return {row.code: row for row in Purpose.objects.filter(code__in=codes)}


def any_purpose_acts_as_users() -> bool:
    """Return whether some purpose that is on acts as users: else a pair without a session is of no use to anybody.

    One statement.
    """
    on = Purpose.objects.filter(enabled=True, acts_as=Purpose.ActsAs.USER)
    return on.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())).exists()
