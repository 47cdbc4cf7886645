"""Withdrawing scopes: what was swallowed does not wake by itself, and nothing else moves."""

import pytest
from django.contrib.auth.models import Permission

from installations.errors import NotPermitted, ReasonRequired, StateConflict, UnknownScope
from installations.models import ApprovedPermission
from installations.services import withdraw_scopes
from tests import factories
from tests.unchanged import last_event, nothing_changes, recorded

ACTOR = factories.superactor()


def withdraw(installation, *codes, actor=ACTOR, reason="For a test.", keep=()):
    return withdraw_scopes(installation_id=installation.pk, codes=codes, actor=actor, reason=reason, keep=keep)


def in_force(installation):
    return sorted(str(row) for row in installation.approved_permissions.in_force())


@pytest.fixture
def swallowing(db):
    """An installation where `crm.read` swallows two parts."""
    app = factories.application(
        "com.example.crm", permissions=["crm.full", "crm.accounts.full", "crm.deals.full", "fin.read"]
    )
    return factories.installation(app, approved=["crm.read", "crm.accounts.full", "crm.deals.read", "fin.read"])


def test_withdrawn_row_stays_as_history(active, reviewing):
    withdraw(active, "crm.accounts", actor=reviewing, reason="Over.")

    row = ApprovedPermission.objects.get()
    assert row.withdrawn_at is not None
    assert (row.withdrawn_by, row.withdrawn_why) == ("reviewer", "Over.")
    assert (row.approved_by, row.reason) == ("shell", "For a test.")


def test_withdrawal_is_recorded(active, reviewer, reviewing):
    result = withdraw(active, "crm.accounts.read", actor=reviewing, reason="Over.")

    event = last_event()
    assert (result.withdrawn, result.also_withdrawn, result.kept) == (["crm.accounts.read"], [], [])
    assert (event.verb, event.target_kind, event.target_id) == ("scopes.withdrawn", "installation", str(active.pk))
    assert (event.installation_id, event.reason, event.actor_id) == (active.pk, "Over.", str(reviewer.pk))
    assert event.details == {"withdrawn": ["crm.accounts.read"], "withdrawn_with_them": [], "kept": []}


def test_installation_stays_active_when_all_is_withdrawn(active):
    withdraw(active, "crm.accounts")

    active.refresh_from_db()
    assert (active.status, in_force(active)) == ("active", [])


def test_other_approvals_stay(swallowing):
    withdraw(swallowing, "fin")

    assert in_force(swallowing) == ["crm.accounts.full", "crm.deals.read", "crm.read"]


def test_withdrawing_a_swallowing_scope_withdraws_what_it_swallowed(swallowing):
    result = withdraw(swallowing, "crm", reason="Over.")

    assert result.withdrawn == ["crm.read"]
    assert result.also_withdrawn == ["crm.accounts.full", "crm.deals.read"]
    assert in_force(swallowing) == ["fin.read"]
    why = swallowing.approved_permissions.get(code="crm.accounts").withdrawn_why
    assert why == "Withdrawn with crm, which had swallowed it: Over."
    assert last_event().details["withdrawn_with_them"] == ["crm.accounts.full", "crm.deals.read"]


def test_swallowed_scope_is_kept_by_a_decision_in_the_same_act(swallowing):
    result = withdraw(swallowing, "crm", keep=["crm.accounts.full"])

    assert (result.also_withdrawn, result.kept) == (["crm.deals.read"], ["crm.accounts.full"])
    assert in_force(swallowing) == ["crm.accounts.full", "fin.read"]
    assert last_event().details["kept"] == ["crm.accounts.full"]


def test_to_wake_what_was_swallowed_is_as_good_as_to_approve_it(swallowing):
    user = factories.operator("wim")
    user.user_permissions.add(Permission.objects.get(codename="withdraw_scopes"))
    actor = factories.actor(type(user).objects.get(pk=user.pk))

    with nothing_changes(), pytest.raises(NotPermitted):
        withdraw(swallowing, "crm", keep=["crm.deals"], actor=actor)

    assert withdraw(swallowing, "crm", actor=actor).withdrawn == ["crm.read"]


def test_high_risk_wakes_by_no_single_operator_where_four_eyes_are_on(swallowing, settings):
    settings.FOUR_EYES = "on"

    with nothing_changes(), pytest.raises(StateConflict, match="crm.accounts.full would come into force again"):
        withdraw(swallowing, "crm", keep=["crm.accounts", "crm.deals"])

    assert withdraw(swallowing, "crm", keep=["crm.deals"]).kept == ["crm.deals.read"]


def test_scope_that_is_named_is_withdrawn_even_when_it_is_to_be_kept(swallowing):
    result = withdraw(swallowing, "crm", "crm.accounts", keep=["crm.accounts"])

    assert (result.withdrawn, result.kept) == (["crm.read", "crm.accounts.full"], [])
    assert in_force(swallowing) == ["fin.read"]


def test_what_is_to_be_kept_but_does_not_wake_is_no_news(swallowing):
    result = withdraw(swallowing, "fin", keep=["crm", "users"])

    assert (result.withdrawn, result.kept) == (["fin.read"], [])


def test_withdrawing_a_swallowed_scope_leaves_the_one_that_swallows(swallowing):
    withdraw(swallowing, "crm.accounts")

    assert in_force(swallowing) == ["crm.deals.read", "crm.read", "fin.read"]


@pytest.mark.parametrize(
    ("codes", "keep", "approved"),
    [
        (["crm.full"], [], "crm.read"),
        (["crm"], ["crm.accounts.read"], "crm.accounts.full"),
        (["crm"], ["crm.accounts.full", "crm.accounts.read"], "crm.accounts.full"),
        (["crm"], ["crm.accounts.full", "crm.deals.full"], "crm.deals.read"),
        (["crm.full"], ["crm.accounts.read"], "crm.accounts.full, crm.read"),
    ],
)
def test_level_that_is_named_and_not_in_force_is_a_conflict(swallowing, codes, keep, approved):
    with nothing_changes(), pytest.raises(StateConflict, match=f"Approved at another level: {approved}. Look at"):
        withdraw(swallowing, *codes, keep=keep)


def test_level_to_keep_of_what_is_not_approved_is_no_news(swallowing):
    assert withdraw(swallowing, "fin", keep=["users.read"]).withdrawn == ["fin.read"]


def test_longest_reason_still_fits_the_row_that_goes_with_it(swallowing):
    withdraw(swallowing, "crm", reason="x" * 1000)

    assert len(swallowing.approved_permissions.get(code="crm.accounts").withdrawn_why) == 1000


def test_withdrawal_again_is_a_conflict_and_records_nothing(active):
    withdraw(active, "crm.accounts")

    with nothing_changes(), pytest.raises(StateConflict, match="Not approved at present: crm.accounts"):
        withdraw(active, "crm.accounts")


def test_one_scope_that_is_not_approved_refuses_them_all(active):
    with nothing_changes(), pytest.raises(StateConflict, match="Not approved at present: fin"):
        withdraw(active, "crm.accounts", "fin")


def test_nothing_to_withdraw_is_a_conflict(active):
    with nothing_changes(), pytest.raises(StateConflict, match="at least one"):
        withdraw(active)


@pytest.mark.parametrize("codes", [["crm..accounts"], ["read"], [""]])
def test_what_is_no_scope_is_refused(active, codes):
    with nothing_changes(), pytest.raises(UnknownScope):
        withdraw(active, *codes)


def test_scope_that_left_the_catalogue_can_still_be_withdrawn(active):
    active.approved_permissions.update(code="gone.from.catalogue")

    assert withdraw(active, "gone.from.catalogue").withdrawn == ["gone.from.catalogue.read"]


def test_uninstalled_installation_is_a_conflict(uninstalled):
    with nothing_changes(), pytest.raises(StateConflict, match="uninstalled"):
        withdraw(uninstalled, "crm.accounts")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(active, reason):
    with nothing_changes(), pytest.raises(ReasonRequired):
        withdraw(active, "crm.accounts", reason=reason)


def test_actor_without_the_permission_is_refused(active, unpermitted):
    with nothing_changes(), pytest.raises(NotPermitted):
        withdraw(active, "crm.accounts", actor=unpermitted)


def test_responder_may_not_withdraw(active, responding):
    with nothing_changes(), pytest.raises(NotPermitted):
        withdraw(active, "crm.accounts", actor=responding)


def test_one_act_is_one_event(swallowing):
    withdraw(swallowing, "crm", "fin")

    assert recorded().count("scopes.withdrawn") == 1
