"""Many of a kind are one occasion, and a digest is made once a day at its hour."""

from datetime import UTC, datetime, timedelta

import pytest

from flowlu_admin.notices.kinds import Kind
from flowlu_admin.notices.occasions import LONGEST, MOST, Found, digest_is_due, fold

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def found(kind: Kind, count: int) -> list[Found]:
    return [Found(kind, f"event {number}", NOW + timedelta(minutes=number), "x", "/x", 2) for number in range(count)]


def test_few_stay_apart_and_many_become_one_that_leads_to_the_list() -> None:
    few, many = found(Kind.SUSPECTED, MOST), found(Kind.WAITS, MOST + 1)

    told = list(fold([*few, *many], {Kind.WAITS: "/list"}))

    assert told[:-1] == few
    assert told[-1] == Found(Kind.WAITS, "event 0…event 20", many[-1].at, "", "/list", 2 * (MOST + 1))


def test_key_of_many_fits_its_column() -> None:
    long = [Found(Kind.WAITS, f"{number}" * 150, NOW, "x") for number in range(1, MOST + 2)]
    assert len(next(fold(long, {})).key) == LONGEST


@pytest.mark.parametrize(
    ("now", "last", "due"),
    [
        (NOW.replace(hour=6, minute=59), None, False),
        (NOW.replace(hour=7, minute=0), None, True),
        (NOW.replace(hour=7), NOW.replace(hour=3), True),
        (NOW.replace(hour=7), NOW - timedelta(days=1), True),
        (NOW, NOW.replace(hour=7, minute=1), False),
        (NOW, NOW - timedelta(days=9), True),  # the sweep was down
    ],
)
def test_digest_is_due_once_a_day_from_its_hour_on(now: datetime, last: datetime | None, due: bool) -> None:
    assert digest_is_due(now, 7, last) is due
