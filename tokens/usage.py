"""Count what scopes are used for, per day, without a write in the request.

Calls are counted per process and added to `ScopeUsage` every few seconds by a background thread and at exit, so a
killed worker loses at most the last interval. Where the connection breaks after the statement and before its answer, it
is added again.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone

from installations import liveness
from installations.errors import DomainError, FlowluDenied, InvalidToken, PortalUnreached, RateLimited, TokenStale
from installations.liveness import Kind, refused_early
from installations.models import ScopeUsage
from installations.scopes import Level
from tokens import flushing, observations, upstream_times

_BATCH = 500
# Nothing was sent. A 429 of Flowlu's is the same error as having no place for the call here.
_NOT_SENT = (InvalidToken, RateLimited)

logger = logging.getLogger(__name__)
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Use:
    """What is counted together: one scope, used at one level by one user (None: the system) for one purpose."""

    installation_id: int
    portal_user_id: int | None
    purpose: str  # empty: the embedded frontend
    code: str  # of the approved scope that let the call through
    level: Level  # that the call needed, not the one that is approved


@dataclass(slots=True)
class _Count:
    use: Use
    day: date
    accepted: int
    denied: int
    last_at: datetime

    def add(self, other: "_Count") -> None:
        self.accepted += other.accepted
        self.denied += other.denied
        self.last_at = max(self.last_at, other.last_at)


_ORDER = attrgetter("use.installation_id", "use.portal_user_id", "use.purpose", "use.code", "use.level.value", "day")
_counts: dict[tuple[Use, date], _Count] = {}


@contextmanager
def counted(use: Use, *, expires_at: datetime | None = None) -> Iterator[None]:
    """Count the call to Flowlu inside: accepted when it returns, denied when Flowlu refuses it for this user.

    Any other error counts for neither, since nobody can tell from it whether Flowlu would have allowed the call. What
    the call shows of the installation is noted too, and how long it took; `expires_at` is the token's.
    """
    began = time.monotonic()
    try:
        yield
    except DomainError as error:
        if isinstance(error, PortalUnreached):
            upstream_times.note_not_asked()
        elif not isinstance(error, _NOT_SENT):
            upstream_times.note(time.monotonic() - began)
        if isinstance(error, FlowluDenied):
            _note(use, denied=1)
            _observe(use, Kind.CALL_DENIED)
        elif isinstance(error, TokenStale) and refused_early(expires_at, now=timezone.now()):
            _observe(use, Kind.TOKEN_REFUSED)
        raise
    upstream_times.note(time.monotonic() - began)
    _note(use, accepted=1)
    _observe(use, Kind.CALL_ACCEPTED)


def _observe(use: Use, kind: Kind) -> None:
    # An API key is the portal's: what it is answered says nothing of the application.
    if use.portal_user_id is not None and use.purpose != liveness.PURPOSE:
        observations.note(use.installation_id, kind)


def _note(use: Use, *, accepted: int = 0, denied: int = 0) -> None:
    now = timezone.now()
    with _lock:
        _add(_Count(use, now.astimezone(UTC).date(), accepted, denied, now))
    flushing.keep_flushing(flush)


def _add(count: _Count) -> None:
    known = _counts.setdefault((count.use, count.day), count)
    if known is not count:
        known.add(count)


def flush() -> None:
    """Add what was counted. What cannot be written is kept for the next time."""
    with _lock:
        taken = list(_counts.values())
        _counts.clear()
    # One order for all processes, so that two of them never wait for each other in a circle.
    by_users = sorted((count for count in taken if count.use.portal_user_id is not None), key=_ORDER)
    by_system = sorted((count for count in taken if count.use.portal_user_id is None), key=_ORDER)
    pending = [*_batches(by_users), *_batches(by_system)]
    try:
        while pending:
            _write(pending[0])
            del pending[0]
    except DatabaseError:
        lost = [count for batch in pending for count in batch]
        with _lock:
            for count in lost:
                _add(count)
        logger.warning("The use of %d scopes could not be written; it is tried again.", len(lost))


def forget() -> None:
    """Drop what was counted and is not written yet."""
    with _lock:
        _counts.clear()


def _batches(counts: Sequence[_Count]) -> Iterator[Sequence[_Count]]:
    for start in range(0, len(counts), _BATCH):
        yield counts[start : start + _BATCH]


def _write(batch: Sequence[_Count]) -> None:
    """Add one batch, which is of users or of the system and never of both, in one statement."""
    table = ScopeUsage._meta.db_table
    if batch[0].use.portal_user_id is None:
        same = "(installation_id, purpose, code, level, day) WHERE portal_user_id IS NULL"
    else:
        same = "(installation_id, portal_user_id, purpose, code, level, day)"
    rows = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s, %s)"] * len(batch))
    last = f"CASE WHEN excluded.last_at > {table}.last_at THEN excluded.last_at ELSE {table}.last_at END"
    sql = (
        f"INSERT INTO {table}"  # noqa: S608 - names of this module and placeholders, no value
        f" (installation_id, portal_user_id, purpose, code, level, day, accepted, denied, last_at) VALUES {rows}"
        f" ON CONFLICT {same} DO UPDATE SET accepted = {table}.accepted + excluded.accepted,"
        f" denied = {table}.denied + excluded.denied, last_at = {last}"
    )
    values: list[Any] = []
    for count in batch:
        use = count.use
        values += [use.installation_id, use.portal_user_id, use.purpose, use.code, use.level.value]
        values += [connection.ops.adapt_datefield_value(count.day), count.accepted, count.denied]
        values.append(connection.ops.adapt_datetimefield_value(count.last_at))
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
