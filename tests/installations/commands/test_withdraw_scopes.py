"""`withdraw_scopes`: its line names what went along and what was kept."""

import pytest
from django.core.management import CommandError

from tests import factories
from tests.unchanged import nothing_changes

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.crm")
BY = ("--operator", "reviewer", "--reason", "Over.")
IT = "com.example.crm on acme.flowlu.com (generation 1)"


@pytest.fixture
def swallowing(reviewer):
    """An installation where `crm.read` swallows two parts."""
    app = factories.application("com.example.crm", permissions=["crm.full", "crm.accounts.full", "crm.deals.full"])
    return factories.installation(app, approved=["crm.read", "crm.accounts.full", "crm.deals.read"])


def test_what_had_been_swallowed_is_named(swallowing, run):
    printed = run("withdraw_scopes", *HERE, "crm", *BY)

    assert printed == (
        f"{IT}: withdrawn crm.read; with them, as they were swallowed: crm.accounts.full, crm.deals.read\n"
    )


def test_what_is_kept_is_named(swallowing, run):
    printed = run("withdraw_scopes", *HERE, "crm.read", "--keep", "crm.accounts", "--keep", "crm.deals", *BY)

    assert printed == f"{IT}: withdrawn crm.read; kept: crm.accounts.full, crm.deals.read\n"


def test_second_run_is_refused_and_changes_nothing(swallowing, run):
    run("withdraw_scopes", *HERE, "crm", *BY)

    with nothing_changes(), pytest.raises(CommandError) as caught:
        run("withdraw_scopes", *HERE, "crm", *BY)

    assert str(caught.value) == "Not approved at present: crm. Look at the installation again."


def test_what_cannot_be_kept_is_named(swallowing, run):
    printed = run("withdraw_scopes", *HERE, "crm.accounts", "--keep", "crm.accounts.full", *BY)

    assert printed == (
        f"{IT}: withdrawn crm.accounts.full; nothing to keep of crm.accounts.full: nothing withdrawn swallowed it\n"
    )


def test_other_level_than_the_approved_one_is_refused(swallowing, run):
    with nothing_changes(), pytest.raises(CommandError) as caught:
        run("withdraw_scopes", *HERE, "crm", "--keep", "crm.accounts.read", *BY)

    assert str(caught.value) == "Approved at another level: crm.accounts.full. Look at the installation again."
