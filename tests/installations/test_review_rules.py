"""When a review is due, when a scope counts as unused, and whether it is to be lowered or withdrawn."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations import catalogue, review_rules
from installations.review_rules import Life, Proposal, proposal, quiet_since
from installations.scopes import Level, Scope

TODAY = date(2026, 4, 1)
DAYS = {"low": 30, "medium": 20, "high": 10}
IDLE_SINCE = TODAY - timedelta(days=10)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def proposed(life: Life, *, counted_since: date | None = date(2020, 1, 1), stopped: bool = False) -> Proposal | None:
    return proposal(life, idle_since=IDLE_SINCE, counted_since=counted_since, stopped=stopped)


@pytest.mark.parametrize(
    ("scope", "risk"),
    [
        ("user.me.full", "low"),
        ("products.read", "low"),
        ("products.full", "medium"),
        ("crm.accounts.read", "medium"),
        ("crm.accounts.full", "high"),
        ("st.read", "medium"),  # described, not enabled
        ("never.heard.of", "high"),
    ],
)
def test_risk_is_that_of_the_level_in_the_catalogue_and_the_highest_of_what_is_unknown(scope: str, risk: str) -> None:
    code, level = (scope, "read") if scope.startswith("never") else scope.rsplit(".", 1)

    assert review_rules.risk_of(catalogue.load(), Scope(code, Level(level))) == risk


@pytest.mark.parametrize(("risk", "days"), DAYS.items())
def test_next_review_and_idle_time_are_by_risk(risk: Any, days: int) -> None:
    assert review_rules.latest_review(risk, DAYS, TODAY) == TODAY + timedelta(days=days)
    assert review_rules.last_idle_day(risk, DAYS, TODAY) == TODAY - timedelta(days=days)


@pytest.mark.parametrize(("review_by", "due", "overdue"), [(1, False, False), (0, True, False), (-1, True, True)])
def test_review_is_due_on_its_day_and_overdue_after_it(review_by: int, due: bool, overdue: bool) -> None:
    day = TODAY + timedelta(days=review_by)

    assert review_rules.is_due(day, TODAY) is due
    assert review_rules.is_overdue(day, TODAY) is overdue


_case_life = pytest.mark.parametrize(
    ("life", "expected"),
    [
        # never used
        (Life(Level.READ, ago(10)), Proposal.WITHDRAW),
        (Life(Level.READ, ago(9)), None),
        (Life(Level.FULL, ago(10)), Proposal.WITHDRAW),
        # decided about since
        (Life(Level.READ, ago(99), reviewed_on=ago(10)), Proposal.WITHDRAW),
        (Life(Level.READ, ago(99), reviewed_on=ago(9)), None),
        # used
        (Life(Level.READ, ago(99), read_on=ago(10)), Proposal.WITHDRAW),
        (Life(Level.READ, ago(99), read_on=ago(9)), None),
        (Life(Level.FULL, ago(99), read_on=ago(10), changed_on=ago(10)), Proposal.WITHDRAW),
        (Life(Level.FULL, ago(99), read_on=ago(99), changed_on=ago(9)), None),
        # only read
        (Life(Level.FULL, ago(99), read_on=ago(0)), Proposal.LOWER),
        (Life(Level.FULL, ago(99), read_on=ago(0), changed_on=ago(10)), Proposal.LOWER),
        (Life(Level.FULL, ago(9), read_on=ago(0)), None),
        # what changed something was let through before it was lowered
        (Life(Level.READ, ago(99), reviewed_on=ago(30), changed_on=ago(3)), Proposal.WITHDRAW),
        # a clock that runs ahead
        (Life(Level.READ, ago(-1)), None),
    ],
)


@_case_life
def test_what_is_not_used_for_so_long_is_proposed_for_less(life: Life, expected: Proposal | None) -> None:
    assert proposed(life) == expected


@_case_life
def test_nothing_is_proposed_while_nobody_could_use_it_or_nobody_counted(life: Life, expected: Proposal | None) -> None:
    assert proposed(life, stopped=True) is None
    assert proposed(life, counted_since=None) is None
    assert proposed(life, counted_since=ago(9)) is None
    assert proposed(life, counted_since=ago(10)) == expected


def test_it_is_quiet_since_the_last_use_or_decision() -> None:
    life = Life(Level.FULL, ago(99), reviewed_on=ago(50), read_on=ago(2), changed_on=ago(40))

    assert quiet_since(life, Proposal.LOWER) == ago(40)
    assert quiet_since(life, Proposal.WITHDRAW) == ago(2)
    assert quiet_since(Life(Level.FULL, ago(99), ago(50), read_on=ago(2)), Proposal.LOWER) == ago(50)
    assert quiet_since(Life(Level.READ, ago(99)), Proposal.WITHDRAW) == ago(99)


_days = st.none() | st.integers(0, 30).map(ago)


@given(st.sampled_from(Level), st.integers(0, 30).map(ago), _days, _days, _days)
def test_one_call_at_its_level_closes_a_proposal(
    level: Level, approved: date, reviewed: date | None, read: date | None, changed: date | None
) -> None:
    used = {"read_on": TODAY, "changed_on": TODAY} if level is Level.FULL else {"read_on": TODAY, "changed_on": changed}

    assert proposed(Life(level, approved, reviewed, **used)) is None  # type: ignore[arg-type]  # two days
    assert proposed(Life(level, approved, TODAY, read, changed)) is None  # and so does a decision
