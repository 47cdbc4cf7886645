"""Recording a launch: what is seen first is made, what is known is touched, and nothing widens by a reinstall."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from installations import audit
from installations.errors import StateConflict
from installations.models import Application, Evidence, Installation, Portal, PortalUser
from installations.services import import_manifest, lock, record_launch_locked
from tests import factories
from tests.factories import manifest
from tests.unchanged import nothing_changes
from tokens.services.revocation import uninstall_installation

ACTOR = factories.superactor()


def uninstall(installation):
    uninstall_installation(installation_id=installation.pk, actor=ACTOR, reason="Gone.")


def test_first_launch_makes_portal_user_and_a_pending_installation(application):
    record = factories.launch(application)

    found = Installation.objects.get()
    assert found == record.installation
    assert (found.portal.domain, found.application, found.generation) == ("acme.flowlu.com", application, 1)
    assert (found.status, found.manifest) == ("pending_approval", application.current_manifest)
    assert (found.reported_version, found.locked_at, found.uninstalled_at) == ("1.0.0", None, None)
    user = PortalUser.objects.get()
    assert user == record.portal_user
    assert (user.portal, user.flowlu_user_id, user.name, user.is_portal_admin) == (found.portal, "7", "Ana Ruiz", False)
    assert found.approved_permissions.count() == 0


def test_first_launch_gives_its_event_to_the_caller(application):
    record = factories.launch(application)

    assert record.events == [
        audit.Event(
            "installation.first_seen",
            "installation",
            str(record.installation.pk),
            record.installation.pk,
            details={"portal": "acme.flowlu.com", "app_id": "com.example.desk", "generation": 1},
        )
    ]


def test_each_launch_is_evidence_which_says_when_the_last_one_was(application, settings):
    settings.LIVENESS_EVIDENCE_HOURS = 24 * 365 * 1000  # no period ends while this runs
    factories.launch(application)
    first = Evidence.objects.get()
    factories.launch(application, user_id="8", name="Bea")

    last = Evidence.objects.get()
    assert (last.pk, last.kind) == (first.pk, "launch")
    assert last.observed_at > first.observed_at


def test_next_launch_touches_what_is_known_and_has_no_event(application):
    first = factories.launch(application)

    second = factories.launch(application, name="Ana Maria")

    assert (second.installation, second.portal_user, second.events) == (first.installation, first.portal_user, [])
    assert second.portal_user.name == "Ana Maria"
    assert second.installation.last_seen_at > first.installation.last_seen_at
    assert second.installation.first_seen_at == Installation.objects.get().first_seen_at
    assert (Portal.objects.count(), PortalUser.objects.count()) == (1, 1)


def test_launch_leaves_status_approvals_and_locks(application):
    found = factories.installation(application, approved=["crm.accounts.read"])
    record = factories.launch(application)
    lock(target=record.portal_user, actor=ACTOR, reason="For a test.")
    lock(target=found, actor=ACTOR, reason="For a test.")

    again = factories.launch(application)

    assert (again.installation.status, again.installation.approved_permissions.in_force().count()) == ("active", 1)
    assert again.installation.locked_at is not None
    assert again.portal_user.locked_at is not None


def test_launch_after_an_uninstallation_is_a_new_generation_without_approvals(application):
    old = factories.installation(application, approved=["crm.accounts.read"])
    uninstall(old)

    record = factories.launch(application)

    assert record.installation != old
    assert (record.installation.generation, record.installation.status) == (2, "pending_approval")
    assert record.installation.approved_permissions.count() == 0
    assert record.events[0].details["generation"] == 2
    old.refresh_from_db()
    assert old.status == "uninstalled"


def test_new_generation_keeps_the_lock_of_the_one_before(application):
    old = factories.installation(application)
    lock(target=old, actor=ACTOR, reason="For a test.")
    locked_at = old.locked_at
    uninstall(old)

    assert factories.launch(application).installation.locked_at == locked_at


def test_new_generation_keeps_a_lock_set_after_the_uninstallation(application):
    old = factories.installation(application)
    uninstall(old)
    lock(target=old, actor=ACTOR, reason="For a test.")

    assert factories.launch(application).installation.locked_at is not None


def test_new_generation_takes_only_the_last_ones_lock(application):
    first = factories.installation(application)
    lock(target=first, actor=ACTOR, reason="For a test.")
    uninstall(first)
    second = factories.installation(application)
    Installation.objects.filter(pk=second.pk).update(locked_at=None)
    uninstall(second)

    third = factories.launch(application).installation

    assert (third.generation, third.locked_at) == (3, None)


def test_new_generation_asks_for_the_current_manifest(application):
    uninstall(factories.installation(application))
    result = import_manifest(document=manifest(version="1.1.0"), kind=None, actor=ACTOR)

    assert factories.launch(application).installation.manifest == result.manifest


def test_row_in_hand_from_before_an_import_does_not_bring_its_manifest_back(application):
    in_hand = Application.objects.get()
    result = import_manifest(document=manifest(version="1.1.0"), kind=None, actor=ACTOR)

    assert factories.launch(in_hand).installation.manifest == result.manifest


def test_portals_and_applications_are_apart(application):
    here = factories.launch(application)
    there = factories.launch(application, portal="globex.flowlu.com")
    other = factories.launch(factories.application("com.example.other"))

    assert len({here.installation, there.installation, other.installation}) == 3
    assert here.portal_user == other.portal_user
    assert here.portal_user != there.portal_user


def test_application_without_a_manifest_is_not_used(db):
    bare = Application.objects.create(app_id="com.example.bare", name="Bare")

    with nothing_changes(), pytest.raises(StateConflict, match="no manifest"):
        factories.launch(bare)


def test_user_is_shown_as_flowlu_names_them_now(application):
    factories.launch(application)
    with transaction.atomic():
        record_launch_locked(
            portal="acme.flowlu.com",
            application=application,
            flowlu_user_id="7",
            user_name="",
            is_portal_admin=True,
            reported_version="2.0.0",
            integration_point="crm_tab",
        )

    user = PortalUser.objects.get()
    assert (user.name, user.is_portal_admin) == ("", True)
    assert Installation.objects.get().reported_version == "2.0.0"
    assert Evidence.objects.last().integration_point == "crm_tab"


@pytest.mark.postgresql  # on SQLite the second waits where its transaction begins
@pytest.mark.django_db(transaction=True)
def test_second_of_two_first_launches_waits_and_takes_the_installation_of_the_first(application):
    factories.launch(factories.application("com.example.other"))  # so that both know the portal

    def launch_on_another_connection():
        try:
            return factories.launch(application, user_id="8", name="Bea")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as elsewhere:
        with transaction.atomic():
            first = factories.launch(application)
            launching = elsewhere.submit(launch_on_another_connection)
            wait_until_somebody_waits_for_this_transaction()
        second = launching.result(timeout=20)

    assert (second.installation, second.events) == (first.installation, [])
    assert Installation.objects.filter(application=application).count() == 1
    assert [user.name for user in PortalUser.objects.order_by("flowlu_user_id")] == ["Ana Ruiz", "Bea"]


def wait_until_somebody_waits_for_this_transaction():
    deadline = time.monotonic() + 20
    waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
    with connection.cursor() as cursor:
        while not cursor.execute(waits).fetchone()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
