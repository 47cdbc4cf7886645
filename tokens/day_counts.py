"""Count how requests end, per day, without a write in the request.

Counted per process and added to `DayCount` every few seconds by a background thread and at exit, so a killed worker
loses at most the last interval.
"""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import DatabaseError, connection

from installations.four_columns import utc_today
from tokens import flushing
from tokens.models import DayCount

OK = "ok"

_Key = tuple[date, str, str]  # day, subject, outcome

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_counts: Counter[_Key] = Counter()


def note(subject: DayCount.Subject, outcome: str) -> None:
    """Count one more that ended so: `ok`, or a code of the API, never a text from outside."""
    note_all(subject, {outcome: 1})


def note_all(subject: DayCount.Subject, numbers: Mapping[str, int]) -> None:
    """Count so many more that ended in each way."""
    today, name = utc_today(), subject.value
    with _lock:
        for outcome, number in numbers.items():
            _counts[today, name, outcome] += number
    flushing.keep_flushing(flush)


def flush() -> None:
    """Add what was counted. What cannot be written is kept for the next time."""
    with _lock:
        taken = dict(_counts)
        _counts.clear()
    try:
        _write(taken, "{table}.number + excluded.number")
    except DatabaseError:
        with _lock:
            _counts.update(taken)
        logger.warning("%d counts of requests could not be written; it is tried again.", len(taken))


def forget() -> None:
    """Drop what was counted and is not written yet."""
    with _lock:
        _counts.clear()


def put(day: date, subject: DayCount.Subject, counts: Mapping[str, int]) -> bool:
    """Make these the counts of a subject on a day, and of every other outcome none. Returns whether any changed."""
    rows = DayCount.objects.filter(day=day, subject=subject)
    known = dict(rows.values_list("outcome", "number"))
    new = {**dict.fromkeys(known, 0), **counts}
    if new == known:
        return False
    _write({(day, subject.value, outcome): number for outcome, number in new.items()}, "excluded.number")
    return True


def _write(counts: Mapping[_Key, int], number: str) -> None:
    if not counts:
        return
    table = DayCount._meta.db_table
    # One order for all processes, so that two of them never wait for each other in a circle.
    ordered = sorted(counts.items())
    rows = ", ".join(["(%s, %s, %s, %s)"] * len(ordered))
    sql = (
        f"INSERT INTO {table} (day, subject, outcome, number) VALUES {rows}"  # noqa: S608 - names of this module
        f" ON CONFLICT (day, subject, outcome) DO UPDATE SET number = {number.format(table=table)}"
    )
    values: list[Any] = []
    for (day, subject, outcome), count in ordered:
        values += [connection.ops.adapt_datefield_value(day), subject, outcome, count]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
