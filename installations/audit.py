"""Append to the audit trail, inside the transaction of the act itself.

Each event carries the keyed hash of all its columns and of the event before it (HMAC-SHA256 under AUDIT_KEY),
so that an edit, a deletion or an insertion by somebody without the key shows. The head is locked last: every
verb takes its own row locks before it appends, so that two verbs never wait for each other in a circle.
"""

import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from installations.actors import Actor
from installations.audit_models import AuditEvent, AuditHead, fields_covered
from installations.keys import Key, parse_key_ring


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to record. `details` holds ids, states and counts: never a secret, never a person's name."""

    verb: str
    target_kind: str
    target_id: str
    installation_id: int | None = None
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def append(actor: Actor, *events: Event) -> None:
    """Append `events` in order to the chain; call it last in the transaction that makes them true.

    Raises RuntimeError outside a transaction: an event must never be recorded for what is rolled back.
    Costs four statements, whatever the number of events.
    """
    if not events:
        return
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An audit event belongs into the transaction of the act it records.")
    key = parse_key_ring(settings.AUDIT_KEY).newest
    AuditHead.objects.get_or_create(id=AuditHead.ONLY)
    head = AuditHead.objects.select_for_update().get(id=AuditHead.ONLY)
    now = timezone.now()
    rows = []
    for event in events:
        row = AuditEvent(
            sequence=head.sequence + 1,
            occurred_at=now,
            actor_kind=str(actor.kind),
            actor_id=actor.id,
            actor_name=actor.name,
            via=str(actor.via),
            verb=event.verb,
            target_kind=event.target_kind,
            target_id=event.target_id,
            installation_id=event.installation_id,
            reason=event.reason,
            details=event.details,
            previous_hash=head.hash,
            key_id=key.id,
        )
        row.hash = event_hash(row, key)
        head.sequence, head.hash = row.sequence, row.hash
        rows.append(row)
    AuditEvent.objects.bulk_create(rows)
    head.save(update_fields=["sequence", "hash"])


def event_hash(event: AuditEvent, key: Key) -> str:
    """Return the hex HMAC of every column of the event, previous hash included."""
    columns = {name: _plain(value) for name, value in fields_covered(event)}
    text = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key.derive("audit"), text.encode("ascii"), sha256).hexdigest()


def _plain(value: Any) -> Any:
    # Microseconds always written out: both databases give the same text back that was hashed.
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value
