"""Suspending: any live installation, once, with a reason; nothing of it is lost."""

import pytest

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import Installation
from installations.services import suspend_installation
from tests import factories
from tests.unchanged import last_event, nothing_changes

ACTOR = factories.superactor()


def suspend(installation, actor=ACTOR, reason="For a test."):
    return suspend_installation(installation_id=installation.pk, actor=actor, reason=reason)


@pytest.mark.parametrize(("approved", "before"), [([], "pending_approval"), (["crm.accounts.read"], "active")])
def test_pending_or_active_installation_is_suspended(application, responder, responding, approved, before):
    installation = factories.installation(application, approved=approved)

    assert suspend(installation, responding, "An incident.") is True

    installation.refresh_from_db()
    event = last_event()
    assert installation.status == "suspended"
    assert (event.verb, event.target_id) == ("installation.suspended", str(installation.pk))
    assert (event.installation_id, event.reason, event.actor_id) == (installation.pk, "An incident.", str(responder.pk))
    assert event.details == {"from": before, "to": "suspended"}


def test_approvals_and_tokens_stay(application):
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    installation = factories.installation(application, approved=["crm.accounts.read"])

    suspend(installation)

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token is not None) == ("active", True)
    assert installation.approved_permissions.in_force().count() == 1


def test_suspending_again_changes_nothing(active):
    suspend(active)

    with nothing_changes():
        assert suspend(active) is False


def test_other_installations_go_on(application, active):
    other = factories.installation(application, portal="globex.flowlu.com")

    suspend(active)

    assert Installation.objects.get(pk=other.pk).status == "pending_approval"


def test_uninstalled_installation_is_a_conflict(uninstalled):
    with nothing_changes(), pytest.raises(StateConflict, match="uninstalled"):
        suspend(uninstalled)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(active, reason):
    with nothing_changes(), pytest.raises(ReasonRequired):
        suspend(active, reason=reason)


def test_actor_without_the_permission_is_refused(active, unpermitted):
    with nothing_changes(), pytest.raises(NotPermitted):
        suspend(active, unpermitted)


def test_reviewer_may_not_suspend(active, reviewing):
    with nothing_changes(), pytest.raises(NotPermitted):
        suspend(active, reviewing)
