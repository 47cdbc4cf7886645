"""The whole stack as a person starts it (`run_with_sandbox`), and a Chromium that blocks third-party cookies."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

BLOCKING_COOKIES = "--test-third-party-cookie-phaseout"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    chromium = _chromium()
    for item in items:
        if "/browser/" not in str(item.path):
            continue
        item.add_marker(pytest.mark.xdist_group("browser"))  # one stack, one browser, one after the other
        if chromium is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium on this machine: install it, or name it in CHROMIUM"))


def _chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True)
class Stack:
    service: str
    portal: str
    password: str
    environment: dict[str, str]
    root: Path

    def manage(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.root, env=self.environment, input=stdin, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Service and sandbox portal, started as `make run` starts them, on the database that the suite runs on."""
    with started(tmp_path_factory.mktemp("var"), f"browser_{os.getpid()}") as one:
        yield one


@contextmanager
def started(var: Path, name: str, **more: str) -> Iterator[Stack]:
    """Start such a stack, with more settings and a database of that name, until the block ends."""
    root = Path(__file__).resolve().parents[2]
    port, sandbox_port = _free_port(), _free_port()
    unset = ("SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY", "ALLOWED_HOSTS", "PUBLIC_URL")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings",
        "DEBUG": "1",
        "VAR_DIR": str(var),
        "PORT": str(port),
        "SANDBOX_PORT": str(sandbox_port),
        "PYTHONUNBUFFERED": "1",
        **more,
    }
    database = _scratch_database(name)
    environment["DATABASE_URL"] = database or ""
    log = (var / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_with_sandbox"], cwd=root, env=environment, stdout=log, stderr=log
    )
    try:
        _wait_for(var / "log", "Ctrl-C stops all of it", process)
        found = re.search(r"password: (\S+)", (var / "sandbox-operator.txt").read_text())
        assert found is not None
        yield Stack(f"http://127.0.0.1:{port}", f"http://localhost:{sandbox_port}", found[1], environment, root)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        log.close()
        if database:
            _sql(f'DROP DATABASE "{name}" WITH (FORCE)')


# Playwright keeps an event loop running while it lives, and Django refuses the database beside one: it must be gone
# before another module's test runs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", BLOCKING_COOKIES],
        )
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What pages complained about: uncaught exceptions, policy reports, errors on the console."""
    return []


@pytest.fixture
def open_page(chromium: Any, complaints: list[str]) -> Iterator[Any]:
    """Open pages in contexts of their own, as different people's browsers would be."""
    contexts = []

    def open_one(**options: Any) -> Any:
        context = chromium.new_context(viewport={"width": 1200, "height": 900}, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
        page.on("console", lambda message: _note(complaints, message))
        return page

    yield open_one
    for context in contexts:
        context.close()


def _note(complaints: list[str], message: Any) -> None:
    # Chromium itself writes a line for each refused fetch; that one is the answer, not a fault of the page.
    refused = "Failed to load resource" in message.text and "/api/v1/" in message.location.get("url", "")
    if message.type == "error" and not refused:
        complaints.append(f"{message.location.get('url')}: {message.text}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(path: Path, text: str, process: "subprocess.Popen[bytes]") -> None:
    import time

    deadline = time.monotonic() + 120
    while text not in path.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The stack did not start:\n{path.read_text(errors='replace')}")
        time.sleep(0.1)


def _scratch_database(name: str) -> str | None:
    """Make an empty PostgreSQL database beside the suite's own; None on SQLite."""
    if connection.vendor != "postgresql":
        return None
    _sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _sql(f'CREATE DATABASE "{name}"')
    values = connection.settings_dict
    secret = f":{values['PASSWORD']}" if values["PASSWORD"] else ""
    return f"postgres://{values['USER']}{secret}@{values['HOST'] or '127.0.0.1'}:{values['PORT'] or 5432}/{name}"


def _sql(statement: str) -> None:
    import psycopg

    values = connection.settings_dict
    with psycopg.connect(
        host=values["HOST"] or "127.0.0.1", port=values["PORT"] or 5432, user=values["USER"],
        password=values["PASSWORD"] or None, dbname="postgres", autocommit=True,
    ) as direct:  # fmt: skip
        direct.execute(statement)
