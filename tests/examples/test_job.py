"""`docs/examples/job.py`, as its reader runs it: the key goes to the service alone, and no name steers a terminal."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

JOB = Path(__file__).resolve().parents[2] / "docs/examples/job.py"
KEY = "fls_SECRET"


class Answering(ThreadingHTTPServer):
    """Gives one answer to everybody, and keeps the headers that it was asked with."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.headers, self.body = status, headers, body
        self.asked: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        self.send_response(self.server.status)
        for name, value in {**self.server.headers, "Content-Length": str(len(self.server.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[Answering]:
    server = Answering(200, {}, b'{"items": [{"name": "Elsewhere"}]}')
    yield server
    server.shutdown()
    server.server_close()


def run(service: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SERVICE": service, "SERVICE_KEY": KEY}
    line = [sys.executable, str(JOB), "user:com.example.desk@acme.flowlu.com/2"]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_key_does_not_follow_a_redirect(elsewhere: Answering, status: int) -> None:
    service = Answering(status, {"Location": f"{elsewhere.address}/service/v1/"}, b"<html>Moved</html>")

    ended = run(service.address)

    assert [headers["Authorization"] for headers in service.asked] == [f"Bearer {KEY}"]
    assert elsewhere.asked == []
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"{status}: that was not the service. Is SERVICE its address?\n"
    service.shutdown()
    service.server_close()


@pytest.mark.parametrize("service", ["http://desk.example.com", "http://127.0.0.1.example.com", "desk.example.com"])
def test_key_goes_nowhere_in_clear(service: str) -> None:
    ended = run(service)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "SERVICE must be an https address: over plain http everybody on the way reads the key.\n"


def test_names_are_shown_and_steer_no_terminal(elsewhere: Answering) -> None:
    names = ["José Núñez", "\x1b]0;owned\x07\x1b[2J", "\u202eevil", "two\nlines"]
    elsewhere.body = json.dumps({"items": [{"name": name} for name in names]}).encode()

    ended = run(elsewhere.address)

    assert ended.stdout.splitlines() == ["'José Núñez'", r"'\x1b]0;owned\x07\x1b[2J'", r"'\u202eevil'", r"'two\nlines'"]


def test_refusal_of_the_service_is_told(elsewhere: Answering) -> None:
    elsewhere.status, elsewhere.body = 403, b'{"error": "token_stale", "error_description": "Open it again."}'

    assert run(elsewhere.address).stderr == "403 token_stale: Open it again.\n"
