"""Read the trail as plain rows, whatever is in the table.

Past the models on purpose: somebody may have written what no model could load, and a verifier has to go on.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Max

from installations.audit import time_text
from installations.audit_chain import (
    COLUMNS,
    START,
    Link,
    Signature,
    Statement,
    check_signature,
    read_json,
    row_hash,
)
from installations.audit_models import AuditCheckpoint, AuditEvent, AuditHead
from installations.keys import KeyRing

BATCH: Final = 1000
_BEFORE_ALL: Final = -(2**63)
_NAMES: Final = ("id", *COLUMNS)
# SQLite's columns take anything. As expressions they come as they are: no converter of Django's fails on them.
_AS_IT_IS: Final = "CASE typeof({0}) WHEN 'blob' THEN quote({0}) ELSE {0} END"


def rows(*, after: int | None = None, to: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield every event in the order of its number, as it is hashed and exported, with its id.

    In batches, each a short statement: memory does not grow with the trail and nobody waits for a long reader. `after`
    None begins before everything that could be there.
    """
    at = (_BEFORE_ALL, _BEFORE_ALL) if after is None else (after, 2**63 - 1)
    upper, values = ("", []) if to is None else (" AND sequence <= %s", [to])
    # By both columns: a number that somebody managed to write twice must not be skipped between two batches.
    on_sqlite = connection.vendor == "sqlite"
    wanted = ", ".join(_AS_IT_IS.format(name) if on_sqlite else name for name in _NAMES)
    select = f"SELECT {wanted} FROM installations_auditevent"  # noqa: S608 - names of ours
    sql = f"{select} WHERE sequence >= %s AND (sequence, id) > (%s, %s){upper} ORDER BY sequence, id LIMIT {BATCH}"
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql, [at[0], *at, *values])
            found = cursor.fetchall()
        for values_of_row in found:
            yield _plain_row(values_of_row)
        if len(found) < BATCH:
            return
        at = (found[-1][1], found[-1][0])


def head() -> Link | None:
    """Return where the chain is said to end; None when nothing says so."""
    row = AuditHead.objects.filter(id=AuditHead.ONLY).values_list("sequence", "hash").first()
    return Link(*row) if row else None


def hash_at(sequence: int) -> str | None:
    """Return the hash of the event with this number, or of the checkpoint that stands for it; None: not there."""
    found = AuditEvent.objects.filter(sequence=sequence).values_list("hash", flat=True).first()
    if found is None:
        found = AuditCheckpoint.objects.filter(sequence=sequence).values_list("hash", flat=True).first()
    return found


def start() -> Link:
    """Return what the chain goes on from: the newest checkpoint, else nothing."""
    row = AuditCheckpoint.objects.order_by("-sequence").values_list("sequence", "hash").first()
    return Link(*row) if row else START


def checkpoint_signature(ring: KeyRing) -> Signature:
    """Return whether the newest checkpoint, if there is one, is signed by us."""
    row = AuditCheckpoint.objects.order_by("-sequence").first()
    if row is None:
        return Signature.GOOD
    return check_signature(Statement.CHECKPOINT, checkpoint_fields(row) | {"mac": row.mac}, ring)


def checkpoint_fields(row: AuditCheckpoint) -> dict[str, Any]:
    """Return what the signature of a checkpoint covers."""
    return {
        "sequence": row.sequence,
        "hash": row.hash,
        "after": row.after,
        "events": row.events,
        "made_at": time_text(row.made_at),
        "key_id": row.key_id,
    }


def newest_number() -> int | None:
    """Return the number of the last event that is there; None: there is none."""
    last: int | None = AuditEvent.objects.aggregate(last=Max("sequence"))["last"]
    return last


def newest_genuine(verbs: tuple[str, ...], ring: KeyRing, **narrowed: str) -> AuditEvent | None:
    """Return the newest event of one of these verbs whose hash is right; one that was written in is passed over."""
    for event in AuditEvent.objects.filter(verb__in=verbs, **narrowed).order_by("-sequence")[:10]:
        row = next(rows(after=event.sequence - 1, to=event.sequence), None)
        key = ring.get(event.key_id)
        if row is not None and key is not None and row_hash(row, key) == event.hash:
            return event
    return None


def anything_but(verbs: tuple[str, ...], *, after: int) -> bool:
    """Return whether the trail has other events than these behind a number. Stops at the first."""
    return AuditEvent.objects.filter(sequence__gt=after).exclude(verb__in=verbs).exists()


def _plain_row(values: tuple[Any, ...]) -> dict[str, Any]:
    row = dict(zip(_NAMES, values, strict=True))
    row["occurred_at"] = _time(row["occurred_at"])
    row["details"] = _json(row["details"])
    return {name: _readable(value) for name, value in row.items()}


def _time(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value  # no time: hashed as it is, which was never hashed
    if isinstance(value, datetime):
        return time_text(value if value.tzinfo else value.replace(tzinfo=UTC))
    return value


def _json(value: Any) -> Any:
    try:
        return read_json(value)
    except (TypeError, ValueError):
        return value  # no JSON: hashed as it is, which was never hashed


def _readable(value: Any) -> Any:
    """Return a value that JSON has: an untyped column may hold anything."""
    return value if value is None or isinstance(value, str | int | float | list | dict) else str(value)
