"""Approving scopes: what was asked for, no more, for the manifest that was seen, with a reason."""

from datetime import timedelta

import pytest
from django.utils import timezone

from installations import catalogue, scopes
from installations.approving import Seen
from installations.errors import (
    NotPermitted,
    ReasonRequired,
    ReviewDateRefused,
    ScopeNotRequested,
    StateConflict,
    UnknownScope,
)
from installations.four_columns import utc_today
from installations.models import ApprovedPermission
from installations.services import approve_scopes, import_manifest, suspend_installation, withdraw_scopes
from tests import factories
from tests.factories import manifest
from tests.unchanged import last_event, nothing_changes, recorded

ACTOR = factories.superactor()


def approve(installation, *requested, actor=ACTOR, reason="For a test.", **options):
    return approve_scopes(installation_id=installation.pk, requested=requested, actor=actor, reason=reason, **options)


def in_days(days):
    return (utc_today() + timedelta(days=days)).isoformat()


def in_force(installation):
    return sorted(str(row) for row in installation.approved_permissions.in_force())


def test_approved_scope_is_a_row_with_who_when_why_and_what_it_covers(installation, reviewing):
    result = approve(installation, "crm.accounts.full", actor=reviewing, reason=" Needed for the list. ")

    row = ApprovedPermission.objects.get()
    assert (row.installation, row.code, row.level, row.source) == (installation, "crm.accounts", "full", "operator")
    assert (row.approved_by, row.reason, row.manifest) == ("reviewer", "Needed for the list.", installation.manifest)
    assert (row.withdrawn_at, row.withdrawn_by, row.withdrawn_why) == (None, "", "")
    known = catalogue.load()
    assert row.catalogue_entry == {
        "catalogue": known.version,
        "covers": scopes.to_json(known.get("crm.accounts").covers),
    }
    assert (result.approved, result.unchanged, result.activated) == (["crm.accounts.full"], [], True)


def test_approval_is_recorded(installation, reviewer, reviewing):
    approve(installation, "crm.accounts.read", actor=reviewing, reason="Needed.")
    approve(installation, "fin.read", "crm.accounts.full", actor=reviewing, reason="Needed, too.")

    event = last_event()
    assert recorded().count("scopes.approved") == 2
    assert (event.target_kind, event.target_id) == ("installation", str(installation.pk))
    assert (event.installation_id, event.reason) == (installation.pk, "Needed, too.")
    assert (event.actor_kind, event.actor_id, event.via) == ("operator", str(reviewer.pk), "admin")
    assert event.details == {
        "approved": ["fin.read", "crm.accounts.full"],
        "manifest": installation.manifest.sha256,
        "catalogue": catalogue.load().version,
        "in_force_before": ["crm.accounts.read"],
        "activated": False,
        "review_by": {"fin.read": in_days(90), "crm.accounts.full": in_days(90)},
    }


def test_first_approval_makes_a_pending_installation_active(installation):
    approve(installation, "crm.accounts.read")

    installation.refresh_from_db()
    assert installation.status == "active"
    assert last_event().details["activated"] is True


def test_suspended_installation_stays_suspended(installation):
    suspend_installation(installation_id=installation.pk, actor=ACTOR, reason="For a test.")

    result = approve(installation, "crm.accounts.read")

    installation.refresh_from_db()
    assert (result.activated, installation.status) == (False, "suspended")
    assert in_force(installation) == ["crm.accounts.read"]


def test_lower_level_than_requested_may_be_approved(installation):
    approve(installation, "crm.accounts.read")

    assert in_force(installation) == ["crm.accounts.read"]


def test_scope_without_a_level_is_approved_to_read(installation):
    approve(installation, "crm.accounts")

    assert in_force(installation) == ["crm.accounts.read"]


def test_requested_scope_without_a_level_is_asked_for_to_read(application):
    other = factories.application("com.example.other", permissions=["crm"])
    found = factories.installation(other)

    with nothing_changes(), pytest.raises(ScopeNotRequested):
        approve(found, "crm.full")
    assert approve(found, "crm.read").approved == ["crm.read"]


def test_highest_of_two_requested_levels_counts(application):
    other = factories.application("com.example.other", permissions=["crm.full", "crm.read"])

    assert approve(factories.installation(other), "crm.full").approved == ["crm.full"]


def test_same_approval_again_changes_nothing(active):
    with nothing_changes():
        result = approve(active, "crm.accounts.read")

    assert (result.approved, result.unchanged, result.activated) == ([], ["crm.accounts.read"], False)


def test_what_is_approved_already_is_left_beside_what_is_new(active):
    row = active.approved_permissions.get()

    result = approve(active, "crm.accounts.read", "fin.read")

    assert (result.approved, result.unchanged) == (["fin.read"], ["crm.accounts.read"])
    assert active.approved_permissions.get(code="crm.accounts") == row
    assert last_event().details["approved"] == ["fin.read"]


@pytest.mark.parametrize(("before", "after"), [("read", "full"), ("full", "read")])
def test_other_level_replaces_the_approval_in_force(installation, reviewing, before, after):
    approve(installation, f"crm.accounts.{before}")

    approve(installation, f"crm.accounts.{after}", actor=reviewing, reason="Changed.")

    assert in_force(installation) == [f"crm.accounts.{after}"]
    old = installation.approved_permissions.get(level=before)
    assert old.withdrawn_at is not None
    assert (old.withdrawn_by, old.withdrawn_why) == ("reviewer", f"Replaced by crm.accounts.{after}: Changed.")


def test_approval_under_an_older_catalogue_is_replaced_by_a_decision(active):
    row = active.approved_permissions.get()
    row.catalogue_entry["covers"] = []
    row.save()

    result = approve(active, "crm.accounts.read")

    assert result.approved == ["crm.accounts.read"]
    assert active.approved_permissions.in_force().get().catalogue_entry["covers"] != []


def test_longest_reason_still_fits_the_row_that_is_replaced(active):
    approve(active, "crm.accounts.full", reason="x" * 1000)

    assert len(active.approved_permissions.get(level="read").withdrawn_why) == 1000


def test_scope_named_twice_is_approved_once(installation):
    assert approve(installation, "crm.accounts.read", "crm.accounts", "crm.accounts.read").approved == [
        "crm.accounts.read"
    ]


@pytest.mark.parametrize(
    "scope",
    [
        "warp.drive",
        "CRM.accounts.read",
        "crm.accounts.Read",
        "read",
        "",
        "crm..accounts",
        " crm.accounts.read",
        "a" * 999,
    ],
)
def test_what_the_catalogue_does_not_know_is_refused(installation, scope):
    with nothing_changes(), pytest.raises(UnknownScope):
        approve(installation, scope)


def test_unknown_scope_is_refused_though_the_manifest_asks_for_it(application):
    other = factories.application("com.example.other", permissions=["warp.drive.read"])
    found = factories.installation(other)

    with nothing_changes(), pytest.raises(UnknownScope):
        approve(found, "warp.drive.read")


def test_scope_that_the_catalogue_only_describes_is_refused(application):
    other = factories.application("com.example.other", permissions=["st.read"])
    found = factories.installation(other)

    with nothing_changes(), pytest.raises(UnknownScope):
        approve(found, "st.read")


@pytest.mark.parametrize(
    "scope",
    ["users.read", "crm.read", "crm.full", "crm.deals.full", "task.full"],
    ids=["another", "the-module-of-a-part", "its-full", "higher-level", "higher-level-of-a-module"],
)
def test_what_the_manifest_does_not_ask_for_is_refused(installation, scope):
    with nothing_changes(), pytest.raises(ScopeNotRequested, match=scope):
        approve(installation, scope)


def test_one_refused_scope_refuses_them_all(installation):
    with nothing_changes(), pytest.raises(ScopeNotRequested):
        approve(installation, "crm.accounts.read", "users.read")


def test_two_levels_of_one_scope_are_refused(installation):
    with nothing_changes(), pytest.raises(StateConflict, match="two levels"):
        approve(installation, "crm.accounts.read", "crm.accounts.full")


def test_nothing_to_approve_is_refused(installation):
    with nothing_changes(), pytest.raises(StateConflict, match="at least one"):
        approve(installation)


def test_decision_on_the_manifest_that_was_seen_counts(installation):
    assert approve(installation, "crm.accounts.read", seen=Seen(manifest=installation.manifest.sha256)).approved == [
        "crm.accounts.read"
    ]


def test_decision_on_a_manifest_that_was_replaced_is_refused(installation):
    seen = installation.manifest.sha256
    import_manifest(document=manifest(version="1.1.0"), kind=None, actor=ACTOR)

    with nothing_changes(), pytest.raises(StateConflict, match="manifest was replaced"):
        approve(installation, "crm.accounts.read", seen=Seen(manifest=seen))


def test_empty_text_is_not_the_manifest_that_was_seen(installation):
    with nothing_changes(), pytest.raises(StateConflict):
        approve(installation, "crm.accounts.read", seen=Seen(manifest=""))


def test_withdrawn_scope_may_be_approved_anew(active):
    withdraw_scopes(installation_id=active.pk, codes=["crm.accounts"], actor=ACTOR, reason="For a test.")

    assert approve(active, "crm.accounts.read").approved == ["crm.accounts.read"]
    assert active.approved_permissions.count() == 2


def test_uninstalled_installation_takes_no_approval(uninstalled):
    with nothing_changes(), pytest.raises(StateConflict, match="uninstalled"):
        approve(uninstalled, "crm.accounts.read")


def test_missing_installation_is_a_conflict(application):
    with nothing_changes(), pytest.raises(StateConflict, match="no such installation"):
        approve_scopes(installation_id=0, requested=["crm.read"], actor=ACTOR, reason="For a test.")


def test_other_installations_of_the_application_get_nothing(application, installation):
    other = factories.installation(application, portal="globex.flowlu.com")

    approve(installation, "crm.accounts.read")

    other.refresh_from_db()
    assert (other.status, in_force(other)) == ("pending_approval", [])


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(installation, reason):
    with nothing_changes(), pytest.raises(ReasonRequired):
        approve(installation, "crm.accounts.read", reason=reason)


def test_actor_without_the_permission_is_refused(installation, unpermitted):
    with nothing_changes(), pytest.raises(NotPermitted):
        approve(installation, "crm.accounts.read", actor=unpermitted)


def test_responder_may_not_approve(installation, responding):
    with nothing_changes(), pytest.raises(NotPermitted):
        approve(installation, "crm.accounts.read", actor=responding)


def test_each_is_to_be_reviewed_by_its_risk(installation):
    result = approve(installation, "user.me.read", "crm.deals.read", "crm.accounts.full", "fin.read")

    days = {row.code: row.review_by.isoformat() for row in ApprovedPermission.objects.all()}
    assert days == {
        "user.me": in_days(365),
        "crm.deals": in_days(180),
        "crm.accounts": in_days(90),
        "fin": in_days(90),
    }
    assert {scope: day.isoformat() for scope, day in result.review_by.items()} == {
        "user.me.read": in_days(365),
        "crm.deals.read": in_days(180),
        "crm.accounts.full": in_days(90),
        "fin.read": in_days(90),
    }


def test_days_are_those_of_the_settings(installation, settings):
    settings.REVIEW_DAYS = {"low": 30, "medium": 20, "high": 10}

    approve(installation, "crm.accounts.full")

    assert ApprovedPermission.objects.get().review_by.isoformat() == in_days(10)


def test_earlier_review_may_be_chosen_and_a_later_one_may_not(installation):
    chosen = utc_today() + timedelta(days=90)
    with nothing_changes():
        for day, words in (
            (
                chosen + timedelta(days=1),
                f"crm.accounts.full is of high risk, so it is reviewed by {chosen} at the latest",
            ),
            (utc_today(), "is not after today"),
        ):
            with pytest.raises(ReviewDateRefused, match=words):
                approve(installation, "task.read", "crm.accounts.full", review_by=day)

    approve(installation, "task.read", "crm.accounts.full", review_by=chosen)
    approve(installation, "fin.read", review_by=utc_today() + timedelta(days=1))

    days = set(ApprovedPermission.objects.values_list("code", "review_by"))
    assert days == {("task", chosen), ("crm.accounts", chosen), ("fin", utc_today() + timedelta(days=1))}


def test_what_is_approved_so_already_keeps_its_day(installation, time_machine):
    approve(installation, "task.read")
    time_machine.move_to(timezone.now() + timedelta(days=10))

    with nothing_changes():
        approve(installation, "task.read", review_by=utc_today() + timedelta(days=1))


def test_other_level_is_a_decision_anew_and_gets_a_day_of_its_own(installation, time_machine):
    approve(installation, "crm.accounts.full")
    time_machine.move_to(timezone.now() + timedelta(days=80))

    approve(installation, "crm.accounts.read")

    assert ApprovedPermission.objects.in_force().get().review_by.isoformat() == in_days(180)
