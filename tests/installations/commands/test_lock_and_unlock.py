"""`lock` and `unlock`: which row their options name, and that none or two things are refused."""

import pytest
from django.core.management import CommandError

from installations.models import Application, Installation, Portal, PortalUser
from tests import factories
from tests.unchanged import nothing_changes

PORTAL = ("--portal", "acme.flowlu.com")
APP = ("--app", "com.example.desk")
USER = ("--user", "7")
BY = ("--operator", "responder", "--reason", "An incident.")


@pytest.fixture
def scene(application, record, responder):
    factories.launch(application, portal="globex.flowlu.com")


@pytest.mark.parametrize(
    ("options", "model", "name"),
    [
        (PORTAL, Portal, "acme.flowlu.com"),
        (APP, Application, "Desk (com.example.desk)"),
        ((*PORTAL, *APP), Installation, "com.example.desk on acme.flowlu.com (generation 1)"),
        ((*PORTAL, *USER), PortalUser, "user 7 of acme.flowlu.com"),
    ],
    ids=["portal", "application", "installation", "portal-user"],
)
def test_options_name_one_row_there_and_back(scene, run, options, model, name):
    def locked():
        rows = [row for each in (Portal, Application, Installation, PortalUser) for row in each.objects.all()]
        return [row for row in rows if row.locked_at is not None]

    assert run("unlock", *options, *BY) == f"{name}: was not locked\n"
    assert run("lock", *options, *BY) == f"{name}: locked\n"
    assert [(type(row), str(row)) for row in locked()] == [(model, name)]
    assert run("lock", *options, *BY) == f"{name}: was locked already\n"
    assert run("unlock", *options, *BY) == f"{name}: unlocked\n"
    assert locked() == []


@pytest.mark.parametrize("command", ["lock", "unlock"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Name what to act on: --portal P, --app A, both, or --portal P --user ID."),
        (USER, "--user goes with --portal, and not with --app: a user is locked on the whole portal."),
        ((*APP, *USER), "--user goes with --portal, and not with --app: a user is locked on the whole portal."),
        (
            (*PORTAL, *APP, *USER),
            "--user goes with --portal, and not with --app: a user is locked on the whole portal.",
        ),
        ((*PORTAL, "--user", "99"), "No user '99' of 'acme.flowlu.com' was ever seen here."),
        # As from unset shell variables: none of these may mean the whole portal or application.
        ((*PORTAL, "--user", ""), "No user '' of 'acme.flowlu.com' was ever seen here."),
        ((*PORTAL, "--app", ""), "No application '' is registered. Import its manifest first."),
        (("--portal", "", *APP), "No portal '' was ever seen here."),
    ],
)
def test_none_two_or_unknown_things_are_refused(scene, run, command, options, message):
    with nothing_changes(), pytest.raises(CommandError) as caught:
        run(command, *options, *BY)

    assert str(caught.value) == message
