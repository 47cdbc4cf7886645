"""How requests end is counted by day, off the request path and without a name in it."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from installations.four_columns import utc_today
from installations.models import Installation
from tests import factories
from tests.embedded import Frontend
from tokens import day_counts
from tokens.models import DayCount
from tokens.trends import trends

pytestmark = pytest.mark.django_db(transaction=True)

Subject = DayCount.Subject


def counted() -> list[tuple[str, str, int]]:
    """Write what was counted and return every row of today, but for how long portals took."""
    day_counts.flush()
    rows = DayCount.objects.filter(day=utc_today()).exclude(subject=Subject.UPSTREAM).order_by("subject", "outcome")
    return list(rows.values_list("subject", "outcome", "number"))


def test_handshakes_and_calls_are_counted_by_how_they_ended(ana: Frontend) -> None:
    assert ana.handshake(access_token="nobody-s").status_code == 401
    ana.open()
    ana.accounts()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    for _ in range(3):
        assert ana.accounts().status_code == 200
    assert ana.get("flowlu/nothing").status_code == 400
    assert ana.get("permissions").status_code == 200
    assert ana.get("session").status_code == 200
    assert DayCount.objects.count() == 0

    assert counted() == [
        ("call", "insufficient_scope", 1),
        ("call", "invalid_request", 1),
        ("call", "ok", 3),
        ("handshake", "invalid_token", 1),
        ("handshake", "ok", 1),
    ]
    ana.accounts()
    assert ("call", "ok", 4) in counted()


def test_calls_without_a_session_count_too(api: Any) -> None:
    assert api.get("/api/v1/flowlu/crm/account/list").status_code == 401
    assert counted() == [("call", "invalid_session", 1)]


def test_counting_costs_the_request_no_statement(ana: Frontend) -> None:
    ana.open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    ana.accounts()
    with CaptureQueriesContext(connection) as captured:
        ana.accounts()
    assert len(captured) == 1


def test_what_cannot_be_written_is_kept_and_counted_once(monkeypatch: Any, all_logs: Any) -> None:
    day_counts.note(Subject.CALL, "ok")
    with monkeypatch.context() as broken:
        broken.setattr(connection, "cursor", _fail)
        day_counts.flush()
    assert "1 counts of requests could not be written; it is tried again." in all_logs.text
    day_counts.note(Subject.CALL, "ok")

    assert counted() == [("call", "ok", 2)]
    assert counted() == [("call", "ok", 2)]


def _fail(*_given: Any) -> Any:
    raise OperationalError("the database is away")


def test_put_replaces_what_was_counted_of_that_day_and_subject_only() -> None:
    today, before = utc_today(), utc_today() - timedelta(days=1)
    day_counts.put(before, Subject.REFRESH, {"fresh": 5})
    day_counts.put(today, Subject.CUT, {"token": 5})
    assert day_counts.put(today, Subject.REFRESH, {"fresh": 2, "unknown": 1})
    assert not day_counts.put(today, Subject.REFRESH, {"fresh": 2, "unknown": 1})

    assert day_counts.put(today, Subject.REFRESH, {"fresh": 3})

    assert counted() == [("cut", "token", 5), ("refresh", "fresh", 3), ("refresh", "unknown", 0)]
    assert DayCount.objects.get(day=before).number == 5


def test_trend_has_a_number_for_each_day_and_says_since_when() -> None:
    today = utc_today()

    def days_ago(days: int) -> date:
        return today - timedelta(days=days)

    day_counts.put(days_ago(40), Subject.CALL, {"ok": 9})
    day_counts.put(days_ago(2), Subject.CALL, {"ok": 1, "token_stale": 4})
    day_counts.put(today, Subject.CALL, {"ok": 2, "rate_limited": 0})

    found = trends([Subject.CALL, Subject.CUT], 30)

    calls = found[Subject.CALL]
    assert (calls.days[0], calls.days[-1], len(calls.days)) == (days_ago(29), today, 30)
    assert calls.since == days_ago(40)
    assert calls.of("ok")[-4:] == [0, 1, 0, 2]
    assert calls.of("ok", "token_stale")[-3] == 5
    assert calls.totals() == {"token_stale": 4, "ok": 3}
    assert (found[Subject.CUT].since, found[Subject.CUT].totals()) == (None, {})
