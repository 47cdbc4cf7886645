"""Locking: one row of any of four kinds, with a reason; nothing else about it moves."""

import pytest

from installations.errors import NotPermitted, ReasonRequired
from installations.models import Application, Installation, Portal, PortalUser
from installations.services import lock
from tests import factories
from tests.unchanged import last_event, nothing_changes

ACTOR = factories.superactor()
KINDS = ("portal", "application", "installation", "portaluser")


@pytest.fixture
def targets(application):
    record = factories.launch(application)
    return {
        "portal": Portal.objects.get(),
        "application": Application.objects.get(),
        "installation": Installation.objects.get(pk=record.installation.pk),
        "portaluser": record.portal_user,
    }


@pytest.mark.parametrize(
    ("kind", "target_id"),
    [
        ("portal", "acme.flowlu.com"),
        ("application", "com.example.desk"),
        ("installation", None),
        ("portaluser", "acme.flowlu.com/7"),
    ],
)
def test_lock_is_one_time_on_one_row_and_recorded(targets, responder, responding, kind, target_id):
    target = targets[kind]

    assert lock(target=target, actor=responding, reason="An incident.") is True

    event = last_event()
    locked = {name: type(row).objects.get(pk=row.pk).locked_at is not None for name, row in targets.items()}
    assert locked == {name: name == kind for name in KINDS}
    assert (event.verb, event.target_kind) == (f"{kind}.locked", kind)
    assert event.target_id == (target_id or str(target.pk))
    assert event.installation_id == (target.pk if kind == "installation" else None)
    assert (event.reason, event.actor_id, event.details) == ("An incident.", str(responder.pk), {})


@pytest.mark.parametrize("kind", KINDS)
def test_row_in_hand_knows_its_lock(targets, kind):
    lock(target=targets[kind], actor=ACTOR, reason="For a test.")

    assert targets[kind].locked_at is not None


@pytest.mark.parametrize("kind", KINDS)
def test_locking_again_keeps_the_first_time_and_records_nothing(targets, kind):
    lock(target=targets[kind], actor=ACTOR, reason="For a test.")

    with nothing_changes():
        assert lock(target=targets[kind], actor=ACTOR, reason="For a test.") is False


def test_lock_is_decided_by_the_database_and_not_by_the_row_in_hand(targets):
    stale = Portal.objects.get()
    lock(target=targets["portal"], actor=ACTOR, reason="For a test.")

    with nothing_changes():
        assert lock(target=stale, actor=ACTOR, reason="For a test.") is False


def test_lock_writes_nothing_else_of_the_row_in_hand(targets):
    stale = targets["portaluser"]
    stale.name = "Somebody else"

    lock(target=stale, actor=ACTOR, reason="For a test.")

    assert PortalUser.objects.get().name == "Ana Ruiz"


def test_status_and_approvals_stay(active):
    lock(target=active, actor=ACTOR, reason="For a test.")

    active.refresh_from_db()
    assert (active.status, active.approved_permissions.in_force().count()) == ("active", 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(targets, kind, reason):
    with nothing_changes(), pytest.raises(ReasonRequired):
        lock(target=targets[kind], actor=ACTOR, reason=reason)


@pytest.mark.parametrize("kind", KINDS)
def test_actor_without_the_permission_is_refused(targets, unpermitted, kind):
    with nothing_changes(), pytest.raises(NotPermitted):
        lock(target=targets[kind], actor=unpermitted, reason="For a test.")


@pytest.mark.parametrize("kind", KINDS)
def test_reviewer_may_not_lock(targets, reviewing, kind):
    with nothing_changes(), pytest.raises(NotPermitted):
        lock(target=targets[kind], actor=reviewing, reason="For a test.")
