"""How the server runs: start and stop, refusals to start, keep-alive, odd requests, and the state file."""

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flowlu_admin.sandbox.book import SandboxError
from flowlu_admin.sandbox.server import NotLoopbackError, SandboxServer
from tests.flowlu_admin.sandbox.conftest import Client

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str, debug: str | None = "1") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DEBUG", "DJANGO_SETTINGS_MODULE")}
    if debug is not None:
        environment["DEBUG"] = debug
    command = [sys.executable, "-m", "flowlu_admin.sandbox", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("debug", [None, "", "0", "false"])
def test_it_refuses_to_run_in_production(debug: str | None) -> None:
    result = run("--port", "0", debug=debug)
    assert result.returncode == 2
    assert "Set DEBUG=1" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com"])
def test_it_refuses_an_address_that_others_can_reach(host: str) -> None:
    result = run("--port", "0", "--host", host)
    assert result.returncode == 2
    assert "loopback" in result.stderr
    with pytest.raises(NotLoopbackError):
        SandboxServer(host=host)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert result.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("_case", "arguments", "status", "sentence"),
    [
        ("address that is none", ("--embed-url", "nonsense"), 2, "--embed-url must be an http address"),
        ("port out of range", ("--port", "70000"), 2, "no port 70000"),
        ("manifest that is missing", ("--manifest", "/nonexistent.json"), 1, "not a manifest"),
    ],
)
def test_a_wrong_argument_ends_in_a_sentence(
    _case: str, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    result = run("--port", "0", *arguments)
    assert result.returncode == status
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("permissions", ["crm", [7], {}])
def test_a_manifest_whose_permissions_are_no_list_ends_in_a_sentence(tmp_path: Path, permissions: object) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"permissions": permissions}))
    result = run("--port", "0", "--manifest", str(manifest))
    assert result.returncode == 1
    assert f"The permissions in {manifest} are not a list of texts." in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(number: int, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"permissions": ["crm.accounts.read"]}))
    command = [sys.executable, "-m", "flowlu_admin.sandbox", "--port", "0", "--manifest", str(manifest)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "DEBUG": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.rstrip("/\n").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/_sandbox/portals")
    assert json.loads(connection.getresponse().read())["requested"] == ["crm.accounts.read"]
    # The connection is still open: stopping must not wait for it.
    process.send_signal(number)
    _, errors = process.communicate(timeout=5)
    connection.close()
    assert process.returncode == 0
    assert errors == ""


def test_what_never_started_gives_its_port_back_too() -> None:
    sandbox = SandboxServer()
    sandbox.stop()
    with socket.create_server(("127.0.0.1", sandbox.port)) as taken:
        assert taken.getsockname()[1] == sandbox.port


def test_it_needs_no_django() -> None:
    code = "import sys, flowlu_admin.sandbox.__main__; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_connection_serves_many_requests(client: Client, sandbox: SandboxServer, token: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request(
            "GET",
            "/acme.flowlu.com/api/v1/module/core/user/get",
            headers={"Authorization": f"Bearer {token}"},
        )
        response = connection.getresponse()
        assert (response.status, response.version) == (200, 11)
        response.read()
    assert connection.sock is first
    connection.close()


def test_stopping_ends_open_connections_and_gives_the_port_back() -> None:
    with SandboxServer() as sandbox:
        port = sandbox.port
        idle = socket.create_connection(("127.0.0.1", port), timeout=5)
        idle.sendall(b"GET /_sandbox/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
    assert idle.recv(10) == b""
    idle.close()
    with SandboxServer(port=port) as again:
        assert Client(again).control("GET", "health").json == {"ok": True}


@pytest.mark.parametrize(
    ("_case", "request_bytes", "status"),
    [
        ("no HTTP", b"HELO sandbox\r\n\r\n", 400),
        ("header without colon", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", 400),
        ("length in words", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n\r\n", 400),
        ("length too large", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("chunked body", b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("too many headers", b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 200, 431),
        ("no host", b"GET / HTTP/1.1\r\n\r\n", 421),
        ("host that is no host", b"GET / HTTP/1.1\r\nHost: [\r\n\r\n", 421),
    ],
)
def test_odd_requests_get_an_answer(sandbox: SandboxServer, _case: str, request_bytes: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(request_bytes)
        assert connection.recv(65_536).startswith(f"HTTP/1.1 {status} ".encode())


def test_tokens_survive_a_restart_with_a_state_file_of_the_owners_own(tmp_path: Path) -> None:
    file = tmp_path / "var" / "sandbox.json"
    with SandboxServer(state_file=file) as first:
        pair = first.state.issue_tokens("acme", "2")
        first.state.approve("globex", ["task.full"])
        first.state.configure("acme", access_lifetime=120)
        key = first.state.create_api_key("acme")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["sandbox.json"]
    with SandboxServer(state_file=file) as second:
        client = Client(second)
        assert client.call("core/user/get", pair.access_token).json["response"]["id"] == "2"
        assert client.call("crm/account/list", query={"api_key": key}).status == 200
        assert second.state.refresh(pair.refresh_token).user_id == "2"
        assert second.state.approved_scopes(second.state.portal("globex")) == ("task.full",)
        assert second.state.portal("acme").settings.access_lifetime == 120


def test_what_is_kept_of_a_portal_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.json"
    with SandboxServer(state_file=file) as first:
        pair = first.state.issue_tokens("acme", "2")
        gone = first.state.issue_tokens("globex", "2")
    file.write_text(file.read_text().replace("globex.flowlu.com", "gone.flowlu.com"))
    with SandboxServer(state_file=file) as second:
        assert Client(second).call("core/user/get", pair.access_token).status == 200
        assert "gone.flowlu.com" not in second.state.portals
        assert Client(second).call("core/user/get", gone.access_token, portal="globex").status == 401


def test_without_a_state_file_nothing_survives() -> None:
    with SandboxServer() as first:
        pair = first.state.issue_tokens("acme", "2")
    with SandboxServer() as second:
        assert Client(second).call("core/user/get", pair.access_token).status == 401


@pytest.mark.parametrize("content", ["", "[]", '{"pairs": [{"x": 1}], "portals": {}}', '{"pairs": []}'])
def test_a_state_file_that_is_none_is_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(content)
    with pytest.raises(SandboxError, match="not a state file"):
        SandboxServer(state_file=file)
    assert file.read_text() == content


def test_addresses_for_the_settings(sandbox: SandboxServer) -> None:
    assert sandbox.url == f"http://localhost:{sandbox.port}"
    assert sandbox.portal_url_template == f"http://localhost:{sandbox.port}/{{portal}}"
    assert sandbox.embed_url == sandbox.site.embed_url
    assert sandbox.sdk_url == f"http://localhost:{sandbox.port}/sdk/miniapp-jssdk.js"
