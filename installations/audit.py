"""Append to the audit trail, inside the transaction of the act itself.

Each event carries the keyed hash of all its columns and of the event before it (HMAC-SHA256 under AUDIT_KEY),
so that an edit, a deletion or an insertion by somebody without the key shows. The head is locked last: every
verb takes its own row locks before it appends, so that two verbs never wait for each other in a circle.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from installations.actors import Actor
from installations.audit_chain import row_hash
from installations.audit_models import AuditEvent, AuditHead, fields_covered
from installations.keys import Key, KeyRing, parse_key_ring


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
    key = audit_keys().newest
    head = locked_head()
    now = timezone.now()
    rows = []
    for event in events:
        row = AuditEvent(
            id=head.sequence + 1,
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


def locked_head() -> AuditHead:
    """Return the head, locked until the transaction ends: nobody appends meanwhile. The last of all locks."""
    AuditHead.objects.get_or_create(id=AuditHead.ONLY)
    return AuditHead.objects.select_for_update(no_key=True).get(id=AuditHead.ONLY)


def audit_keys() -> KeyRing:
    """Return the keys of the trail: the newest for new events, all for verifying."""
    return parse_key_ring(settings.AUDIT_KEY)


def event_hash(event: AuditEvent, key: Key) -> str:
    """Return the hex HMAC of every column of the event, previous hash included."""
    return row_hash({name: plain(value) for name, value in fields_covered(event)}, key)


def plain(value: Any) -> Any:
    """Return a column's value as it is hashed and exported."""
    return time_text(value) if isinstance(value, datetime) else value


def time_text(moment: datetime) -> str:
    """Return a time with its microseconds always written out: both databases give back the text that was hashed."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
