"""`erase_portal_user`: one person of one portal."""

from typing import Any

import pytest
from django.core.management import CommandError

from installations.models import PortalUser
from tests import factories
from tests.unchanged import nothing_changes

WHO = ("--portal", "acme.flowlu.com", "--user", "7")
BY = ("--operator", "responder", "--reason", "They asked.")


def test_user_is_erased_and_a_second_run_changes_nothing(record: Any, run: Any, responder: Any) -> None:
    factories.token(record.installation, record.portal_user)
    printed = run("erase_portal_user", *WHO, *BY)
    assert printed == "user 7 of acme.flowlu.com: erased, 1 token revoked, 0 sessions ended\n"
    assert PortalUser.objects.get().name == ""
    with nothing_changes():
        assert run("erase_portal_user", *WHO, *BY) == "user 7 of acme.flowlu.com: was erased already\n"


def test_other_roles_and_unknown_people_are_refused(record: Any, run: Any, responder: Any, reviewer: Any) -> None:
    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission"):
        run("erase_portal_user", *WHO, "--operator", "reviewer", "--reason", "They asked.")
    with nothing_changes(), pytest.raises(CommandError, match="No user '99'"):
        run("erase_portal_user", "--portal", "acme.flowlu.com", "--user", "99", *BY)
    with nothing_changes(), pytest.raises(CommandError, match="No user ''"):
        run("erase_portal_user", "--portal", "acme.flowlu.com", "--user", "", *BY)
