"""A manifest that asks for more: installations need re-approval, what is approved goes on, a decision ends it."""

from typing import Any

import pytest

from installations import selectors
from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import Application, Installation
from installations.services import approve_scopes, withdraw_scopes, withhold_scopes
from tests import factories
from tests.unchanged import last_event, nothing_changes
from tokens.services.revocation import uninstall_installation

pytestmark = pytest.mark.django_db(transaction=True)

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "Not needed."}
FIRST = ["crm.accounts.full", "task.read"]


@pytest.fixture
def here(db: None) -> Installation:
    """An installation where one of two scopes was approved, at a lower level."""
    return factories.installation(factories.application(permissions=FIRST), approved=["crm.accounts.read"])


def ask_for(*permissions: str, version: str = "2.0.0") -> Application:
    return factories.application(permissions=list(permissions), version=version)


def asked(installation: Installation) -> list[str]:
    installation = selectors.installations_with_approvals().get(pk=installation.pk)
    listed = selectors.installations_asking_for_more().filter(pk=installation.pk).exists()
    found = [change.code for change in selectors.asked_anew(installation)]
    assert listed == bool(found)  # the list and the page agree
    return found


def test_what_was_decided_about_is_not_asked_for_again(here: Installation) -> None:
    assert asked(here) == []


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ([*FIRST, "fin.read"], ["fin"]),
        (["crm.accounts.full", "task.full"], ["task"]),
        ([*FIRST, "nope.full"], ["nope.full"]),
        ([*FIRST, "crm.full"], ["crm"]),
        (["crm.accounts.read"], []),
        (["task.read", "crm.accounts.full"], []),
        ([], []),
    ],
)
def test_more_than_was_decided_about_needs_re_approval(
    here: Installation, permissions: list[str], expected: list[str]
) -> None:
    ask_for(*permissions)

    assert asked(here) == expected
    here.refresh_from_db()
    assert here.status == Installation.Status.ACTIVE
    assert [str(row) for row in here.approved_permissions.in_force()] == ["crm.accounts.read"]


def test_pending_installation_waits_for_its_first_decision_anyway(application: Application) -> None:
    pending = factories.installation(application)
    ask_for("fin.full")

    assert asked(pending) == []


def test_manifest_that_is_taken_back_needs_no_decision(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")
    ask_for(*FIRST, version="1.0.0")

    assert asked(here) == []


def test_decision_stays_that_of_the_manifest_that_was_decided_about(here: Installation) -> None:
    """Two imports in a row: what the first one asked for more is not forgotten by the second."""
    ask_for(*FIRST, "fin.read")
    ask_for(*FIRST, "fin.read", "users.read", version="3.0.0")

    assert asked(here) == ["fin", "users"]


def test_approving_any_of_it_decides_about_all_of_it(here: Installation) -> None:
    ask_for(*FIRST, "fin.read", "users.read")

    approve_scopes(installation_id=here.pk, requested=["fin.read"], **WHY)

    assert asked(here) == []


def test_approving_again_what_is_approved_is_a_decision_too(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")

    assert approve_scopes(installation_id=here.pk, requested=["crm.accounts.read"], **WHY).approved == []

    assert asked(here) == []


def test_withholding_ends_it_and_leaves_what_is_approved(here: Installation) -> None:
    ask_for(*FIRST, "fin.read", "nope.full")

    withheld = withhold_scopes(installation_id=here.pk, **WHY)

    assert withheld == ["fin: new, at level read", "nope.full: new and not in the catalogue: it grants nothing here"]
    assert asked(here) == []
    assert [str(row) for row in here.approved_permissions.in_force()] == ["crm.accounts.read"]
    event = last_event()
    assert (event.verb, event.reason, event.installation_id) == ("scopes.withheld", "Not needed.", here.pk)
    assert event.details["withheld"] == withheld
    assert event.details["count"] == 2


def test_withheld_scopes_can_be_approved_later(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")
    withhold_scopes(installation_id=here.pk, **WHY)

    assert approve_scopes(installation_id=here.pk, requested=["fin.read"], **WHY).approved == ["fin.read"]


def test_another_manifest_that_asks_for_more_asks_anew(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")
    withhold_scopes(installation_id=here.pk, **WHY)
    ask_for(*FIRST, "fin.full", version="3.0.0")

    assert asked(here) == ["fin"]


def test_event_names_at_most_a_hundred_and_counts_all(here: Installation) -> None:
    ask_for(*(f"nope.x{number}.read" for number in range(150)))

    withhold_scopes(installation_id=here.pk, **WHY)

    assert len(last_event().details["withheld"]) == 100
    assert last_event().details["count"] == 150


def test_repeating_it_changes_nothing(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")
    withhold_scopes(installation_id=here.pk, **WHY)

    with nothing_changes():
        assert withhold_scopes(installation_id=here.pk, **WHY) == []


def test_withdrawing_is_no_decision_about_what_is_new(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")

    withdraw_scopes(installation_id=here.pk, codes=["crm.accounts"], **WHY)

    assert asked(here) == ["fin"]


def test_next_generation_has_no_decision(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")
    uninstall_installation(installation_id=here.pk, **WHY)

    assert asked(here) == []
    again = factories.installation(Application.objects.get())
    assert again.decided_manifest is None


def test_decision_about_a_manifest_that_was_replaced_meanwhile_does_not_count(here: Installation) -> None:
    ask_for(*FIRST, "fin.read")
    here.refresh_from_db()
    seen = here.manifest.sha256
    ask_for(*FIRST, "fin.full", version="3.0.0")

    with nothing_changes(), pytest.raises(StateConflict, match="was replaced while you were reading it"):
        withhold_scopes(installation_id=here.pk, seen_manifest=seen, **WHY)


def test_every_refusal_changes_nothing(here: Installation, application: Application, auditor: Any) -> None:
    ask_for(*FIRST, "fin.read")
    pending = factories.installation(Application.objects.get(), portal="globex.flowlu.com")
    gone = factories.installation(Application.objects.get(), portal="initech.flowlu.com")
    uninstall_installation(installation_id=gone.pk, **WHY)

    with nothing_changes():
        with pytest.raises(NotPermitted):
            withhold_scopes(installation_id=here.pk, actor=factories.actor(auditor), reason="x")
        with pytest.raises(ReasonRequired):
            withhold_scopes(installation_id=here.pk, actor=factories.superactor(), reason=" ")
        with pytest.raises(StateConflict, match="Nothing was approved here yet"):
            withhold_scopes(installation_id=pending.pk, **WHY)
        with pytest.raises(StateConflict, match="uninstalled"):
            withhold_scopes(installation_id=gone.pk, **WHY)
        with pytest.raises(StateConflict, match="no such installation"):
            withhold_scopes(installation_id=9999, **WHY)


def test_list_costs_two_statements_more_whatever_is_in_it(here: Installation, django_assert_num_queries: Any) -> None:
    for number in range(3):
        application = factories.application(f"com.example.a{number}", permissions=FIRST)
        for portal in range(3):
            factories.installation(application, portal=f"p{portal}.flowlu.com", approved=["task.read"])
        factories.application(f"com.example.a{number}", permissions=[*FIRST, "fin.read"], version="2.0.0")

    with django_assert_num_queries(3):
        found = list(selectors.installations_asking_for_more())
    assert len(found) == 9
