"""Unlocking: takes one lock away and gives nothing back that another cause still holds."""

import pytest

from installations.errors import NotPermitted, ReasonRequired
from installations.models import Application, Installation, Portal
from installations.services import lock, suspend_installation, unlock
from tests import factories
from tests.unchanged import last_event, nothing_changes

ACTOR = factories.superactor()
KINDS = ("portal", "application", "installation", "portaluser")


@pytest.fixture
def targets(application):
    """One row of each kind, all locked."""
    record = factories.launch(application)
    rows = {
        "portal": Portal.objects.get(),
        "application": Application.objects.get(),
        "installation": Installation.objects.get(pk=record.installation.pk),
        "portaluser": record.portal_user,
    }
    for row in rows.values():
        lock(target=row, actor=ACTOR, reason="For a test.")
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_one_lock_is_taken_away_and_recorded(targets, responder, responding, kind):
    assert unlock(target=targets[kind], actor=responding, reason="It is over.") is True

    event = last_event()
    locked = {name: type(row).objects.get(pk=row.pk).locked_at is not None for name, row in targets.items()}
    assert locked == {name: name != kind for name in KINDS}
    assert targets[kind].locked_at is None
    assert (event.verb, event.target_kind) == (f"{kind}.unlocked", kind)
    assert (event.reason, event.actor_id) == ("It is over.", str(responder.pk))


@pytest.mark.parametrize("kind", KINDS)
def test_unlocking_again_changes_nothing(targets, kind):
    unlock(target=targets[kind], actor=ACTOR, reason="For a test.")

    with nothing_changes():
        assert unlock(target=targets[kind], actor=ACTOR, reason="For a test.") is False


def test_suspended_installation_stays_suspended(targets):
    installation = targets["installation"]
    suspend_installation(installation_id=installation.pk, actor=ACTOR, reason="For a test.")

    unlock(target=installation, actor=ACTOR, reason="For a test.")

    installation.refresh_from_db()
    assert installation.status == "suspended"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(targets, reason):
    with nothing_changes(), pytest.raises(ReasonRequired):
        unlock(target=targets["portal"], actor=ACTOR, reason=reason)


@pytest.mark.parametrize("kind", KINDS)
def test_actor_without_the_permission_is_refused(targets, unpermitted, kind):
    with nothing_changes(), pytest.raises(NotPermitted):
        unlock(target=targets[kind], actor=unpermitted, reason="For a test.")


def test_reviewer_may_not_unlock(targets, reviewing):
    with nothing_changes(), pytest.raises(NotPermitted):
        unlock(target=targets["installation"], actor=reviewing, reason="For a test.")
