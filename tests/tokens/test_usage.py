"""What a scope is used for is counted off the request path: exactly, by day, and for whom and what."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from installations.models import Installation, PortalUser, ScopeUsage
from installations.scopes import Level
from tests import factories
from tests.embedded import Frontend
from tokens import usage
from tokens.services.acting import act_as_system, act_as_user
from tokens.usage import Use

pytestmark = pytest.mark.django_db(transaction=True)

HERE = {"app_id": factories.APP_ID, "portal": "acme.flowlu.com"}


@pytest.fixture
def page(ana: Frontend) -> Frontend:
    """An open session with CRM accounts approved in full."""
    ana.open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    return ana


def counted() -> list[tuple[Any, ...]]:
    """Write what was counted and return every row: purpose, code, level, accepted, denied."""
    usage.flush()
    found = ScopeUsage.objects.order_by("pk").values_list("purpose", "code", "level", "accepted", "denied")
    return list(found)


def test_calls_are_counted_by_scope_and_by_the_level_that_they_needed(page: Frontend) -> None:
    for _ in range(3):
        assert page.accounts().status_code == 200
    assert page.post("flowlu/crm/account/create", {"name": "Nueva"}).status_code == 200
    assert ScopeUsage.objects.count() == 0

    assert counted() == [("", "crm.accounts", "full", 1, 0), ("", "crm.accounts", "read", 3, 0)]
    assert set(ScopeUsage.objects.values_list("portal_user", "installation")) == {
        (PortalUser.objects.get().pk, Installation.objects.get().pk)
    }
    row = ScopeUsage.objects.first()
    assert row is not None
    assert row.day == datetime.now(UTC).date()
    assert (timezone.now() - row.last_at).total_seconds() < 30


def test_later_calls_are_added_to_the_row_of_the_day(page: Frontend) -> None:
    page.accounts()
    usage.flush()
    before = ScopeUsage.objects.get().last_at
    page.accounts()
    page.accounts()

    assert counted() == [("", "crm.accounts", "read", 3, 0)]
    assert ScopeUsage.objects.get().last_at > before


def test_counting_costs_no_statement_in_the_request(page: Frontend, django_assert_num_queries: Any) -> None:
    page.accounts()
    with django_assert_num_queries(1):
        page.accounts()
    with django_assert_num_queries(1):
        usage.flush()
    with django_assert_num_queries(0):
        usage.flush()


def test_call_that_flowlu_refuses_for_the_user_is_counted_as_denied(page: Frontend) -> None:
    page.sandbox.state.add_fault("acme", "error_200", error_code=22)

    assert page.accounts().json()["error"] == "flowlu_denied"

    assert counted() == [("", "crm.accounts", "read", 0, 1)]


@pytest.mark.parametrize(
    "fault", ["error_200", "validation_200", "status_401", "status_429", "status_500", "reset", "html"]
)
def test_call_that_fails_otherwise_says_nothing_of_the_scope(page: Frontend, fault: str) -> None:
    page.sandbox.state.add_fault("acme", fault, error_code=20)

    assert page.accounts().status_code >= 400

    assert counted() == []


def test_call_that_is_refused_here_is_no_use(page: Frontend) -> None:
    assert page.get("flowlu/crm/lead/list").json()["error"] == "insufficient_scope"
    assert page.get("flowlu/crm/account/create").json()["error"] == "method_not_allowed"

    assert counted() == []


def test_call_that_is_sent_again_with_a_fresh_token_is_one_use(page: Frontend) -> None:
    page.refresh()  # through the SDK: what is stored here is dead
    assert page.accounts().json()["error"] == "token_stale"
    assert page.hand_over().status_code == 204
    assert page.accounts().status_code == 200

    assert counted() == [("", "crm.accounts", "read", 1, 0)]


def test_backend_code_is_counted_under_its_purpose(page: Frontend) -> None:
    factories.purpose()
    nightly = factories.purpose("nightly", acts_as="system")
    value = page.sandbox.state.create_api_key("acme")
    factories.api_key(Installation.objects.get(), value, purposes=[nightly])
    page.accounts()
    act_as_user(purpose="account-sync", user_id="2", **HERE).call("crm", "account", "list")
    for _ in range(2):
        act_as_system(purpose="nightly", **HERE).call("crm", "account", "list")
        usage.flush()  # the second one meets a row without a user, which equals no other one by itself

    assert counted() == [
        ("", "crm.accounts", "read", 1, 0),
        ("account-sync", "crm.accounts", "read", 1, 0),
        ("nightly", "crm.accounts", "read", 2, 0),
    ]
    assert list(ScopeUsage.objects.filter(portal_user=None).values_list("purpose", flat=True)) == ["nightly"]


def test_uses_around_midnight_belong_to_their_days(application: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use = some_use(application)
    for moment in ("2026-03-31T23:59:59.9+00:00", "2026-04-01T00:00:00+00:00", "2026-04-01T02:30:00+03:00"):
        monkeypatch.setattr(timezone, "now", lambda moment=moment: datetime.fromisoformat(moment))
        with usage.counted(use):
            pass

    usage.flush()
    found = ScopeUsage.objects.order_by("day").values_list("day", "accepted", "last_at")
    assert list(found) == [
        (date(2026, 3, 31), 2, datetime(2026, 3, 31, 23, 59, 59, 900000, UTC)),
        (date(2026, 4, 1), 1, datetime(2026, 4, 1, tzinfo=UTC)),
    ]


def test_more_uses_than_one_statement_takes_are_all_written(
    application: Any, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(usage, "_BATCH", 3)
    use = some_use(application)
    for number in range(7):
        with usage.counted(Use(use.installation_id, use.portal_user_id, f"purpose-{number}", use.code, use.level)):
            pass

    with django_assert_num_queries(3):
        usage.flush()
    assert ScopeUsage.objects.count() == 7


def test_uses_that_cannot_be_written_are_kept_and_added_to_later_ones(
    application: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(*_call: Any) -> Any:
        raise OperationalError("the connection is lost")

    use = some_use(application)
    with usage.counted(use):
        pass
    with connection.execute_wrapper(lost):
        usage.flush()
    assert ScopeUsage.objects.count() == 0
    with usage.counted(use):
        pass

    assert counted() == [("", "crm.accounts", "read", 2, 0)]
    assert [record.getMessage() for record in caplog.records if record.name == "tokens.usage"] == [
        "The use of 1 scopes could not be written; it is tried again."
    ]


def some_use(application: Any) -> Use:
    record = factories.launch(application)
    return Use(record.installation.pk, record.portal_user.pk, "", "crm.accounts", Level.READ)
