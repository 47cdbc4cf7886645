"""`suspend_installation` and `resume_installation`: their lines, and that an uninstalled one is refused."""

import pytest
from django.core.management import CommandError

from tests import factories
from tests.unchanged import nothing_changes
from tokens.services.revocation import uninstall_installation

HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
BY = ("--operator", "responder", "--reason", "An incident.")
IT = "com.example.desk on acme.flowlu.com (generation 1)"


def test_there_and_back_each_with_its_line(installation, responder, run):
    assert run("resume_installation", *HERE, *BY) == f"{IT}: was not suspended\n"
    assert run("suspend_installation", *HERE, *BY) == f"{IT}: suspended\n"
    assert run("suspend_installation", *HERE, *BY) == f"{IT}: was suspended already\n"
    assert run("resume_installation", *HERE, *BY) == f"{IT}: resumed\n"


@pytest.mark.parametrize("command", ["suspend_installation", "resume_installation"])
def test_uninstalled_installation_is_refused(installation, responder, run, command):
    uninstall_installation(installation_id=installation.pk, actor=factories.superactor(), reason="Gone.")

    with nothing_changes(), pytest.raises(CommandError, match="This installation is uninstalled"):
        run(command, *HERE, *BY)


def test_live_generation_is_meant_and_not_an_old_one(application, installation, responder, run):
    uninstall_installation(installation_id=installation.pk, actor=factories.superactor(), reason="Gone.")
    factories.launch(application)

    printed = run("suspend_installation", *HERE, *BY)

    assert printed == "com.example.desk on acme.flowlu.com (generation 2): suspended\n"
