"""A real gunicorn with several workers, called over HTTP: a cut holds in every worker from its commit on."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from rest_framework.test import APIClient

from installations.models import ScopeUsage
from installations.services import lock, resume_installation, suspend_installation, unlock
from tests import factories
from tests.backend import Backend
from tests.embedded import Frontend
from tests.refreshed import refreshed_here
from tests.security.races.conftest import PORTAL, Page, endpoints_of
from tests.security.races.invariants import everything_holds
from tests.security.races.workers import ROUNDS, Workers, database_url, wait_for
from tokens.models import RefreshAttempt
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]

WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}
_ROOT = Path(__file__).resolve().parents[3]
CALLERS = 6


@contextmanager
def deployed(workers: Workers, folder: Path, *, end: signal.Signals = signal.SIGTERM, **changes: str) -> Iterator[int]:
    """Run the service as it is deployed, on the test's database, and give its port. `end` ends all of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings",
        "DEBUG": "1",
        "VAR_DIR": str(folder),
        "DATABASE_URL": database_url(),
        "DATABASE_POOL_SIZE": "8",
        "FLOWLU_PORTAL_URL": workers.portal_url,
        "PORT": str(port),
        "CALL_RATE": "0",
        **changes,
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "deploy/gunicorn.conf.py",
        "flowlu_admin.wsgi:application",
    ]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            assert running.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(running.pid, end)
        running.wait(timeout=30)
    connection.close()


@pytest.fixture
def service(workers: Workers, tmp_path: Path) -> Iterator[int]:
    # All callers may come to one of the workers: it has to have a place for each.
    with deployed(workers, tmp_path, WEB_CONCURRENCY="3", THREADS="8", PORTAL_CONCURRENCY="0") as port:
        yield port


def answers(port: int) -> bool:
    try:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        link.request("GET", "/healthz")
        return link.getresponse().status == 200
    except OSError:
        return False


def ask(link: http.client.HTTPConnection, session: str) -> tuple[int, str]:
    link.request("GET", "/api/v1/flowlu/crm/account/list", headers={"X-Session-Token": session})
    response = link.getresponse()
    body = json.loads(response.read())
    return response.status, body.get("error", "") if isinstance(body, dict) else ""


@pytest.mark.parametrize(
    "cut", ["lock portal", "lock application", "lock installation", "lock user", "suspend", "revoke"]
)
def test_after_the_commit_of_a_cut_no_call_starts_in_any_worker(
    workers: Workers, page: Page, service: int, cut: str
) -> None:
    expected = {"lock user": "user_locked", "suspend": "installation_suspended", "revoke": "token_revoked"}.get(
        cut, "installation_locked"
    )

    def race(number: int) -> str:
        page.open()
        here = page.installation
        kind = cut.partition(" ")[2]
        target = {"portal": here.portal, "application": page.application, "installation": here, "user": page.user}.get(
            kind
        )
        acts: dict[str, Callable[[], Any]] = {
            "suspend": lambda: suspend_installation(installation_id=here.pk, **WHY),
            "revoke": lambda: revoke_tokens(target=RevocationTarget.of_installation(here.pk), **WHY),
        }
        committed, stop = threading.Event(), threading.Event()
        before: list[tuple[int, str]] = []
        after: list[tuple[int, str]] = []

        def call_on() -> None:
            link = http.client.HTTPConnection("127.0.0.1", service, timeout=20)
            while not stop.is_set():
                began_after = committed.is_set()
                (after if began_after else before).append(ask(link, page.frontend.session_token))
            link.close()

        callers = [threading.Thread(target=call_on) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        wait_for(lambda: before.count((200, "")) >= CALLERS)
        time.sleep(workers.random.random() * 0.03)
        if target is not None:
            lock(target=target, **WHY)
        else:
            acts[cut]()
        committed.set()
        wait_for(lambda: len(after) >= 3 * CALLERS)
        stop.set()
        for caller in callers:
            caller.join(timeout=30)
            assert not caller.is_alive()

        assert set(after) == {(401 if cut == "revoke" else 403, expected)}, workers.seed
        assert {status for status, _error in before} <= {200, 401, 403}
        if target is not None:
            unlock(target=target, **WHY)
        elif cut == "suspend":
            resume_installation(installation_id=here.pk, **WHY)
        return "done"

    workers.rounds(race, rounds=max(2, ROUNDS // 4))
    everything_holds()


def test_portal_that_answers_late_holds_up_no_other_portal(workers: Workers, page: Page, tmp_path: Path) -> None:
    """With a place for half of the threads, the calls of one portal cannot take them all."""
    threads, waiting = 4, 8
    with deployed(workers, tmp_path, WEB_CONCURRENCY="1", THREADS=str(threads)) as port:
        slow: list[tuple[int, str]] = []

        def call_the_slow_one() -> None:
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            slow.append(ask(link, page.frontend.session_token))
            link.close()

        page.sandbox.state.add_fault(PORTAL.partition(".")[0], "delay", delay_seconds=60)
        callers = [threading.Thread(target=call_the_slow_one) for _ in range(waiting)]
        for caller in callers:
            caller.start()
        wait_for(lambda: len(slow) == waiting - threads // 2)  # those without a place were refused at once

        other = Frontend(APIClient(raise_request_exception=False), page.sandbox, "globex.flowlu.com")
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for _ in range(threads):
            link.request(
                "POST", "/api/v1/session", json.dumps(other.launch_values()), {"Content-Type": "application/json"}
            )
            answer = link.getresponse()
            assert answer.status == 201, answer.read()
            answer.read()
        assert set(slow) == {(429, "rate_limited")}  # the others still wait for their portal
        page.sandbox.state.clear_faults()
        for caller in callers:
            caller.join(timeout=30)
    assert sorted(slow) == [(200, "")] * (threads // 2) + [(429, "rate_limited")] * (waiting - threads // 2)


def test_session_whose_pair_is_refreshed_slowly_holds_up_no_other_portal(
    workers: Workers, page: Page, tmp_path: Path
) -> None:
    """One redeems, a few wait for it a moment, and nobody holds a thread until the token endpoint answers."""
    threads, waiting = 8, 8
    refreshed_here(page.application)
    page.frontend.open()
    pair = page.pair(with_refresh_token=True)
    assert page.frontend.put("session/token", pair).status_code == 204
    changes = endpoints_of(page.sandbox) | {"OAUTH_TOTAL_SECONDS": "35"}
    with deployed(workers, tmp_path, WEB_CONCURRENCY="1", THREADS=str(threads), **changes) as port:
        answered: list[tuple[int, str]] = []

        def call() -> None:
            link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            answered.append(ask(link, page.frontend.session_token))
            link.close()

        page.sandbox.state.expire_token(page.frontend.access_token)
        page.sandbox.state.oauth.add_fault("delay_before", delay_seconds=60)
        callers = [threading.Thread(target=call) for _ in range(waiting)]
        for caller in callers:
            caller.start()
        wait_for(lambda: len(answered) == waiting - 1)  # all but the one that redeems, which is still at it
        assert RefreshAttempt.objects.get().outcome == "started"
        assert set(answered) <= {(503, "flowlu_unavailable"), (429, "rate_limited")}

        other = Frontend(APIClient(raise_request_exception=False), page.sandbox, "globex.flowlu.com")
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        link.request("POST", "/api/v1/session", json.dumps(other.launch_values()), {"Content-Type": "application/json"})
        assert link.getresponse().status == 201
        link.close()
        page.sandbox.state.oauth.clear_faults()
        for caller in callers:
            caller.join(timeout=60)
            assert not caller.is_alive()
    assert answered[-1] == (200, "")
    assert RefreshAttempt.objects.get().outcome == "fresh"


def call_together(port: int, session: str, *, calls: int) -> None:
    """Make as many accepted calls from each of several threads, each on a connection of its own."""
    answers: list[tuple[int, str]] = []

    def call_on() -> None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        answers.extend(ask(link, session) for _ in range(calls))
        link.close()

    callers = [threading.Thread(target=call_on) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert answers == [(200, "")] * (CALLERS * calls)


def uses_counted() -> int:
    return ScopeUsage.objects.aggregate(found=Sum("accepted"))["found"] or 0


def test_uses_of_several_workers_are_counted_exactly_after_an_orderly_stop(
    workers: Workers, page: Page, tmp_path: Path
) -> None:
    page.open()
    for _ in range(2):  # the second one adds to the rows of the first
        with deployed(workers, tmp_path, WEB_CONCURRENCY="3", THREADS="8", PORTAL_CONCURRENCY="0") as port:
            call_together(port, page.frontend.session_token, calls=20)

    assert uses_counted() == 2 * CALLERS * 20
    assert ScopeUsage.objects.values("installation", "portal_user", "code", "level", "purpose").distinct().count() == 1


def test_killed_workers_lose_no_more_uses_than_those_of_the_last_seconds(
    workers: Workers, page: Page, tmp_path: Path
) -> None:
    page.open()
    first, last = 20, 5
    with deployed(
        workers, tmp_path, end=signal.SIGKILL, WEB_CONCURRENCY="3", THREADS="8", PORTAL_CONCURRENCY="0"
    ) as port:
        call_together(port, page.frontend.session_token, calls=first)
        wait_for(lambda: uses_counted() == CALLERS * first)
        call_together(port, page.frontend.session_token, calls=last)

    assert CALLERS * first <= uses_counted() <= CALLERS * (first + last)


@pytest.mark.parametrize("who", ["session", "service client"])
def test_call_that_waits_for_its_portal_holds_no_database_connection(
    workers: Workers, page: Page, tmp_path: Path, who: str
) -> None:
    page.open()
    path, headers = "/api/v1/flowlu/", {"X-Session-Token": page.frontend.session_token}
    if who == "service client":
        path = "/service/v1/flowlu/"
        allowed: Any = {"applications": [page.application], "portals": [page.installation.portal]}
        key = factories.service_client(purposes=[factories.purpose()], **allowed).key
        headers = Backend(key, act_as=f"user:{page.application.app_id}@{PORTAL}/{page.user_id}").headers
    answered: list[int] = []

    def call(port: int) -> None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        link.request("GET", f"{path}crm/account/list", headers=headers)
        answered.append(link.getresponse().status)

    one = {"WEB_CONCURRENCY": "1", "THREADS": "4", "PORTAL_CONCURRENCY": "0", "DATABASE_POOL_SIZE": "1"}
    with deployed(workers, tmp_path, **one, FLOWLU_READ_SECONDS="4") as port:
        page.sandbox.state.add_fault(PORTAL.partition(".")[0], "delay", times=1, delay_seconds=60)
        page.sandbox.state.clear_requests()
        waiting = threading.Thread(target=call, args=(port,))
        waiting.start()
        wait_for(lambda: len(page.sandbox.state.requests()) == 1 or answered != [])

        call(port)  # with the only connection there is

        waiting.join(30)
        assert answered == [200, 504]
