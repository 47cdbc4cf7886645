"""Verbs about keys: remember which are in use, and write what lies under an old one anew under the newest."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction

from installations import audit
from installations.actors import Actor, clean_reason
from installations.keys import KeyRingError
from tokens import key_report
from tokens.key_report import Ring
from tokens.models import KeyRecord
from tokens.sealed_models import registered
from tokens.sealed_rows import LeftAlone, Rings, rings

BATCH = 5_000
# Rows that somebody else held are looked at again so often, with a pause in between.
_PASSES = 5
_PAUSE_SECONDS = 0.3


def record_keys() -> int:
    """Record each key of the rings that rows lie under, once it is proven to be theirs. Returns how many were new.

    Not on the way of a call: after a migration, and by the commands that have to do with keys. Idempotent; no act of
    anybody, so it needs no permission and leaves no audit event.
    """
    made = 0
    for ring in Ring.values:
        held = key_report.ring_of(ring)
        for key_id in key_report.keys_needed(ring):
            key = held.get(key_id)
            if key is None or key_report.proves(ring, key_id) is not True:
                continue
            _record, is_new = KeyRecord.objects.get_or_create(ring=ring, key_id=key_id, fingerprint=key.fingerprint)
            made += is_new
    return made


def record_keys_after_migrate(using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Record the keys after `migrate`; quietly, where there is no usable ring or no table for them yet."""
    if using != DEFAULT_DB_ALIAS or KeyRecord._meta.db_table not in connection.introspection.table_names():
        return
    try:
        record_keys()
    except KeyRingError:
        return


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What a run did. It is complete when nothing is left to do, whoever did it."""

    rewrapped: int
    left_alone: int
    remaining: int

    @property
    def is_complete(self) -> bool:
        return not (self.remaining or self.left_alone)


def rows_to_rewrap() -> int:
    """Return how many rows a run would have to do now. Reads all sealed rows."""
    return sum(key_report.outdated(rings()).values())


def rewrap_tokens(
    *,
    actor: Actor,
    reason: str,
    batch_size: int = BATCH,
    dry_run: bool = False,
    on_progress: Callable[[int], None] = lambda _rows: None,
    on_left_alone: Callable[[LeftAlone], None] = lambda _row: None,
) -> Rewrapped:
    """Write every sealed value and fingerprint that is under an old key anew under the newest.

    Each batch is a transaction of its own, and what is done is told from the rows themselves: a run that is stopped at
    any point leaves every row readable, and the next one goes on where it ended. A row is written only if it is still
    the one that was read, so that whoever changes or wipes it beside the run wins. One that does not unseal is told to
    `on_left_alone` and left alone. Two audit events, before the first and after the last batch; none when there was
    nothing to do. `dry_run` unseals everything and writes nothing.

    Raises NotPermitted, ReasonRequired.
    """
    actor.require("tokens.rewrap_tokens")
    why = clean_reason(reason)
    keys = rings()
    found = key_report.outdated(keys)
    if not found:
        return Rewrapped(0, 0, 0)
    if not dry_run:
        record_keys()
        _note(actor, why, "keys.rewrap_started", keys, {"rows": found})
    done = left_alone = 0
    for number in range(_PASSES):
        left_alone = passed_over = 0
        for rows in registered():
            after = None
            while True:
                batch = rows.rewrap(keys, after=after, size=batch_size, dry_run=dry_run)
                if batch.last is None:
                    break
                after = batch.last
                done += batch.rewrapped
                passed_over += batch.passed_over
                left_alone += len(batch.left_alone)
                on_progress(batch.rewrapped)
                if number == 0:
                    for row in batch.left_alone:
                        on_left_alone(row)
        if not passed_over:
            break
        time.sleep(_PAUSE_SECONDS)
    remaining = sum(key_report.outdated(keys).values())
    if not dry_run:
        record_keys()
        counts = {"rewrapped": done, "left_alone": left_alone, "remaining": remaining}
        _note(actor, why, "keys.rewrap_finished", keys, counts)
    return Rewrapped(done, left_alone, remaining)


def _note(actor: Actor, reason: str, verb: str, keys: Rings, details: Mapping[str, object]) -> None:
    under = {"seal_key": keys.seal.newest.id, "fingerprint_key": keys.fingerprint.newest.id}
    with transaction.atomic(durable=True):
        audit.append(actor, audit.Event(verb, "key", keys.seal.newest.id, reason=reason, details={**under, **details}))
