"""`uninstall_installation`: once, with the number of tokens that went with it."""

from installations.models import Installation
from tests import factories
from tests.unchanged import nothing_changes

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
BY = ("--operator", "responder", "--reason", "The customer left.")
IT = "com.example.desk on acme.flowlu.com (generation 1)"


def test_tokens_go_with_the_installation(record, responder, run):
    factories.token(record.installation, record.portal_user)

    assert run("uninstall_installation", *HERE, *BY) == f"{IT}: uninstalled, 1 token revoked\n"
    assert Installation.objects.get().status == "uninstalled"


def test_second_run_changes_nothing_and_succeeds(record, responder, run):
    run("uninstall_installation", *HERE, *BY)

    with nothing_changes():
        assert run("uninstall_installation", *HERE, *BY) == f"{IT}: was uninstalled already\n"
