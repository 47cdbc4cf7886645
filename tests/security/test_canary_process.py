"""The canaries in a real process: gunicorn at its most talkative, and every file that it leaves behind."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from tests.canary import Canaries
from tests.factories import APP_ID, manifest
from tests.flowlu_admin.oidc.conftest import address_in
from tests.flowlu_admin.test_wsgi import KEYS
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, TOKENS, OpenIDProvider

PORTAL = "acme.flowlu.com"


class Service:
    """gunicorn on a SQLite file, logging everything that it can; outside of this process nothing is filtered twice."""

    def __init__(
        self, folder: Path, root: Path, sandbox: SandboxServer, provider: OpenIDProvider, secrets: dict[str, str]
    ) -> None:
        self.folder, self.root, self.log = folder, root, folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = kept | {
            **KEYS,
            "DEBUG": "1",
            "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings",
            "VAR_DIR": str(folder),
            "PORT": str(self.port),
            "LOG_LEVEL": "DEBUG",
            "GUNICORN_CMD_ARGS": "--log-level debug",
            "FLOWLU_PORTAL_URL": sandbox.portal_url_template,
            "FLOWLU_CONNECT_SECONDS": "1",
            "FLOWLU_READ_SECONDS": "1",
            "FLOWLU_TOTAL_SECONDS": "2",
            "FLOWLU_TOKEN_URL": sandbox.token_url,
            "FLOWLU_CLIENT_ID": "a-vendor",
            "FLOWLU_CLIENT_SECRET": secrets["client secret"],
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": secrets["company's client secret"],
            "OIDC_GROUP_MAP": "desk=Auditor",
            "OIDC_CREATE_OPERATORS": "1",
            # No setting of this name exists. Whatever stands in the environment is not to be told either.
            "FLOWLU_API_KEY": secrets["API key"],
        }
        self.manage("migrate", "--verbosity=0")
        self.manage("import_manifest", "-", stdin=manifest())

    def manage(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.root, env=self.environment, input=stdin, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return done.stdout + done.stderr

    def __enter__(self) -> "Service":
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
        stream = self.log.open("wb")
        self.process = subprocess.Popen(
            [*command, "flowlu_admin.wsgi:application"],
            cwd=self.root, env=self.environment, stdout=stream, stderr=stream,
        )  # fmt: skip
        self.wait_for("Booting worker")
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=90)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.log.read_text(errors="replace"):
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-3000:]
            assert self.process.poll() is None
            time.sleep(0.05)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = json.dumps(body) if isinstance(body, dict) else body
        link.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
        response = link.getresponse()
        answered = response.read()
        link.close()
        return response.status, repr(response.getheaders()).encode() + b"\n" + answered

    def send(self, raw: str) -> bytes:
        """Send bytes that no client would, and return what comes back."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall(raw.encode())
            connection.shutdown(socket.SHUT_WR)
            found = b""
            with suppress(ConnectionResetError):  # it does not read what it has refused
                while part := connection.recv(65536):
                    found += part
            return found


@pytest.fixture
def canaries() -> Canaries:
    found = Canaries()
    # Fixed, so that nothing depends on a random value that looks like none: letters of both cases, digits, no words.
    for number, name in enumerate(("API key", "client secret", "service key", "unknown token")):
        found.add(name, f"{number}Qz7Rk2Wm9Xp4Lt6Bv8Nc1Hd3Jf5Gs0{number}yT7uVbN2kPqE")
    found.add("company's client secret", CLIENT_SECRET)
    for number, token in enumerate(TOKENS):
        found.add(f"token of the company's provider {number}", token)
    return found


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    made = OpenIDProvider()
    made.claims = {"groups": ["desk"], "name": "Nina"}
    yield made
    made.stop()


@pytest.fixture
def service(
    tmp_path: Path, project_root: Path, sandbox: SandboxServer, provider: OpenIDProvider, canaries: Canaries
) -> Iterator[Service]:
    with Service(tmp_path, project_root, sandbox, provider, canaries.secrets) as service:
        yield service


class Browser:
    """Keeps cookies and looks at everything that comes."""

    def __init__(self, service: Service, canaries: Canaries) -> None:
        self._service, self._canaries = service, canaries
        self.cookies: SimpleCookie = SimpleCookie()

    def ask(self, method: str, path: str, **form: str) -> tuple[int, str]:
        link = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=30)
        form |= {"csrfmiddlewaretoken": self.cookies["operator_csrf"].value} if method == "POST" else {}
        kept = "; ".join(f"{name}={cookie.value}" for name, cookie in self.cookies.items())
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": kept}
        link.request(method, path, urlencode(form), headers)
        response = link.getresponse()
        page = response.read().decode()
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                self.cookies.load(value)
            else:
                self._canaries.look(f"{name} of {urlsplit(path).path}", value)
        link.close()
        self._canaries.look(urlsplit(path).path, page)
        return response.status, page


def sign_in_with_the_company(service: Service, provider: OpenIDProvider, canaries: Canaries) -> set[int]:
    """Walk the whole way in: with a good code, the same again, one of nobody's, and a provider that knows no client."""
    browser = Browser(service, canaries)
    statuses = {browser.ask("GET", "/accounts/login/")[0]}
    for case in ("refused", "good", "unknown"):
        provider.answers = {"token": (401, CLIENT_SECRET.encode())} if case == "refused" else {}
        status, page = browser.ask("POST", "/accounts/company/login/")
        assert status == 200, page
        back = provider.visit(address_in(page))
        code = parse_qs(urlsplit(back).query)["code"][0]
        canaries.add(f"code ({case})", code)
        if case == "unknown":
            back = back.replace(code, canaries.secrets["unknown token"])
        for _again in range(2):
            statuses.add(browser.ask("GET", back)[0])
        if case == "good":
            assert provider.redeemed[-1]["code"] == code
            assert browser.ask("GET", "/admin/")[0] == 200
            browser = Browser(service, canaries)
            browser.ask("GET", "/accounts/login/")
    return statuses


def broken_requests(secret: str) -> Iterator[str]:
    """Yield what gunicorn refuses by itself, each with the secret in what it refuses."""
    host = "Host: localhost\r\n"
    yield f"GET /api/v1/session?access_token={secret} FTP/1.1\r\n{host}\r\n"
    yield f"GET /x?{secret} HTTP/9.9\r\n{host}\r\n"
    yield f"GET /api/v1/{secret}\r\n{host}\r\n"
    yield f"{secret} / HTTP/1.1\r\n{host}\r\n"
    yield f"{secret}\r\n\r\n"
    yield f"GET / HTTP/1.1\r\n{host}{secret} x: 1\r\n\r\n"
    yield f"GET / HTTP/1.1\r\n{host}X-Session-Token {secret}\r\n\r\n"
    yield f"GET / HTTP/1.1\r\n{host}X-Session-Token: {secret}\0\r\n\r\n"
    yield f"GET / HTTP/1.1\r\n{host}X-Session-Token: a\r\n {secret}\r\n\r\n"
    yield f"GET / HTTP/1.1\r\n{host}Expect: {secret}\r\n\r\n"
    yield f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: {secret}\r\n\r\n"
    yield f"POST / HTTP/1.1\r\n{host}Content-Length: {secret}\r\n\r\n"
    yield f"POST /api/v1/session HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{secret}\r\n\r\n"
    yield f"GET / HTTP/1.1\r\n{host}X-Session-Token: {secret * 400}\r\n\r\n"
    yield f"GET /{secret * 400} HTTP/1.1\r\n{host}\r\n"
    yield f"PROXY TCP4 {secret} 1.1.1.1 1 1\r\n\r\n"
    yield f"GET / HTTP/1.1\r\nHost: {secret}\r\n\r\n"
    yield f"GET / HTTP/1.1\r\nHost: {secret}.example.com:{secret}\r\n\r\n"


@pytest.mark.django_db
def test_gunicorn_writes_no_secret_to_its_logs_or_files(
    service: Service, sandbox: SandboxServer, provider: OpenIDProvider, canaries: Canaries
) -> None:
    pair = sandbox.state.issue_tokens(PORTAL, "2")
    canaries.add("access token", pair.access_token)
    canaries.add("refresh token", pair.refresh_token)
    launch = {
        "portal": PORTAL,
        "app_id": APP_ID,
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "expires_at": pair.expires_at_text,
    }
    # Whoever still reads keeps the write-ahead log from being folded into the file.
    reader = sqlite3.connect(service.folder / "db.sqlite3")
    reader.execute("SELECT count(*) FROM tokens_oauthtoken").fetchone()
    status, answered = service.ask("POST", "/api/v1/session", launch)
    assert status == 201, answered
    session_token = json.loads(answered.partition(b"\n")[2])["session_token"]
    canaries.add("session token", session_token)
    canaries.look("the handshake", answered, but=("session token",))
    headers = {"X-Session-Token": session_token}

    statuses = set()
    for name, secret in canaries.secrets.items():
        everywhere = {
            "Authorization": f"Bearer {secret}",
            "X-Session-Token": secret,
            "Cookie": f"operator_session={secret}; x={secret}",
            "Referer": f"http://localhost/?{secret}",
            "User-Agent": secret,
            "X-Forwarded-For": secret,
        }
        for method, path, body in (
            ("GET", f"/api/v1/session?access_token={secret}&x={secret}", None),
            ("GET", f"/api/v1/{secret}", None),
            ("GET", f"/api/v1/flowlu/crm/account/get/{secret}", None),
            ("GET", f"/api/v1/flowlu/crm/account/list?search={secret}", None),
            ("POST", "/api/v1/session", secret),
            ("POST", "/api/v1/session", launch | {"access_token": secret, "refresh_token": secret}),
            ("PUT", "/api/v1/session/token", {"access_token": secret, "refresh_token": secret}),
            ("POST", "/embed/", f"access_token={secret}"),
            ("GET", f"/{secret}", None),
            ("GET", f"/{secret}/{secret}?{secret}", None),
            ("GET", f"/static/{secret}", None),
            ("POST", "/accounts/login/", f"login={secret}&password={secret}"),
        ):
            for given in (everywhere, headers):
                status, answered = service.ask(method, path, body, given)
                statuses.add(status)
                canaries.look(f"{method} {path.replace(secret, f'<{name}>')}", answered)
        for raw in broken_requests(secret):
            service.send(raw)  # what gunicorn says to who sent it is looked at in the log alone
    # The portal fails in every slow way.
    for fault in ("delay", "drip", "reset", "status_500"):
        sandbox.state.add_fault("acme", fault)
        other = sandbox.state.issue_tokens(PORTAL, "2")
        canaries.add(f"access token of {fault}", other.access_token)
        status, answered = service.ask("POST", "/api/v1/session", launch | {"access_token": other.access_token})
        canaries.look(fault, answered)
        statuses.add(status)
        sandbox.state.clear_faults()
    assert {200, 400, 401, 404, 502, 503, 504} <= statuses
    assert sign_in_with_the_company(service, provider, canaries) == {200, 302, 403}

    # While it runs: the write-ahead log holds what the file does not yet.
    found = {path.name for path in service.folder.iterdir()}
    assert {"db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"} <= found
    look_at_files(canaries, service.folder)
    reader.close()
    # A table that is gone is an error in the middle of a request: its traceback is in the log.
    with sqlite3.connect(service.folder / "db.sqlite3") as database:
        database.execute("ALTER TABLE tokens_embedsession RENAME TO gone")
    for path in ("/api/v1/session", f"/api/v1/flowlu/crm/account/get/{pair.access_token}"):
        status, answered = service.ask("GET", f"{path}?access_token={pair.access_token}", headers=headers)
        assert status == 500
        canaries.look("a broken view", answered)
    with sqlite3.connect(service.folder / "db.sqlite3") as database:
        database.execute("ALTER TABLE gone RENAME TO tokens_embedsession")
    status, _answered = service.ask("POST", "/api/v1/session", launch)
    assert status == 201
    service.stop()

    written = service.log.read_text(errors="replace")
    # Everything that was meant to be written was: access log, error log, tracebacks. The settings keep SQL out of it at
    # any LOG_LEVEL; test_canary.py switches that on by hand.
    for text in ("POST /api/v1/session", "Invalid request from", "Traceback", "no such table", "Internal Server Error"):
        assert text in written, text
    assert "[DEBUG]" in written
    canaries.look_at_log("gunicorn's log", written)
    look_at_files(canaries, service.folder)
    canaries.report()


def look_at_files(canaries: Canaries, folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "log":
            canaries.look(f"the file {path.name}", path.read_bytes())
