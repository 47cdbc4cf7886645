"""The policy of an application approves at the first sight of an installation, and never again."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from installations import editions, selectors
from installations.catalogue import LevelMeaning
from installations.errors import NotPermitted
from installations.models import Application, ApprovedPermission, AuditEvent, Installation
from installations.services import approve_scopes, import_manifest, withdraw_scopes, withhold_scopes
from tests import catalogues, factories
from tests.factories import manifest
from tests.unchanged import nothing_changes, recorded
from tokens.services.revocation import uninstall_installation

pytestmark = pytest.mark.django_db(transaction=True)

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "For a test."}


def application(policy: str, *permissions: str) -> Application:
    found = factories.application(permissions=list(permissions) or None)
    Application.objects.filter(pk=found.pk).update(approval_policy=policy)
    found.refresh_from_db()
    return found


def first_seen(policy: str, *permissions: str) -> Installation:
    return factories.launch(application(policy, *permissions)).installation


def in_force(installation: Installation) -> list[str]:
    return sorted(str(row) for row in ApprovedPermission.objects.in_force().filter(installation=installation))


def test_policy_approves_what_it_trusts_and_leaves_the_rest() -> None:
    here = first_seen("trust_medium")

    row = ApprovedPermission.objects.get(installation=here, code="user.me")
    assert in_force(here) == ["crm.deals.read", "task.read", "user.me.read"]
    assert (row.source, row.approved_by, row.confirmed_by) == ("portal_admin", "", "")
    assert row.reason == (
        "The policy of the application: the portal's administrator is trusted for scopes of low and medium risk."
    )
    here.refresh_from_db()
    assert (here.status, here.left_to_operator) == ("active", True)


def test_it_is_recorded_as_what_it_is() -> None:
    app = application("trust_low")
    record = factories.launch(app)

    assert [event.verb for event in record.events] == ["installation.first_seen", "scopes.trusted"]
    assert record.events[1].details["policy"] == "trust_low"
    assert record.events[1].details["approved"] == ["user.me.read"]
    assert "scopes.approved" not in recorded()


def test_all_that_is_asked_for_may_be_trusted() -> None:
    here = first_seen("trust_low", "user.me.read")

    here.refresh_from_db()
    assert (here.status, here.left_to_operator) == ("active", False)
    assert not selectors.installations_asking_for_more().exists()


@pytest.mark.parametrize(("policy", "permissions"), [("manual", ()), ("trust_low", ("fin.read",))])
def test_nothing_is_approved_without_trust(policy: str, permissions: tuple[str, ...]) -> None:
    here = first_seen(policy, *permissions)

    here.refresh_from_db()
    assert (here.status, in_force(here), here.left_to_operator) == ("pending_approval", [], False)


@pytest.mark.parametrize(("four_eyes", "expected"), [("on", False), ("off", True)])
def test_no_policy_replaces_the_second_operator(settings: Any, four_eyes: str, expected: bool) -> None:
    settings.FOUR_EYES = four_eyes

    assert ("fin.read" in in_force(first_seen("trust_high"))) == expected


def test_reinstall_brings_nothing_back() -> None:
    here = first_seen("trust_medium")
    withdraw_scopes(installation_id=here.pk, codes=["task"], **WHY)
    uninstall_installation(installation_id=here.pk, **WHY)

    again = factories.launch(here.application).installation

    assert (again.generation, again.status, in_force(again)) == (2, "pending_approval", [])


def test_later_launch_brings_nothing_back() -> None:
    here = first_seen("trust_medium")
    withdraw_scopes(installation_id=here.pk, codes=["task"], **WHY)

    factories.launch(here.application, user_id="8")

    assert in_force(here) == ["crm.deals.read", "user.me.read"]


def test_policy_that_comes_later_approves_nothing_on_what_waits() -> None:
    here = first_seen("manual")
    application("trust_medium")

    factories.launch(here.application)

    assert in_force(here) == []


def test_new_manifest_gets_nothing_by_the_policy() -> None:
    here = first_seen("trust_medium")
    factories.application(permissions=[*factories.SCOPES, "calendar.read"], version="2.0.0")

    factories.launch(here.application)

    assert "calendar.read" not in in_force(here)


def test_what_is_left_waits_for_an_operator_until_they_decide(django_assert_num_queries: Any) -> None:
    here = first_seen("trust_medium")

    row = selectors.installations_with_approvals().get(pk=here.pk)
    with django_assert_num_queries(0):
        assert [change.code for change in selectors.asked_anew(row)] == ["crm.accounts", "fin"]
        assert selectors.needs_decision(row)
    plain = Installation.objects.get(pk=here.pk)
    assert [change.code for change in selectors.asked_anew(plain)] == ["crm.accounts", "fin"]
    assert list(selectors.installations_asking_for_more()) == [here]


def test_operator_withholds_what_is_left() -> None:
    here = first_seen("trust_medium")

    withheld = withhold_scopes(installation_id=here.pk, **WHY)

    here.refresh_from_db()
    assert withheld == ["crm.accounts: new, at level full", "fin: new, at level read"]
    assert not selectors.needs_decision(here)
    assert not selectors.installations_asking_for_more().exists()


def test_operator_approves_what_is_left() -> None:
    here = first_seen("trust_medium")

    approve_scopes(installation_id=here.pk, requested=["fin.read"], **WHY)

    here.refresh_from_db()
    assert not selectors.needs_decision(here)
    sources = dict(ApprovedPermission.objects.in_force().values_list("code", "source"))
    assert (sources["fin"], sources["task"]) == ("operator", "portal_admin")


def test_nothing_left_is_decided_about_all_the_same() -> None:
    here = first_seen("trust_medium")
    factories.application(permissions=["user.me.read"], version="2.0.0")

    assert selectors.needs_decision(Installation.objects.get(pk=here.pk))
    assert withhold_scopes(installation_id=here.pk, **WHY) == []
    assert not selectors.needs_decision(Installation.objects.get(pk=here.pk))
    assert AuditEvent.objects.filter(verb="scopes.withheld").exists()


@pytest.mark.parametrize("mode", ["on", "off"])
def test_edit_of_the_catalogue_makes_a_policy_trust_no_more(settings: Any, mode: str) -> None:
    settings.FOUR_EYES = mode
    low = LevelMeaning("See it.", "low", "It is public.")
    for code in ("fin", "task", "user.me"):
        known = editions.in_force().described(code)
        assert known is not None
        catalogues.save(replace(known, read=low, full=low))
    catalogues.save(replace(catalogues.entry("garage", "calendar/*"), read=low, full=low))

    here = first_seen("trust_low", "fin.full", "task.read", "garage.full", "user.me.read")

    assert in_force(here) == ["user.me.read"]


def test_raised_risk_makes_a_policy_trust_less_also_of_full() -> None:
    known = editions.in_force().described("task")
    assert known is not None
    catalogues.save(replace(known, read=replace(known.read, risk="high")))

    assert in_force(first_seen("trust_medium", "task.full", "user.me.read")) == ["user.me.read"]


def test_first_launch_under_a_damaged_catalogue_approves_nothing_and_goes_on() -> None:
    catalogues.save(catalogues.entry("warehouse"))
    catalogues.tamper("document", "damaged")

    here = first_seen("trust_low", "user.me.read")

    assert (here.status, in_force(here)) == (Installation.Status.PENDING_APPROVAL, [])


# --- Whoever imports a manifest --------------------------------------------------------------------------------


def importer(*more: str) -> Any:
    """Return an actor who may import manifests, and what else is said."""
    user = factories.operator(f"importer-{len(more)}")
    for codename in ("import_manifest", *more):
        user.user_permissions.add(Permission.objects.get(codename=codename))
    return factories.actor(user)


@pytest.mark.parametrize(
    ("policy", "before", "after", "needs_more"),
    [
        ("trust_low", ["user.me.read"], ["user.me.read", "task.read"], False),  # of medium risk
        ("trust_medium", ["user.me.read"], ["user.me.read", "task.read"], True),
        ("trust_medium", ["task.read"], ["task.read", "fin.read"], False),  # of high risk
        ("trust_high", ["task.read"], ["task.full"], True),
        ("trust_high", ["task.full"], ["task.read"], False),
        ("trust_high", ["task.read", "user.me.read"], ["user.me.read"], False),
        ("manual", ["user.me.read"], ["user.me.read", "task.full"], False),
    ],
)
def test_manifest_of_which_the_policy_would_approve_more_needs_the_right_to_approve(
    policy: str, before: list[str], after: list[str], needs_more: bool
) -> None:
    application(policy, *before)
    document = manifest(permissions=after)
    actor = importer()

    if needs_more:
        with nothing_changes(), pytest.raises(NotPermitted):
            import_manifest(document=document, kind=None, actor=actor)
        actor = importer("approve_scopes")
    assert import_manifest(document=document, kind=None, actor=actor).changed
