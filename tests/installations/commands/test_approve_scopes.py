"""`approve_scopes`: its line, and refusals in one line."""

import pytest
from django.core.management import CommandError

from installations.models import ApprovalRequest, BreakGlass
from tests.unchanged import last_event, nothing_changes

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
BY = ("--operator", "reviewer", "--reason", "Needed.")
IT = "com.example.desk on acme.flowlu.com (generation 1)"


def test_first_approval_says_that_the_installation_is_active_now(installation, reviewer, run):
    printed = run("approve_scopes", *HERE, "crm.accounts.read", "fin.read", *BY)

    assert printed == f"{IT}: approved crm.accounts.read, fin.read; the installation is active now\n"
    installation.refresh_from_db()
    assert installation.status == "active"


def test_second_run_says_that_there_was_nothing_new(installation, reviewer, run):
    run("approve_scopes", *HERE, "fin.read", *BY)

    with nothing_changes():
        printed = run("approve_scopes", *HERE, "fin.read", *BY)

    assert printed == f"{IT}: approved nothing new; already approved: fin.read\n"


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("warp.drive", "warp.drive is not in the scope catalogue, so it cannot be approved."),
        ("users.read", "The manifest does not ask for users.read."),
        ("crm.deals.full", "The manifest does not ask for crm.deals.full."),
    ],
)
def test_refusal_is_one_line_that_names_the_scope(installation, reviewer, run, scope, message):
    with nothing_changes(), pytest.raises(CommandError) as caught:
        run("approve_scopes", *HERE, "fin.read", scope, *BY)

    assert str(caught.value) == message


def test_at_least_one_scope_must_be_named(installation, reviewer, run):
    with nothing_changes(), pytest.raises(CommandError, match="SCOPE"):
        run("approve_scopes", *HERE, *BY)


def test_high_risk_is_asked_for_where_four_eyes_are_on(installation, reviewer, run, settings):
    settings.FOUR_EYES = "on"

    printed = run("approve_scopes", *HERE, "fin.read", *BY)

    request = ApprovalRequest.objects.get()
    assert printed == (
        f"{IT}: nothing approved yet; reviewer asked for fin.read, and another operator has to confirm request "
        f"#{request.pk} in the console\n"
    )
    assert last_event().via == "command"


def test_break_glass_needs_its_own_permission(installation, reviewer, superuser, run, settings):
    settings.FOUR_EYES = "on"

    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        run("approve_scopes", *HERE, "fin.read", "--break-glass", *BY)
    printed = run(
        "approve_scopes", *HERE, "fin.read", "--break-glass", "--operator", "superuser", "--reason", "It burns."
    )

    assert printed == f"{IT}: approved fin.read; the installation is active now\n"
    assert BreakGlass.objects.get().requested_by == "superuser"
