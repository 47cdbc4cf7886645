"""Resuming: back to where it was, and no further."""

import pytest

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.services import approve_scopes, resume_installation, suspend_installation, withdraw_scopes
from tests import factories
from tests.unchanged import last_event, nothing_changes

ACTOR = factories.superactor()


def resume(installation, actor=ACTOR, reason="For a test."):
    return resume_installation(installation_id=installation.pk, actor=actor, reason=reason)


def suspended(installation):
    suspend_installation(installation_id=installation.pk, actor=ACTOR, reason="For a test.")
    return installation


def test_active_installation_is_active_again(active, responder, responding):
    assert resume(suspended(active), responding, "It is over.") is True

    active.refresh_from_db()
    event = last_event()
    assert active.status == "active"
    assert (event.verb, event.target_id) == ("installation.resumed", str(active.pk))
    assert (event.installation_id, event.reason, event.actor_id) == (active.pk, "It is over.", str(responder.pk))
    assert event.details == {"from": "suspended", "to": "active"}


def test_installation_where_nothing_was_ever_approved_is_pending_again(installation):
    resume(suspended(installation))

    installation.refresh_from_db()
    assert installation.status == "pending_approval"


def test_installation_approved_while_suspended_becomes_active(installation):
    suspended(installation)
    approve_scopes(installation_id=installation.pk, requested=["fin.read"], actor=ACTOR, reason="For a test.")

    resume(installation)

    installation.refresh_from_db()
    assert installation.status == "active"


def test_what_was_withdrawn_stays_withdrawn(active):
    withdraw_scopes(installation_id=active.pk, codes=["crm.accounts"], actor=ACTOR, reason="For a test.")

    resume(suspended(active))

    active.refresh_from_db()
    assert (active.status, active.approved_permissions.in_force().count()) == ("active", 0)


def test_lock_stays(active):
    active.locked_at = "2026-04-01T00:00:00Z"
    active.save()

    resume(suspended(active))

    active.refresh_from_db()
    assert active.locked_at is not None


@pytest.mark.parametrize("approved", [[], ["crm.accounts.read"]], ids=["pending", "active"])
def test_installation_that_is_not_suspended_is_left_alone(application, approved):
    installation = factories.installation(application, approved=approved)

    with nothing_changes():
        assert resume(installation) is False


def test_uninstalled_installation_does_not_come_back(uninstalled):
    with nothing_changes(), pytest.raises(StateConflict, match="uninstalled"):
        resume(uninstalled)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(active, reason):
    suspended(active)

    with nothing_changes(), pytest.raises(ReasonRequired):
        resume(active, reason=reason)


def test_actor_without_the_permission_is_refused(active, unpermitted):
    suspended(active)

    with nothing_changes(), pytest.raises(NotPermitted):
        resume(active, unpermitted)


def test_reviewer_may_not_resume(active, reviewing):
    suspended(active)

    with nothing_changes(), pytest.raises(NotPermitted):
        resume(active, reviewing)
