"""Importing a manifest: registers or updates an application, and approves nothing."""

import json

import pytest

from installations.errors import ManifestInvalid, NotPermitted
from installations.models import Application, ApprovedPermission, Installation, Manifest
from installations.services import import_manifest, suspend_installation
from tests import factories
from tests.factories import APP_ID, SCOPES, manifest
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.services.revocation import uninstall_installation

ACTOR = factories.superactor()


def test_unknown_application_is_registered_as_private(reviewing):
    result = import_manifest(document=manifest(), kind=None, actor=reviewing)

    application = Application.objects.get()
    assert (application.app_id, application.name, application.kind) == (APP_ID, "Desk", "private")
    assert (application.stores_refresh_tokens, application.allowed_portals, application.locked_at) == (False, [], None)
    assert application.current_manifest == result.manifest == Manifest.objects.get()
    assert (result.changed, result.is_new_application, result.installations_affected) == (True, True, 0)


def test_manifest_is_kept_whole_with_its_scopes_as_declared(db):
    result = import_manifest(document=manifest(own_field={"a": [1]}), kind=None, actor=ACTOR)

    assert result.manifest.document["own_field"] == {"a": [1]}
    assert result.manifest.requested_scopes == SCOPES
    assert result.manifest.version == "1.0.0"


def test_registration_is_recorded(reviewer, reviewing):
    result = import_manifest(document=manifest(), kind="public", actor=reviewing)

    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("application.registered", "application", APP_ID)
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("operator", str(reviewer.pk), "reviewer")
    assert event.details == {
        "version": "1.0.0",
        "sha256": result.manifest.sha256,
        "previous_sha256": None,
        "kind": "public",
        "requested": 5,
        "installations": 0,
    }


def test_same_content_again_changes_nothing(application):
    with nothing_changes():
        result = import_manifest(document=manifest(), kind=None, actor=ACTOR)

    assert (result.changed, result.is_new_application, result.installations_affected) == (False, False, 0)
    assert result.manifest == application.current_manifest


def test_same_content_in_another_order_and_layout_changes_nothing(application):
    document = json.dumps(dict(reversed(json.loads(manifest()).items())), indent=4)

    with nothing_changes():
        import_manifest(document=document, kind=None, actor=ACTOR)


def test_changed_content_is_a_new_row_beside_the_old_one(application):
    before = application.current_manifest

    result = import_manifest(document=manifest(version="1.1.0", name="Desk 2"), kind=None, actor=ACTOR)

    application.refresh_from_db()
    assert (result.changed, result.is_new_application) == (True, False)
    assert set(Manifest.objects.all()) == {before, result.manifest}
    assert (application.name, application.current_manifest) == ("Desk 2", result.manifest)
    assert recorded() == ["application.registered", "manifest.imported"]
    assert last_event().details["previous_sha256"] == before.sha256


def test_earlier_content_becomes_current_again_without_a_third_row(application):
    first = application.current_manifest
    import_manifest(document=manifest(version="1.1.0"), kind=None, actor=ACTOR)

    result = import_manifest(document=manifest(), kind=None, actor=ACTOR)

    assert (result.changed, result.manifest) == (True, first)
    assert Manifest.objects.count() == 2
    assert len(recorded()) == 3


def test_live_installations_ask_for_the_new_scopes(application):
    found = factories.installation(application)
    gone = factories.installation(application, portal="globex.flowlu.com")
    uninstall_installation(installation_id=gone.pk, actor=ACTOR, reason="Gone.")
    before = gone.manifest

    result = import_manifest(document=manifest(permissions=["fin.full"]), kind=None, actor=ACTOR)

    found.refresh_from_db()
    gone.refresh_from_db()
    assert result.installations_affected == last_event().details["installations"] == 1
    assert found.manifest == result.manifest
    assert gone.manifest == before


@pytest.mark.parametrize(
    "permissions", [[], ["crm.full", "fin.full"], ["crm.accounts.full"]], ids=["fewer", "more", "higher"]
)
def test_new_manifest_leaves_approvals_as_they_are(application, permissions):
    found = factories.installation(application, approved=["crm.accounts.read", "fin.read"])
    approved = list(ApprovedPermission.objects.order_by("pk").values())

    import_manifest(document=manifest(permissions=permissions), kind=None, actor=ACTOR)

    found.refresh_from_db()
    assert found.status == "active"
    assert list(ApprovedPermission.objects.order_by("pk").values()) == approved


def test_new_manifest_leaves_locks_and_suspension_as_they_are(application):
    found = factories.installation(application)
    suspend_installation(installation_id=found.pk, actor=ACTOR, reason="For a test.")
    Installation.objects.update(locked_at="2026-04-01T00:00:00Z")

    import_manifest(document=manifest(version="1.1.0"), kind=None, actor=ACTOR)

    found.refresh_from_db()
    assert found.status == "suspended"
    assert found.locked_at is not None


def test_other_applications_are_left_alone(application):
    other = factories.application("com.example.other")
    found = factories.installation(other)

    import_manifest(document=manifest(version="1.1.0"), kind=None, actor=ACTOR)

    found.refresh_from_db()
    assert found.manifest == other.current_manifest


def test_kind_changes_without_a_new_manifest(application):
    result = import_manifest(document=manifest(), kind="public", actor=ACTOR)

    application.refresh_from_db()
    assert (result.changed, application.kind, Manifest.objects.count()) == (True, "public", 1)
    assert last_event().details["kind"] == "public"


def test_kind_stays_when_none_is_named(application):
    import_manifest(document=manifest(), kind="public", actor=ACTOR)

    import_manifest(document=manifest(version="1.1.0"), kind=None, actor=ACTOR)

    application.refresh_from_db()
    assert application.kind == "public"


def test_unknown_scopes_are_kept_and_flagged(db):
    result = import_manifest(document=manifest(permissions=["warp.drive", "crm.read"]), kind=None, actor=ACTOR)

    assert result.manifest.requested_scopes == ["warp.drive", "crm.read"]
    assert [(notice.kind, notice.path) for notice in result.notices] == [("unknown_scope", "permissions[0]")]


@pytest.mark.parametrize("document", ["", "{", "[]", "{}", manifest(version="one"), manifest(appId=""), b"\xff"])
def test_invalid_manifest_is_refused_whole(application, document):
    with nothing_changes(), pytest.raises(ManifestInvalid):
        import_manifest(document=document, kind=None, actor=ACTOR)


def test_all_errors_come_at_once(db):
    with pytest.raises(ManifestInvalid) as caught:
        import_manifest(document=manifest(version="one", name="", permissions="crm"), kind=None, actor=ACTOR)

    assert {error.path for error in caught.value.errors} == {"version", "name", "permissions"}


def test_actor_without_the_permission_is_refused(application, unpermitted):
    with nothing_changes(), pytest.raises(NotPermitted):
        import_manifest(document=manifest(version="1.1.0"), kind=None, actor=unpermitted)


def test_responder_may_not_import(application, responding):
    with nothing_changes(), pytest.raises(NotPermitted):
        import_manifest(document=manifest(version="1.1.0"), kind=None, actor=responding)


def test_permission_is_asked_before_the_document_is_read(db, unpermitted):
    with pytest.raises(NotPermitted):
        import_manifest(document="{", kind=None, actor=unpermitted)
