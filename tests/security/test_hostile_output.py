"""Whatever strangers write is data in what commands print, in log lines and in answers of the API."""

import io
import logging
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flowlu_admin.redaction import RedactingFormatter, RedactionFilter
from installations.models import Application, Evidence, PortalUser
from tests import factories
from tests.embedded import Frontend
from tests.security.labels import ALL_LABELS, LABELS, SCOPES
from tests.security.permissions import COMMANDS
from tests.security.reading import deceits
from tests.security.scene import Scene, set_up
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def shell(application: Any) -> Scene:
    """An installation whose application has the worst id that an import takes, and the worst that a row may hold."""
    scene = set_up(application)
    type(application).objects.update(app_id="de\u0455k\u202e\x1b]0;owned\x07", name="De\u0455k\u202e\x1b]0;owned\x07")
    return scene


def run(name: str, *arguments: str) -> str:
    """Return all that a command printed, refusals included."""
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=out)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue().removesuffix("\n")


# A new service client's key is one line of standard output, and the summary another of standard error.
_TWO_LINES = {"create_service_client"}
# Each entry that changes is a line, and what it covers is one. Each line of a table has one.
_LINES_OF_ITS_OWN = {"import_catalogue", "import_tokens"}
OPERATOR_COMMANDS = {
    name: arguments for name, (_who, arguments) in COMMANDS.items() if arguments and name not in _TWO_LINES
}


@pytest.fixture(autouse=True)
def _typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a-key-that-is-typed\n"))


@pytest.mark.parametrize("command", OPERATOR_COMMANDS)
def test_no_command_writes_to_the_terminal_what_a_label_holds(shell: Scene, command: str) -> None:
    app_id = type(shell.application).objects.get().app_id
    arguments = [app_id if text == "com.example.desk" else text for text in OPERATOR_COMMANDS[command]]

    said = run(command, *arguments, "--operator", "superuser", "--reason", "A test.")

    # What names no application says nothing of one.
    assert ("\\u202E\\u001B]0;owned\\u0007" in said) is (app_id in arguments)
    assert deceits(said) == set()
    assert "\n" not in said or command in _LINES_OF_ITS_OWN


@pytest.mark.parametrize("command", OPERATOR_COMMANDS)
def test_what_a_command_refuses_is_one_visible_line(shell: Scene, command: str) -> None:
    label = "".join(ALL_LABELS)
    app_id = type(shell.application).objects.get().app_id
    there = ["--portal", "acme.flowlu.com", f"--app={app_id}", "--operator", "superuser"]
    tries = {
        "portal": [f"--portal={label}", "--app=x", "--operator", "superuser", "--reason=x"],
        "app": ["--portal", "acme.flowlu.com", f"--app={label}", "--operator", "superuser", "--reason=x"],
        "operator": ["--portal", "acme.flowlu.com", f"--app={app_id}", f"--operator={label}", "--reason=x"],
        "reason": [*there, f"--reason={label}"],
    }
    for what, arguments in tries.items():
        scopes = ["x"] if "scopes" in command else []
        said = run(command, *scopes, *arguments)
        assert said, what
        assert deceits(said) == set(), what
        assert "\n" not in said, what


@pytest.mark.parametrize("command", ["approve_scopes", "withdraw_scopes"])
def test_scope_that_is_named_in_a_shell_is_refused_in_one_visible_line(shell: Scene, command: str) -> None:
    app_id = type(shell.application).objects.get().app_id
    there = ("--portal", "acme.flowlu.com", f"--app={app_id}", "--operator", "superuser", "--reason=x")
    for scope in SCOPES:
        with nothing_changes():
            said = run(command, *there, "--", scope)
        assert said
        assert deceits(said) == set()
        assert "\n" not in said


def test_imported_manifest_writes_no_label_to_the_terminal(tmp_path: Any) -> None:
    file = tmp_path / "manifest.json"
    hostile = {label: label for label in ALL_LABELS}
    file.write_text(factories.manifest("de\u0455k", permissions=[*SCOPES, *ALL_LABELS], **hostile), encoding="utf-8")

    said = run("import_manifest", str(file))

    assert said.splitlines()[-1].endswith(": registered")
    assert all(line.startswith("note: ") for line in said.split("\n")[:-1])
    assert deceits(said) == set()


def test_refused_manifest_writes_no_label_to_the_terminal(tmp_path: Any) -> None:
    file = tmp_path / f"{'m' + LABELS['direction'][0]}.json"
    for label in ALL_LABELS:
        file.write_text(factories.manifest(label, name=label, version=label, entrypointURL=label, author=label))
        said = run("import_manifest", str(file))
        assert deceits(said) == set()
        assert all(line.startswith("  ") for line in said.split("\n")[1:])
    assert deceits(run("import_manifest", str(tmp_path / "".join(LABELS["direction"])))) == set()
    file.write_text('{"a\\u202e\\u001b[2J": 1, "a\\u202e\\u001b[2J": 2}')
    assert deceits(run("import_manifest", str(file))) == set()


@pytest.mark.parametrize("label", ALL_LABELS)
def test_label_is_data_in_a_log_line(label: str) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(RedactionFilter())
    handler.setFormatter(RedactingFormatter("{levelname} {name}: {message}", style="{"))
    record = logging.LogRecord("labels", logging.WARNING, "", 0, "Nobody named %s was seen", (label,), None)

    handler.handle(record)

    line = written.getvalue()
    assert line.startswith("WARNING labels: Nobody named ")
    assert line.endswith(" was seen\n")
    assert len(line.splitlines()) == 1
    assert deceits(line) == set()


@pytest.mark.parametrize("kind", LABELS)
def test_label_is_data_in_an_answer_of_the_api(ana: Frontend, kind: str) -> None:
    name = "".join(LABELS[kind])[:200]
    Application.objects.update(name=name)
    ana.sandbox.state.portal("acme.flowlu.com").tables["core", "user"][int(ana.user_id)]["name"] = name

    for answer in (ana.handshake(), ana.get("session")):
        assert answer["Content-Type"] == "application/json"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer.json()["application"]["name"] == name
        shown = answer.json()["user"]["name"]
        assert shown == PortalUser.objects.get().name
        assert shown.isprintable() or kind not in ("control", "formula")  # Flowlu's controls were taken out


@pytest.mark.parametrize("kind", LABELS)
def test_hint_of_a_launch_is_stored_as_data_or_refused(ana: Frontend, kind: str) -> None:
    for label in LABELS[kind]:
        answer = ana.handshake(integration_point=label)
        assert answer.status_code in (201, 400)
        assert answer["Content-Type"] == "application/json"
        if answer.status_code == 201:
            assert Evidence.objects.latest("pk").integration_point == label
        else:
            assert list(answer.json()["fields"]) == ["integration_point"]
            assert label not in answer.json()["fields"]["integration_point"]
            assert not label.isprintable()
