"""What holds for every command that acts for an operator: who may call it, a reason, one line, and its audit row."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.utils import timezone

from installations.management.operator_command import OperatorCommand
from installations.models import AuditEvent
from installations.services import approve_scopes, suspend_installation
from tests import factories
from tests.unchanged import last_event, nothing_changes

IN_A_MONTH = (timezone.now() + timedelta(days=30)).date().isoformat()
HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
# command: arguments, role that may, role that may not
COMMANDS = {
    "approve_scopes": ((*HERE, "crm.accounts.read"), "reviewer", "responder"),
    "withdraw_scopes": ((*HERE, "fin"), "reviewer", "responder"),
    "withhold_scopes": (HERE, "reviewer", "responder"),
    "state_present": (HERE, "responder", "reviewer"),
    "keep_scopes": ((*HERE, "fin", "--review-by", IN_A_MONTH), "reviewer", "responder"),
    "lower_scopes": ((*HERE, "crm.accounts"), "reviewer", "responder"),
    "suspend_installation": (HERE, "responder", "reviewer"),
    "resume_installation": (HERE, "responder", "reviewer"),
    "lock": (HERE, "responder", "reviewer"),
    "unlock": (HERE, "responder", "reviewer"),
    "revoke_tokens": (HERE, "responder", "reviewer"),
    "uninstall_installation": (HERE, "responder", "reviewer"),
}
# Those that act on no installation: what holds for a call of any command holds for them as well.
OF_NO_INSTALLATION = {
    "find_leaked": ((__file__,), "responder", "reviewer"),
    "rewrap_tokens": ((), "responder", "reviewer"),
}
ALL = COMMANDS | OF_NO_INSTALLATION
# Not about one installation: tested in files of their own.
ELSEWHERE = {
    "import_catalogue",
    # tests/flowlu_admin/test_operator_accounts.py
    "remove_operator",
    "restore_operator",
    "set_operator_groups",
    "sign_out_operator",
    "reset_second_factors",
    "set_operator_address",
    "invite_operator",  # tests/flowlu_admin/test_invitations.py
    # tests/installations/commands/test_set_allowed_origins.py
    "set_allowed_origins",
    "erase_portal_user",
    "import_tokens",  # tests/tokens/commands/test_import_tokens.py
    "prune_audit",
    # tests/tokens/commands/test_backend_use.py
    "add_api_key",
    "create_purpose",
    "create_service_client",
    "replace_api_key",
    "revoke_api_key",
    "switch_off_purpose",
    "switch_off_service_client",
}
VERBS = {
    "approve_scopes": "scopes.approved",
    "withdraw_scopes": "scopes.withdrawn",
    "withhold_scopes": "scopes.withheld",
    "state_present": "installation.stated_present",
    "keep_scopes": "scopes.kept",
    "lower_scopes": "scopes.lowered",
    "suspend_installation": "installation.suspended",
    "resume_installation": "installation.resumed",
    "lock": "installation.locked",
    "unlock": "installation.unlocked",
    "revoke_tokens": "tokens.revoked",
    "uninstall_installation": "installation.uninstalled",
}


@pytest.fixture
def scene(request, record, reviewer, responder, auditor, outsider):
    """An active installation with `fin.read` approved and one token, in the state that the command acts on."""
    command = request.node.callspec.params["command"]
    factories.token(record.installation, record.portal_user)
    approve_scopes(
        installation_id=record.installation.pk,
        requested=["fin.read", "crm.accounts.full"] if command == "lower_scopes" else ["fin.read"],
        actor=factories.superactor(),
        reason="For a test.",
    )
    if command == "withhold_scopes":
        factories.application(permissions=[*factories.SCOPES, "users.read"], version="2.0.0")
    if command == "state_present":
        factories.suspect(record.installation)
    if command == "resume_installation":
        suspend_installation(installation_id=record.installation.pk, actor=factories.superactor(), reason="For a test.")
    if command == "unlock":
        record.installation.locked_at = "2026-04-01T00:00:00Z"
        record.installation.save(update_fields=["locked_at"])
    return record.installation


@pytest.mark.parametrize("command", COMMANDS)
def test_permitted_operator_is_served_and_the_trail_says_by_command(scene, run, command, request):
    arguments, may, _may_not = COMMANDS[command]
    user = request.getfixturevalue(may)

    printed = run(command, *arguments, "--operator", may, "--reason", "An incident.")

    event = last_event()
    assert printed.count("\n") == 1
    assert printed.startswith("com.example.desk on acme.flowlu.com (generation 1): ")
    assert (event.verb, event.reason, event.via) == (VERBS[command], "An incident.", "command")
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("operator", str(user.pk), may)


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("who", ["other-role", "auditor", "outsider"])
def test_operator_without_the_permission_is_refused(scene, run, command, who):
    arguments, _may, may_not = ALL[command]

    with nothing_changes(), pytest.raises(CommandError, match="do not have the permission") as caught:
        run(command, *arguments, "--operator", may_not if who == "other-role" else who, "--reason", "An incident.")

    assert caught.value.returncode == 1


@pytest.mark.parametrize("command", ALL)
def test_unknown_operator_is_refused(scene, run, command):
    with nothing_changes(), pytest.raises(CommandError, match="no active operator named 'nobody'") as caught:
        run(command, *ALL[command][0], "--operator", "nobody", "--reason", "An incident.")

    assert caught.value.returncode == 1


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("lacks", ["is_active", "is_staff"])
def test_inactive_or_plain_account_is_refused_whatever_it_may(scene, run, superuser, command, lacks):
    setattr(superuser, lacks, False)
    superuser.save()

    with nothing_changes(), pytest.raises(CommandError, match="no active operator named 'superuser'"):
        run(command, *ALL[command][0], "--operator", "superuser", "--reason", "An incident.")


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("missing", ["--operator", "--reason"])
def test_operator_and_reason_must_be_given(scene, run, command, missing):
    arguments, may, _may_not = ALL[command]
    given = {"--operator": may, "--reason": "An incident."}
    del given[missing]

    with nothing_changes(), pytest.raises(CommandError, match=f"required: {missing}"):
        run(command, *arguments, *(part for pair in given.items() for part in pair))


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_of_no_or_too_many_characters_is_refused(scene, run, command, reason):
    arguments, may, _may_not = ALL[command]

    with nothing_changes(), pytest.raises(CommandError, match="reason of 1 to 1000 characters"):
        run(command, *arguments, "--operator", may, f"--reason={reason}")


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"withdraw_scopes"}))
def test_second_run_changes_nothing_and_succeeds(scene, run, command):
    arguments, may, _may_not = COMMANDS[command]
    run(command, *arguments, "--operator", may, "--reason", "An incident.")

    with nothing_changes():
        printed = run(command, *arguments, "--operator", may, "--reason", "An incident.")

    assert printed.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("portal", "app", "message"),
    [
        ("globex.flowlu.com", "com.example.desk", "No portal 'globex.flowlu.com' was ever seen here."),
        ("acme.flowlu.com", "com.example.nothing", "No application 'com.example.nothing' is registered."),
        ("acme.flowlu.com", "com.example.other", "'com.example.other' was never seen on 'acme.flowlu.com'."),
    ],
)
def test_what_was_never_seen_is_refused_by_name(scene, run, command, portal, app, message):
    factories.application("com.example.other")
    arguments, may, _may_not = COMMANDS[command]
    rest = [part for part in arguments if part not in HERE]

    with nothing_changes(), pytest.raises(CommandError) as caught:
        run(command, "--portal", portal, "--app", app, *rest, "--operator", may, "--reason", "An incident.")

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"lock", "unlock", "revoke_tokens"}))
def test_portal_and_application_must_be_given(scene, run, command):
    arguments, may, _may_not = COMMANDS[command]
    rest = [part for part in arguments if part not in HERE]

    with nothing_changes(), pytest.raises(CommandError, match="required: --portal, --app"):
        run(command, *rest, "--operator", may, "--reason", "An incident.")


@pytest.mark.parametrize("command", ALL)
def test_nothing_that_is_printed_holds_a_token(scene, run, command):
    arguments, may, _may_not = ALL[command]

    assert "an-access-token" not in run(command, *arguments, "--operator", may, "--reason", "An incident.")


def test_every_command_that_takes_an_operator_is_in_the_table():
    ours = {
        name
        for name, app in get_commands().items()
        if app in {"installations", "tokens", "flowlu_admin"}
        and issubclass(import_module(f"{app}.management.commands.{name}").Command, OperatorCommand)
    }
    assert ours - ELSEWHERE == ALL.keys()
    assert COMMANDS.keys() == VERBS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_the_command_does(command):
    assert load_command_class(get_commands()[command], command).help.endswith(".")


def test_portal_is_found_in_any_letter_case(record, responder, run):
    arguments = ("--portal", "ACME.flowlu.com", "--app", "com.example.desk")

    run("lock", *arguments, "--operator", "responder", "--reason", "An incident.")

    assert AuditEvent.objects.filter(verb="installation.locked").count() == 1


def test_unknown_option_is_refused(db):
    with pytest.raises(CommandError, match="unrecognized arguments: --everything"):
        call_command("lock", "--portal", "a", "--operator", "x", "--reason", "x", "--everything")
