"""The stored verdict never says anything else than the pure function says of the evidence."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from installations import evidence, selectors
from installations.liveness import Kind, State
from installations.models import PENDING_FIRST, Application, Evidence, Installation, Liveness
from tests import factories

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def here(application: Application) -> Installation:
    return factories.launch(application).installation


def observed(here: Installation, kind: Kind, days_ago: float, detail: str = "") -> None:
    Evidence.objects.create(installation=here, kind=kind, detail=detail, observed_at=timezone.now() - days_ago * DAY)


def judged(here: Installation) -> Liveness:
    evidence.judge_locked([here.pk])
    return Liveness.objects.get(pk=here.pk)


def aged(days: float) -> None:
    """Let everything that was observed so far be so much older, and its verdict be due."""
    for row in Evidence.objects.all():
        row.observed_at -= days * DAY
        row.save()
    Liveness.objects.update(judge_again_at=timezone.now())


def test_launch_makes_a_verdict_of_its_own(here: Installation) -> None:
    row = Liveness.objects.get()
    assert (row.pk, row.state, row.confidence) == (here.pk, "seen", "medium")
    assert row.judged_at is not None
    assert row.judge_again_at is not None
    assert abs(row.judge_again_at - row.judged_at - 14 * DAY) < timedelta(minutes=1)
    assert row.probe_after is None


def test_launch_of_one_that_is_seen_or_active_judges_nothing_anew(
    here: Installation, application: Application, django_assert_num_queries: Any
) -> None:
    before = Liveness.objects.get().judged_at
    with django_assert_num_queries(2):
        evidence.observe_locked(here, Kind.LAUNCH)
    assert Liveness.objects.get().judged_at == before

    evidence.observe_locked(here, Kind.HAND_OVER)
    active = Liveness.objects.get()
    assert (active.state, active.confidence) == ("active", "high")
    with django_assert_num_queries(2):
        evidence.observe_locked(here, Kind.PROBE_REFUSED)
    assert Liveness.objects.get().judged_at == active.judged_at


@pytest.mark.parametrize("kind", [Kind.LAUNCH, Kind.HAND_OVER])
def test_what_a_user_does_often_is_one_row_a_period_which_says_when_and_where_last(
    here: Installation, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    Evidence.objects.all().delete()
    midnight = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    def at(hour: float, point: str) -> None:
        monkeypatch.setattr(timezone, "now", lambda: midnight + timedelta(hours=hour))
        evidence.observe_locked(here, kind, integration_point=point)

    for hour in (1, 2.5, 5.999, 5):  # the last by a clock that is late
        at(hour, f"point {hour}")
    at(6, "later")

    rows = Evidence.objects.order_by("pk").values_list("kind", "period_start", "observed_at", "integration_point")
    assert list(rows) == [
        (kind, midnight, midnight + timedelta(hours=5.999), "point 5"),
        (kind, midnight + timedelta(hours=6), midnight + timedelta(hours=6), "later"),
    ]


def test_each_installation_and_generation_has_rows_of_its_own(here: Installation, application: Application) -> None:
    other = factories.launch(application, portal="other.flowlu.com").installation
    Installation.objects.filter(pk=here.pk).update(status="uninstalled", uninstalled_at=timezone.now())
    kept = list(here.evidence.values())
    again = factories.launch(application).installation

    assert again.generation == here.generation + 1
    for row in (other, again):
        assert [seen.kind for seen in row.evidence.all()] == ["launch"]
        assert Liveness.objects.get(pk=row.pk).state == "seen"
    assert list(here.evidence.values()) == kept


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.LAUNCH, Kind.HAND_OVER}))
def test_every_other_observation_is_a_row_of_its_own(here: Installation, kind: Kind) -> None:
    for _ in range(3):
        evidence.observe_locked(here, kind, detail="HTTP 401")

    assert list(here.evidence.filter(kind=kind).values_list("period_start", flat=True)) == [None] * 3


def test_verdict_that_ends_soon_is_judged_anew(here: Installation) -> None:
    Liveness.objects.update(judge_again_at=timezone.now() + timedelta(minutes=59))
    evidence.observe_locked(here, Kind.LAUNCH)
    until = Liveness.objects.get().judge_again_at
    assert until is not None
    assert until > timezone.now() + 13 * DAY


def test_what_is_confirmed_stays_so_whatever_comes_late(here: Installation) -> None:
    evidence.observe_locked(here, Kind.STATED_REMOVED)
    gone = Liveness.objects.get()
    assert (gone.state, gone.confidence, gone.judge_again_at, gone.probe_after) == (
        "confirmed_removed",
        "high",
        None,
        None,
    )
    evidence.observe_locked(here, Kind.CALL_ACCEPTED)
    assert judged(here).state == "confirmed_removed"
    assert Evidence.objects.count() == 3


def test_time_makes_it_quiet_and_due_for_a_probe_at_some_time_of_the_first_days(here: Installation) -> None:
    aged(15)
    assert evidence.judge_due(count=5) == 1
    quiet = Liveness.objects.get()
    assert (quiet.state, quiet.confidence) == ("quiet", "medium")
    assert quiet.probe_after is not None
    assert timezone.now() - timedelta(minutes=1) < quiet.probe_after < timezone.now() + 3 * DAY
    assert evidence.judge_due(count=5) == 0
    assert judged(here).probe_after == quiet.probe_after


def test_use_ends_the_probing(here: Installation) -> None:
    aged(15)
    evidence.judge_due(count=5)
    Liveness.objects.update(probes_in_vain=3)
    evidence.observe_locked(here, Kind.LAUNCH)
    row = Liveness.objects.get()
    assert (row.state, row.probe_after, row.probes_in_vain) == ("seen", None, 0)


def test_installations_are_judged_in_one_go(
    here: Installation, application: Application, django_assert_num_queries: Any
) -> None:
    others = [factories.launch(application, portal=f"p{number}.flowlu.com").installation for number in range(5)]
    ids = [here.pk, *(other.pk for other in others)]
    aged(20)
    with django_assert_num_queries(5):
        assert evidence.judge_locked(ids) == 6
    assert set(Liveness.objects.values_list("state", flat=True)) == {"quiet"}
    with django_assert_num_queries(0):
        assert evidence.judge_locked([]) == 0


def test_one_without_a_verdict_is_found_and_gets_one(here: Installation) -> None:
    Liveness.objects.all().delete()
    assert evidence.unjudged(count=5) == [here.pk]
    evidence.judge_locked(evidence.unjudged(count=5))
    assert evidence.unjudged(count=5) == []
    assert Liveness.objects.get().state == "seen"


def test_installations_without_any_evidence_read_as_quiet_beside_others(
    here: Installation, application: Application
) -> None:
    other = factories.launch(application, portal="globex.flowlu.com").installation
    Evidence.objects.filter(installation=other).delete()
    evidence.judge_locked([here.pk, other.pk])
    assert dict(Liveness.objects.values_list("pk", "state")) == {here.pk: "seen", other.pk: "quiet"}


kinds = st.sampled_from(list(Kind))
pieces = st.lists(st.tuples(kinds, st.integers(0, 140)), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(mine=pieces, of_other=pieces)
def test_stored_verdict_is_what_the_pure_function_says_of_all_the_evidence(
    here: Installation, application: Application, mine: Any, of_other: Any
) -> None:
    with transaction.atomic():
        other = factories.launch(application, portal="globex.flowlu.com").installation
        Evidence.objects.all().delete()
        for place, found in ((here, mine), (other, of_other)):
            for kind, halves in found:
                observed(place, kind, halves / 2)
        evidence.judge_locked([here.pk, other.pk])
        now = timezone.now()
        for place in (here, other):
            row = Liveness.objects.get(pk=place.pk)
            every = [
                evidence.Observation(Kind(one.kind), one.observed_at, 0, one.detail)
                for one in Evidence.objects.filter(installation=place)
            ]
            wanted = evidence.verdict_on(every, now=now)
            assert (row.state, row.confidence) == (wanted.state, wanted.confidence)
            assert row.judge_again_at == wanted.until
            assert (row.probe_after is not None) is (wanted.state in (State.QUIET, State.SUSPECTED))
        transaction.set_rollback(True)


@pytest.mark.postgresql
@pytest.mark.parametrize("query", [{}, {"liveness__state": "quiet"}])
def test_list_of_all_is_read_in_its_order_and_not_sorted(application: Application, query: dict[str, str]) -> None:
    for number in range(300):
        factories.launch(application, portal=f"p{number}.flowlu.com")
    listed = selectors.installations_with_approvals().filter(**query).order_by(PENDING_FIRST, "-first_seen_at", "-pk")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE installations_installation")
        cursor.execute("ANALYZE installations_liveness")
        cursor.execute("SET LOCAL enable_sort = off")
    assert "installations_inst_list_idx" in listed[:50].explain()


def test_row_says_since_when_it_is_judged_so(here: Installation) -> None:
    first = judged(here).since
    assert first is not None
    assert judged(here).since == first
    Liveness.objects.update(since=None)  # judged by a release that did not note it
    assert judged(here).since is None

    factories.suspect(here)

    row = Liveness.objects.get(pk=here.pk)
    assert (row.state, row.since) == (State.SUSPECTED, row.judged_at)
