"""The groups that ship: exactly their permissions, whatever was done to them, at every migrate."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from flowlu_admin.roles import ROLES, VIEW, make_groups

EXPECTED = {
    "Auditor": {"installations.export_audit"},
    "Reviewer": {
        "installations.approve_scopes",
        "installations.withdraw_scopes",
        "installations.import_manifest",
        "installations.configure_application",
        "installations.edit_catalogue",
        "tokens.manage_apikey",
        "tokens.manage_purpose",
        "tokens.manage_serviceclient",
    },
    "Responder": {
        "installations.suspend_installation",
        "installations.uninstall_installation",
        "installations.lock_portal",
        "installations.erase_portaluser",
        "tokens.revoke_oauthtoken",
        "tokens.find_leaked",
        "tokens.rewrap_tokens",
        "tokens.revoke_apikey",
        "tokens.switch_off_purpose",
        "tokens.switch_off_serviceclient",
    },
}
pytestmark = pytest.mark.django_db


def held():
    return {
        group.name: {
            f"{permission.content_type.app_label}.{permission.codename}"
            for permission in group.permissions.select_related("content_type")
        }
        for group in Group.objects.all()
    }


def test_migrate_made_the_groups_with_exactly_their_permissions():
    assert held() == {name: set(VIEW) | own for name, own in EXPECTED.items()}


def test_no_group_may_add_change_or_delete_rows():
    for permissions in held().values():
        verbs = {permission.partition(".")[2].partition("_")[0] for permission in permissions}
        assert verbs & {"add", "change", "delete"} == set()


def test_no_group_sees_operators_sessions_of_staff_or_second_factors():
    assert {permission.partition(".")[0] for permission in VIEW} == {"installations", "tokens"}


def test_no_permission_is_in_both_acting_groups():
    assert EXPECTED["Reviewer"] & EXPECTED["Responder"] == set()


def test_closing_unconfirmed_cases_is_in_no_group():
    assert Permission.objects.filter(codename="close_upstream").exists()
    assert not any("tokens.close_upstream" in permissions for permissions in held().values())


def test_moving_tokens_in_is_in_no_group():
    assert Permission.objects.filter(codename="import_oauthtoken").exists()
    assert not any("tokens.import_oauthtoken" in permissions for permissions in held().values())


def test_second_run_changes_nothing():
    before, count = held(), Permission.objects.count()

    make_groups()

    assert (held(), Permission.objects.count()) == (before, count)


def test_migrate_again_gives_the_same():
    before = {name: sorted(permissions) for name, permissions in held().items()}

    call_command("migrate", verbosity=0)

    assert {name: sorted(permissions) for name, permissions in held().items()} == before


def test_group_that_was_changed_is_put_right():
    reviewer, auditor = Group.objects.get(name="Reviewer"), Group.objects.get(name="Auditor")
    auditor.permissions.add(Permission.objects.get(codename="revoke_oauthtoken"))
    reviewer.permissions.clear()

    make_groups()

    assert held() == {name: set(permissions) for name, permissions in ROLES.items()}


def test_group_that_was_removed_is_made_again():
    Group.objects.get(name="Auditor").delete()

    make_groups()

    assert held()["Auditor"] == set(ROLES["Auditor"])


def test_members_and_groups_of_others_are_left_alone(auditor):
    own = Group.objects.create(name="Night shift")
    own.permissions.add(Permission.objects.get(codename="view_portal"))

    make_groups()

    assert held()["Night shift"] == {"installations.view_portal"}
    assert list(auditor.groups.values_list("name", flat=True)) == ["Auditor"]
