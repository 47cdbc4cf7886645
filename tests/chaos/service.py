"""The service as it is deployed, with a world of its own, and callers that keep what they were told."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from flowlu_admin.sandbox.server import SandboxServer
from tests.bench.load import free_port
from tests.canary import Canaries
from tests.chaos.parts import PATIENCE, wait_for
from tests.factories import APP_ID
from tests.flowlu_admin.test_wsgi import KEYS

ROOT = Path(__file__).resolve().parents[2]
PORTALS = ("acme.flowlu.com", "globex.flowlu.com")
LIST = "/api/v1/flowlu/crm/account/list"
# What frontends are told may come back, and with which status: docs/embed-client.md names the codes.
DOCUMENTED = frozenset(re.findall(r"`([a-z_]+)`", (ROOT / "docs/embed-client.md").read_text(encoding="utf-8")))
Told = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def told(self) -> Told:
        """Status and code. A code that is not documented, or an answer that is not JSON, fails the test."""
        if self.status < 400:
            return self.status, ""
        assert isinstance(self.body, dict), self
        assert self.body["error"] in DOCUMENTED, self
        return self.status, self.body["error"]


@dataclass
class Service:
    """gunicorn with deploy/gunicorn.conf.py on a database of its own."""

    folder: Path
    sandbox: SandboxServer
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    canaries: Canaries = field(default_factory=Canaries)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG") if name in os.environ}
        return kept | {
            **KEYS,
            "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings",
            "DEBUG": "1",  # the sandbox speaks plain http
            "VAR_DIR": str(self.folder),
            "PORT": str(self.port),
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "FLOWLU_PORTAL_URL": self.sandbox.portal_url_template,
            "FLOWLU_CONNECT_SECONDS": "2",
            "FLOWLU_READ_SECONDS": "5",
            "FLOWLU_TOTAL_SECONDS": "10",
            "HANDSHAKE_RATE": "0",
            "CALL_RATE": "0",
            **self.settings,
        }

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def workers(self) -> list[int]:
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def manage(self, *arguments: str) -> str:
        """Run a command as an operator would, and return all that it said."""
        return self._run("manage.py", *arguments)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def make_world(self) -> None:
        """Make the database, an application, and an installation on each portal where accounts may be called."""
        self._run("-m", "tests.chaos.world", *PORTALS)

    def start(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "flowlu_admin.wsgi:application"]
        # Through a pipe: where the service's own files cannot grow, its log still can.
        with (self.folder / "log").open("ab") as log:
            writing = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=writing.stdin, stderr=writing.stdin, start_new_session=True
        )
        assert writing.stdin is not None
        writing.stdin.close()
        wait_for(self._answers, f"the service answers\n{self.log[-3000:]}")

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/healthz").status == 200
        except OSError:
            return False

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, port: int = 0
    ) -> Answer:
        link = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)
        try:
            return self.ask_on(link, method, path, body, headers)
        finally:
            link.close()

    @staticmethod
    def ask_on(
        link: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = None if body is None else json.dumps(body)
        link.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
        response = link.getresponse()
        read = response.read()
        return Answer(response.status, json.loads(read) if read else None, dict(response.getheaders()))

    def launch(self, portal: str, user_id: str = "2") -> Answer:
        """Ask for a session as a page does. The pair and the session's token are secrets of the test from then on."""
        pair = self.sandbox.state.issue_tokens(portal, user_id)
        self._secret("access token", pair.access_token)
        values = {"portal": portal, "app_id": APP_ID, "access_token": pair.access_token}
        answer = self.ask("POST", "/api/v1/session", values | {"expires_at": pair.expires_at_text})
        if answer.status == 201:
            self._secret("session token", answer.body["session_token"])
        return answer

    def _secret(self, what: str, value: str) -> None:
        self.canaries.add(f"{what} {len(self.canaries.secrets)}", value)

    def open(self, portal: str, user_id: str = "2") -> str:
        """Return the token of a new session."""
        answer = self.launch(portal, user_id)
        assert answer.status == 201, answer
        token: str = answer.body["session_token"]
        return token

    def call(self, session: str) -> Answer:
        return self.ask("GET", LIST, headers={"X-Session-Token": session})

    def look_for_secrets(self, *more: str) -> None:
        """Fail where a token is in the log, or in what else was written."""
        self.canaries.look_at_log("the service's log", self.log)
        for written in more:
            self.canaries.look_at_log("another log", written)
        self.canaries.report()


class Load:
    """Callers that go on calling, each on a connection of its own, and count what they are told.

    Each has a session, or several in turn.
    """

    def __init__(self, service: Service, sessions: Sequence[str | Sequence[str]], path: str = LIST) -> None:
        self.told: Counter[Told] = Counter()
        self.unanswered = 0
        self._service, self._path = service, path
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call_on, args=(session,)) for session in sessions]

    def _call_on(self, sessions: str | Sequence[str]) -> None:
        turns = cycle([sessions] if isinstance(sessions, str) else sessions)
        link = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=PATIENCE)
        while not self._stopping.is_set():
            try:
                headers = {"X-Session-Token": next(turns)}
                told: Told | None = Service.ask_on(link, "GET", self._path, headers=headers).told
            except (OSError, http.client.HTTPException):  # a connection that was cut
                told = None
                link.close()
            with self._lock:
                if told is None:
                    self.unanswered += 1
                else:
                    self.told[told] += 1
        link.close()

    def count(self, told: Told) -> int:
        with self._lock:
            return self.told[told]

    def wait_for_more(self, told: Told, number: int = 20) -> None:
        """Return when so many more were told this."""
        enough = self.count(told) + number
        wait_for(lambda: self.count(told) >= enough, f"{number} more {told}, but {dict(self.told)}")

    @contextmanager
    def going_on(self) -> Iterator["Load"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)
