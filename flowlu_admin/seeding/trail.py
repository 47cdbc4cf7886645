"""The audit trail of the made-up world: events in the order of their times, chained behind what is there."""

import heapq
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final, NamedTuple

from flowlu_admin.seeding.writing import Row, Table
from installations import audit
from installations.actors import Actor
from installations.audit_chain import row_hash

# No act comes later than this after the first sight of its installation: what waits for its turn is a bounded number.
LONGEST: Final = timedelta(days=20)


class Act(NamedTuple):
    """What an event says; the moment comes first, so that acts are ordered by it."""

    at: datetime
    number: int
    actor: Actor
    event: audit.Event


class Trail:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._numbers = count()
        self._waiting: list[Act] = []

    def add(self, at: datetime, actor: Actor, event: audit.Event) -> None:
        heapq.heappush(self._waiting, Act(at, next(self._numbers), actor, event))

    def write_until(self, moment: datetime) -> None:
        """Chain every event up to a moment and write it, in the transaction of the caller.

        The head is held, as by any other act: what somebody appended meanwhile is before it.
        """
        due: list[Act] = []
        while self._waiting and self._waiting[0].at <= moment:
            due.append(heapq.heappop(self._waiting))
        if due:
            self._chain(due)
            self._table.write()

    def _chain(self, acts: Sequence[Act]) -> None:
        key, head = audit.audit_keys().newest, audit.locked_head()
        for act in acts:
            row = _row(act, head.sequence + 1, head.hash, key.id)
            row["hash"] = row_hash({**row, "occurred_at": audit.time_text(act.at)}, key)
            head.sequence, head.hash = row["sequence"], row["hash"]
            self._table.add({"id": head.sequence, **row})
        head.save(update_fields=["sequence", "hash"])


def _row(act: Act, sequence: int, previous_hash: str, key_id: str) -> Row:
    actor, event = act.actor, act.event
    columns: dict[str, Any] = {
        "sequence": sequence,
        "occurred_at": act.at,
        "actor_kind": str(actor.kind),
        "actor_id": actor.id,
        "actor_name": actor.name,
        "via": str(actor.via),
        "verb": event.verb,
        "target_kind": event.target_kind,
        "target_id": event.target_id,
        "installation_id": event.installation_id,
        "reason": event.reason,
        "details": event.details,
        "previous_hash": previous_hash,
        "key_id": key_id,
    }
    return columns
