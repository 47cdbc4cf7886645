"""`withhold_scopes`: its line names what is withheld."""

import pytest
from django.core.management import CommandError

from tests import factories
from tests.unchanged import nothing_changes

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.crm")
BY = ("--operator", "reviewer", "--reason", "Not needed.")
IT = "com.example.crm on acme.flowlu.com (generation 1)"


@pytest.fixture
def asking(reviewer):
    """An installation whose application asks for more than was decided about."""
    app = factories.application("com.example.crm", permissions=["crm.accounts.full"])
    installation = factories.installation(app, approved=["crm.accounts.read"])
    factories.application(
        "com.example.crm", permissions=["crm.accounts.full", "fin.read", "nope.full"], version="2.0.0"
    )
    return installation


def test_what_is_withheld_is_named(asking, run):
    printed = run("withhold_scopes", *HERE, *BY)

    assert printed == (
        f"{IT}: withheld fin: new, at level read; nope.full: new and not in the catalogue: it grants nothing here\n"
    )


def test_second_run_has_nothing_to_decide_about(asking, run):
    run("withhold_scopes", *HERE, *BY)

    with nothing_changes():
        assert run("withhold_scopes", *HERE, *BY) == f"{IT}: nothing to decide about\n"


def test_installation_without_any_decision_is_refused(reviewer, run):
    factories.installation(factories.application("com.example.crm"))

    with nothing_changes(), pytest.raises(CommandError, match="Nothing was approved here yet"):
        run("withhold_scopes", *HERE, *BY)
