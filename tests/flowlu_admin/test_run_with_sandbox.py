"""What `make run` asks for before it starts anything; tests/browser starts it whole."""

import socket
import stat
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flowlu_admin.management.commands import run_with_sandbox
from flowlu_admin.management.commands.run_with_sandbox import Command
from tests import factories
from tests.unchanged import nothing_changes


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("debug", "environment", "message"),
    [
        (False, {}, "set DEBUG=1"),
        (True, {"PORT": "http"}, "PORT must be a port number from 1 to 65535; it is 'http'"),
        (True, {"SANDBOX_PORT": "65536"}, "SANDBOX_PORT must be a port number"),
        (True, {"PORT": "8001"}, "PORT and SANDBOX_PORT must differ"),
    ],
    ids=["production", "word", "too-large", "same"],
)
def test_start_that_cannot_be_is_refused_and_changes_nothing(
    settings: Any, monkeypatch: pytest.MonkeyPatch, debug: bool, environment: dict[str, str], message: str
) -> None:
    settings.DEBUG = debug
    for name in ("PORT", "SANDBOX_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with nothing_changes(), pytest.raises(CommandError, match=message):
        call_command("run_with_sandbox")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_port_that_somebody_listens_at_is_refused_before_anything_is_started(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings.DEBUG = True
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        unused = free.getsockname()[1]
        free.close()
        monkeypatch.setenv("PORT", str(unused))
        monkeypatch.setenv("SANDBOX_PORT", str(unused - 1))
        taken = other.getsockname()[1]
        monkeypatch.setenv(name, str(taken))

        with nothing_changes(), pytest.raises(CommandError, match=f"^{name} {taken} is taken. Choose others: make run"):
            call_command("run_with_sandbox")


@pytest.mark.django_db
def test_sample_is_registered_once_and_a_manifest_of_somebodys_own_stays() -> None:
    sample = run_with_sandbox._application()
    assert run_with_sandbox._application() == sample
    own = factories.application(sample.app_id, version="7.0.0")

    with nothing_changes():
        assert run_with_sandbox._application().current_manifest == own.current_manifest


@pytest.mark.django_db
def test_operator_is_made_once_and_gets_a_new_password_when_its_file_is_gone(
    settings: Any, tmp_path: Any, django_user_model: Any
) -> None:
    settings.VAR_DIR = tmp_path / "new" / "var"

    path = Command()._operator()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    first = path.read_text()
    assert Command()._operator() == path
    assert path.read_text() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.unlink()
    Command()._operator()

    name, password = (line.partition(": ")[2] for line in path.read_text().splitlines())
    assert django_user_model.objects.get().check_password(password)
    assert (django_user_model.objects.get().username, path.read_text() != first) == (name, True)


def test_token_endpoint_is_the_sandboxs_unless_another_one_is_named(settings: Any) -> None:
    made = run_with_sandbox._endpoint_of_sandbox("http://localhost:8001")
    assert made["FLOWLU_TOKEN_URL"] == "http://localhost:8001/oauth/token"
    assert made["FLOWLU_CLIENT_SECRET"] != run_with_sandbox._endpoint_of_sandbox("x")["FLOWLU_CLIENT_SECRET"]

    settings.FLOWLU_TOKEN_URL = "https://flowlu.com/oauth/token"
    assert run_with_sandbox._endpoint_of_sandbox("http://localhost:8001") == {}
