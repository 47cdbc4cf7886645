"""Note what calls show of an installation, without a write in the request.

Noted per process and written every few seconds and at exit, as one row for each installation, kind and period of
`LIVENESS_EVIDENCE_HOURS`, which says when it was observed last. A killed worker loses at most the last interval.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from installations.evidence import judge_after, period_of
from installations.liveness import Kind
from installations.models import Evidence
from tokens import flushing

_BATCH = 200

_Noted = tuple[int, Kind, datetime]  # installation, what, and the start of its period

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_last: dict[_Noted, datetime] = {}


def note(installation_id: int, kind: Kind) -> None:
    """Note that something was observed now."""
    now = timezone.now()
    _keep((installation_id, kind, period_of(now)), now)
    flushing.keep_flushing(flush)


def _keep(key: _Noted, at: datetime) -> None:
    with _lock:
        _last[key] = max(at, _last.get(key, at))


def flush() -> None:
    """Write what was noted. What cannot be written is kept for the next time."""
    with _lock:
        taken = dict(_last)
        _last.clear()
    # One order for all processes, so that two of them never wait for each other in a circle.
    pending = list(_batches(sorted(taken.items())))
    try:
        while pending:
            _write(pending[0])
            del pending[0]
    except DatabaseError:
        lost = [noted for batch in pending for noted in batch]
        for key, at in lost:
            _keep(key, at)
        logger.warning("%d observations could not be written; it is tried again.", len(lost))


def forget() -> None:
    """Drop what was noted and is not written yet."""
    with _lock:
        _last.clear()


def _batches(noted: Sequence[tuple[_Noted, datetime]]) -> Iterator[Sequence[tuple[_Noted, datetime]]]:
    for start in range(0, len(noted), _BATCH):
        yield noted[start : start + _BATCH]


def _write(batch: Sequence[tuple[_Noted, datetime]]) -> None:
    table = Evidence._meta.db_table
    rows = ", ".join(["(%s, %s, '', '', %s, %s)"] * len(batch))
    last = (
        f"CASE WHEN excluded.observed_at > {table}.observed_at THEN excluded.observed_at ELSE {table}.observed_at END"
    )
    sql = (
        f"INSERT INTO {table} (installation_id, kind, integration_point, detail, observed_at, period_start)"  # noqa: S608 - names of this module and placeholders, no value
        f" VALUES {rows} ON CONFLICT (installation_id, kind, period_start) WHERE period_start IS NOT NULL"
        f" DO UPDATE SET observed_at = {last}"
    )
    values: list[Any] = []
    observed: defaultdict[int, set[Kind]] = defaultdict(set)
    for (installation_id, kind, period), at in batch:
        values += [installation_id, kind.value]
        values += [connection.ops.adapt_datetimefield_value(moment) for moment in (at, period)]
        observed[installation_id].add(kind)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
        judge_after(observed)
