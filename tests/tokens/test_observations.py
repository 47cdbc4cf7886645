"""What calls show of an installation is noted off the request path, and kept as one row for some hours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from installations.liveness import Kind
from installations.models import Evidence, Installation, Liveness
from tests import factories
from tests.embedded import Frontend
from tokens import observations
from tokens.models import OAuthToken
from tokens.services.acting import act_as_system, act_as_user

pytestmark = pytest.mark.django_db(transaction=True)

HERE = {"app_id": factories.APP_ID, "portal": "acme.flowlu.com"}


@pytest.fixture
def page(ana: Frontend) -> Frontend:
    ana.open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    Evidence.objects.all().delete()
    return ana


def noted() -> list[str]:
    """Write what was noted and return every kind of evidence."""
    observations.flush()
    return list(Evidence.objects.order_by("pk").values_list("kind", flat=True))


def test_call_that_is_accepted_makes_the_installation_active(page: Frontend, django_assert_num_queries: Any) -> None:
    page.accounts()
    with django_assert_num_queries(1):
        page.accounts()
    assert Evidence.objects.count() == 0
    assert Liveness.objects.get().state == "seen"

    assert noted() == ["call_accepted"]
    row = Evidence.objects.get()
    assert row.period_start is not None
    assert row.period_start <= row.observed_at < row.period_start + timedelta(hours=6)
    assert Liveness.objects.get().state == "active"
    with django_assert_num_queries(0):
        observations.flush()


def test_later_calls_move_the_row_of_the_hours_on_and_cost_two_statements(
    page: Frontend, django_assert_num_queries: Any
) -> None:
    page.accounts()
    observations.flush()
    before = Evidence.objects.get().observed_at
    page.accounts()
    page.accounts()
    with django_assert_num_queries(4):  # two of them begin and end the transaction
        observations.flush()
    assert Evidence.objects.get().observed_at > before


def test_one_row_for_each_installation_kind_and_period(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = factories.launch(application).installation
    there = factories.launch(application, portal="globex.flowlu.com").installation
    Evidence.objects.all().delete()
    for moment in ("00:00", "05:59", "06:00", "07:00"):
        at = datetime.fromisoformat(f"2026-04-01T{moment}:00+00:00")
        monkeypatch.setattr(timezone, "now", lambda at=at: at)
        observations.note(here.pk, Kind.CALL_ACCEPTED)
        observations.note(here.pk, Kind.CALL_DENIED)
    observations.note(there.pk, Kind.CALL_ACCEPTED)
    monkeypatch.undo()

    observations.flush()

    found = Evidence.objects.order_by("installation", "kind", "observed_at")
    hours = {0: (5, 59), 6: (7, 0)}
    assert [(row.installation_id, row.kind) for row in found] == [
        *[(here.pk, "call_accepted")] * 2,
        *[(here.pk, "call_denied")] * 2,
        (there.pk, "call_accepted"),
    ]
    for row in found[:4]:
        assert row.period_start is not None
        seen_at = row.observed_at.astimezone(UTC)
        assert (seen_at.hour, seen_at.minute) == hours[row.period_start.astimezone(UTC).hour]


def test_what_is_flushed_late_moves_no_row_back(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = factories.launch(application).installation
    Evidence.objects.all().delete()
    for moment in ("03:00", "01:00"):
        at = datetime.fromisoformat(f"2026-04-01T{moment}:00+00:00")
        monkeypatch.setattr(timezone, "now", lambda at=at: at)
        observations.note(here.pk, Kind.CALL_ACCEPTED)
        observations.flush()
    assert Evidence.objects.get().observed_at == datetime(2026, 4, 1, 3, tzinfo=UTC)


def test_call_that_is_denied_to_its_user_says_neither(page: Frontend) -> None:
    page.sandbox.state.add_fault("acme", "error_200", error_code=22)
    page.accounts()
    assert noted() == ["call_denied"]
    assert Liveness.objects.get().state == "seen"


@pytest.mark.parametrize(
    ("left", "expected"),
    [(None, []), (timedelta(hours=13), []), (timedelta(days=2), ["token_refused"])],
)
def test_refused_token_is_evidence_only_where_it_should_have_been_good(
    page: Frontend, left: timedelta | None, expected: list[str]
) -> None:
    OAuthToken.objects.update(expires_at=timezone.now() + left if left else None)
    page.sandbox.state.add_fault("acme", "status_401")
    assert page.accounts().json()["error"] == "token_stale"
    assert noted() == expected


def test_refused_token_of_backend_code_is_evidence_too(page: Frontend) -> None:
    factories.purpose()
    OAuthToken.objects.update(expires_at=timezone.now() + timedelta(days=9))
    page.sandbox.state.add_fault("acme", "status_401")
    with pytest.raises(Exception, match="token_stale"):
        act_as_user(purpose="account-sync", user_id="2", **HERE).call("crm", "account", "list")
    assert noted() == ["token_refused"]


@pytest.mark.parametrize("fault", ["status_429", "status_500", "reset", "html", "validation_200"])
def test_call_that_fails_otherwise_is_no_evidence(page: Frontend, fault: str) -> None:
    page.sandbox.state.add_fault("acme", fault)
    page.accounts()
    assert noted() == []


def test_api_key_says_nothing_of_the_application(page: Frontend) -> None:
    nightly = factories.purpose("nightly", acts_as="system")
    value = page.sandbox.state.create_api_key("acme")
    factories.api_key(Installation.objects.get(), value, purposes=[nightly])
    act_as_system(purpose="nightly", **HERE).call("crm", "account", "list")
    assert noted() == []


def test_call_of_the_sweep_is_no_use(page: Frontend) -> None:
    factories.purpose("liveness")
    act_as_user(purpose="liveness", user_id="2", **HERE).call("crm", "account", "list")
    assert noted() == []


def test_late_call_of_an_uninstalled_generation_changes_nothing(application: Any) -> None:
    old = factories.launch(application).installation
    Installation.objects.update(status="uninstalled", uninstalled_at=timezone.now())
    Evidence.objects.create(installation=old, kind=Kind.STATED_REMOVED)
    Liveness.objects.update(state="confirmed_removed", judge_again_at=None)
    new = factories.launch(application).installation
    observations.note(old.pk, Kind.CALL_ACCEPTED)

    observations.flush()

    assert dict(Liveness.objects.values_list("pk", "state")) == {old.pk: "confirmed_removed", new.pk: "seen"}


def test_more_than_one_statement_takes_is_all_written(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "_BATCH", 2)
    for number in range(5):
        here = factories.launch(application, portal=f"p{number}.flowlu.com").installation
        observations.note(here.pk, Kind.CALL_ACCEPTED)
    observations.flush()
    assert Evidence.objects.filter(kind="call_accepted").count() == 5
    assert set(Liveness.objects.values_list("state", flat=True)) == {"active"}


def test_what_cannot_be_written_is_kept(application: Any, caplog: pytest.LogCaptureFixture) -> None:
    def lost(*_call: Any) -> Any:
        raise OperationalError("the connection is lost")

    here = factories.launch(application).installation
    observations.note(here.pk, Kind.CALL_ACCEPTED)
    with connection.execute_wrapper(lost):
        observations.flush()
    assert Liveness.objects.get().state == "seen"
    observations.note(here.pk, Kind.CALL_ACCEPTED)

    assert noted() == ["launch", "call_accepted"]
    assert [record.getMessage() for record in caplog.records if record.name == "tokens.observations"] == [
        "1 observations could not be written; it is tried again."
    ]
