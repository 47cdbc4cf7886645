"""The numbers behind the charts follow their own rows, also after days without a sweep."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from installations.four_columns import utc_today
from installations.models import Installation
from tests import factories
from tokens.models import DayCount, OAuthToken, RefreshAttempt, Revocation
from tokens.services.day_counting import count_days

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(application: Any) -> Installation:
    return factories.installation(application, portal="acme.flowlu.com")


@pytest.fixture
def token(here: Installation) -> OAuthToken:
    return factories.token(here, here.portal.users.get())


def noon(days_ago: int) -> datetime:
    return datetime.combine(utc_today() - timedelta(days=days_ago), time(12), UTC)


def rows(subject: str) -> dict[tuple[int, str], int]:
    """Return the counts of a subject by days ago and outcome."""
    found = DayCount.objects.filter(subject=subject).values_list("day", "outcome", "number")
    return {((utc_today() - day).days, outcome): number for day, outcome, number in found}


def attempt(token: OAuthToken, outcome: str, days_ago: int) -> RefreshAttempt:
    at = noon(days_ago)
    finished = None if outcome == "started" else at
    return RefreshAttempt.objects.create(
        oauth_token=token, generation=1, outcome=outcome, started_at=at, finished_at=finished
    )


def cut(scope: str, tokens: int, days_ago: int) -> None:
    Revocation.objects.create(
        scope=scope, actor_name="rita", reason="For a test.", cut_at=noon(days_ago), tokens_cut=tokens
    )


def test_installations_are_counted_by_status_today(here: Installation, application: Any) -> None:
    factories.installation(application, portal="beta.flowlu.com")
    factories.approve(here, "crm.accounts.read")

    assert count_days() == 1
    assert rows("installation") == {(0, "active"): 1, (0, "pending_approval"): 1}
    assert count_days() == 0

    Installation.objects.update(status="suspended")
    assert count_days() == 1
    assert rows("installation") == {(0, "active"): 0, (0, "pending_approval"): 0, (0, "suspended"): 2}


def test_first_count_goes_back_as_far_as_the_charts(token: OAuthToken) -> None:
    attempt(token, "fresh", 0)
    attempt(token, "fresh", 0)
    attempt(token, "permanent", 30)
    attempt(token, "fresh", 91)
    attempt(token, "started", 0)
    cut("token", 1, 0)
    cut("installation", 7, 3)
    cut("installation", 5, 3)
    count_days()
    assert rows("refresh") == {(0, "fresh"): 2, (30, "permanent"): 1}
    assert rows("cut") == {(0, "token"): 1, (3, "installation"): 12}


def test_days_without_a_sweep_are_counted_by_the_next_one(token: OAuthToken) -> None:
    attempt(token, "fresh", 9)
    count_days()
    attempt(token, "fresh", 4)
    attempt(token, "fresh", 1)
    count_days()
    assert rows("refresh") == {(9, "fresh"): 1, (4, "fresh"): 1, (1, "fresh"): 1}


def test_refresh_that_turns_out_to_have_ended_otherwise_is_counted_once(token: OAuthToken) -> None:
    late = attempt(token, "unknown", 1)
    count_days()
    RefreshAttempt.objects.filter(pk=late.pk).update(outcome="fresh")
    count_days()
    assert rows("refresh") == {(1, "unknown"): 0, (1, "fresh"): 1}
