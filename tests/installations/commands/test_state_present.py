"""`state_present`: its line says whether the installation was suspected to be removed."""

from tests import factories
from tests.unchanged import nothing_changes

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.crm")
BY = ("--operator", "responder", "--reason", "Their administrator says so.")
IT = "com.example.crm on acme.flowlu.com (generation 1)"


def test_statement_is_told_and_repeated_it_changes_nothing(responder, run):
    here = factories.installation(factories.application("com.example.crm"))
    with nothing_changes():
        assert run("state_present", *HERE, *BY) == f"{IT}: was not suspected to be removed\n"
    factories.suspect(here)

    assert run("state_present", *HERE, *BY) == f"{IT}: stated to be still there\n"

    with nothing_changes():
        assert run("state_present", *HERE, *BY) == f"{IT}: was not suspected to be removed\n"
