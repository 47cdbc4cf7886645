"""Several hosts: services on ports of their own and workers and beats of their own, on one PostgreSQL and one Redis.

Each process is what a deployment starts, with a folder of its own; nothing joins them but the database and Redis.
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings as configured
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from flowlu_admin.operator_accounts import sign_out_operator
from installations.models import AuditEvent
from installations.services import lock, unlock
from tests import factories
from tests.backend import Backend
from tests.bench.load import free_port
from tests.deploy.edge import running
from tests.embedded import Frontend
from tests.refreshed import page as page_refreshed_here
from tests.refreshed import soon
from tests.security.races.conftest import PORTAL, Page, endpoints_of
from tests.security.races.invariants import chain_holds, everything_holds
from tests.security.races.test_service import ask, deployed, uses_counted
from tests.security.races.workers import ROUNDS, Workers, database_url
from tests.tokens.test_background import broker
from tests.unchanged import recorded
from tokens import sweeps
from tokens.models import OAuthToken, RefreshAttempt, SweepRun, UpstreamRevocation
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.xdist_group("races"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="NOT RUN without redis-server"),
]

ROOT = Path(__file__).resolve().parents[3]
WHY: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}
HOSTS = 2
CALLERS = 6
REDELIVERY_SECONDS = 3
CALL = "/api/v1/flowlu/crm/account/list"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis that nobody else uses."""
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with running(command, port, folder / "log"):
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def emptied(shared: str) -> Any:
    link = redis.Redis.from_url(shared)
    link.flushdb()
    return link


@contextmanager
def hosts(workers: Workers, folder: Path, shared: str, **changes: str) -> Iterator[list[int]]:
    """Run the service on several hosts, and give their ports."""
    with ExitStack() as stack:
        ports = []
        for number in range(HOSTS):
            own = folder / f"host-{number}"
            own.mkdir()
            settings = {"REDIS_URL": shared, "THREADS": "8", "PORTAL_CONCURRENCY": "0", "HANDSHAKE_RATE": "0"}
            ports.append(stack.enter_context(deployed(workers, own, **settings | changes)))
        yield ports


def request(
    port: int, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = None if body is None else json.dumps(body)
    link.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
    response = link.getresponse()
    raw = response.read()
    link.close()
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    return response.status, json.loads(raw) if is_json and raw else None


def at_once(calls: list[Callable[[], tuple[int, Any]]]) -> Counter[int]:
    """Make all the requests from several threads and return how many had which status."""
    with ThreadPoolExecutor(CALLERS) as pool:
        return Counter(status for status, _body in pool.map(lambda call: call(), calls))


def test_limits_are_one_for_all_hosts(workers: Workers, page: Page, tmp_path: Path, shared: str, emptied: Any) -> None:
    """A portal's, a session's and a service client's. By the day: no window ends meanwhile."""
    others = {
        portal: Frontend(APIClient(), page.sandbox, portal).launch_values() for portal in (PORTAL, "globex.flowlu.com")
    }
    allowed: Any = {"applications": [page.application], "portals": [page.installation.portal]}
    key = factories.service_client(purposes=[factories.purpose()], **allowed).key
    as_backend = Backend(key, act_as=f"user:{page.application.app_id}@{PORTAL}/{page.user_id}").headers
    mine = {"X-Session-Token": page.frontend.session_token}
    rates = {"CALL_RATE": "9/d", "HANDSHAKE_RATE": "5/d", "SERVICE_RATE": "7/d"}
    with hosts(workers, tmp_path, shared, **rates) as ports:

        def on_each(method: str, path: str, body: Any, headers: Mapping[str, str]) -> Counter[int]:
            calls = [lambda port=port: request(port, method, path, body, headers) for port in ports * 10]
            return at_once(calls)

        assert on_each("POST", "/api/v1/session", others[PORTAL], {}) == {201: 5, 429: 15}
        assert on_each("GET", CALL, None, mine) == {200: 9, 429: 11}
        assert on_each("GET", CALL.replace("/api/", "/service/"), None, as_backend) == {200: 7, 429: 13}
        # Of another portal and of another session nothing is spent.
        for port in ports:
            status, opened = request(port, "POST", "/api/v1/session", others["globex.flowlu.com"])
            assert status == 201
            assert request(port, "GET", "/api/v1/session", None, {"X-Session-Token": opened["session_token"]})[0] == 200


def test_what_hosts_do_at_once_adds_up_and_a_cut_at_one_holds_at_all(
    workers: Workers, page: Page, tmp_path: Path, shared: str, emptied: Any
) -> None:
    """Uses are counted exactly, nothing is told twice, and the trail is one line; sessions are those of all hosts."""
    calls_each, pairs_each = 20, 4
    cookie, operator = signed_in()
    changes = endpoints_of(page.sandbox) | {"FLOWLU_REVOCATION_URL": page.sandbox.revocation_url}
    before = recorded()
    with worker(tmp_path, shared, page) as running, hosts(workers, tmp_path, shared, **changes) as ports:

        def caller(number: int) -> list[int]:
            link = http.client.HTTPConnection("127.0.0.1", ports[number % HOSTS], timeout=30)
            found = [ask(link, page.frontend.session_token)[0] for _ in range(calls_each)]
            link.close()
            return found

        def visitor(number: int) -> list[Any]:
            found: list[Any] = []
            for _ in range(pairs_each):
                launch = page.frontend.launch_values() | page.another_pair()
                status, opened = request(ports[number % HOSTS], "POST", "/api/v1/session", launch)
                mine = {"X-Session-Token": opened["session_token"]}
                # At the other host: its task is queued there, and done by the worker.
                cut = request(ports[(number + 1) % HOSTS], "DELETE", "/api/v1/session/token", None, mine)[0]
                refused = [request(port, "GET", CALL, None, mine)[1]["error"] for port in ports]
                found += [status, cut, *refused]
            return found

        with ThreadPoolExecutor(2 * CALLERS) as pool:
            visiting = pool.map(visitor, range(CALLERS))
            called = Counter(status for found in pool.map(caller, range(CALLERS)) for status in found)
            visited = Counter(outcome for found in visiting for outcome in found)
        pairs = CALLERS * pairs_each
        assert called == {200: CALLERS * calls_each}
        assert visited == {201: pairs, 204: pairs, "token_revoked": HOSTS * pairs}
        wait_until(lambda: UpstreamRevocation.objects.filter(state="confirmed").count() == pairs, running)

        mine = {"X-Session-Token": page.frontend.session_token}
        for verb, outcome in ((lock, "installation_locked"), (unlock, None)):
            verb(target=page.installation.portal, **WHY)
            answers = [request(port, "GET", CALL, None, mine)[1] for port in ports]
            assert [answer.get("error") for answer in answers] == [outcome] * HOSTS
        assert [request(port, "GET", "/admin/", None, cookie)[0] for port in ports] == [200] * HOSTS
        sign_out_operator(operator_id=operator.pk, **WHY)
        assert [request(port, "GET", "/admin/", None, cookie)[0] for port in ports] == [302] * HOSTS

    assert uses_counted() == CALLERS * calls_each + HOSTS
    told = Counter(recorded()) - Counter(before)
    assert (told["token.stored"], told["tokens.revoked"], told["upstream.confirmed"]) == (pairs, pairs, pairs)
    assert set(UpstreamRevocation.objects.values_list("attempts", flat=True)) == {1}
    assert page.sandbox.state.counters()["oauth:revoked"] == pairs
    assert chain_holds() == AuditEvent.objects.count()
    everything_holds()


def signed_in() -> tuple[dict[str, str], Any]:
    """Return the cookie of an operator's session, and the operator."""
    console, operator = Client(), factories.operator("rita", superuser=True)
    console.force_login(operator, "django.contrib.auth.backends.ModelBackend")
    name = configured.SESSION_COOKIE_NAME
    return {"Cookie": f"{name}={console.cookies[name].value}"}, operator


@contextmanager
def celery(folder: Path, name: str, arguments: list[str], environment: Mapping[str, str]) -> Iterator["Running"]:
    own = folder / name
    own.mkdir()
    command = [sys.executable, "-m", "celery", "-A", "tests.celery_on_http", *arguments]
    with (own / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
    found = Running(process, own / "log")
    try:
        yield found
    finally:
        if process.poll() is None:
            found.kill()  # an orderly end takes seconds, and nothing is under way


class Running:
    """A process of Celery's, and what it wrote."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self._log = process, log

    @property
    def written(self) -> str:
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """End it and all that it started, as a machine does that loses its power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def children(self) -> list[int]:
        return [
            int(child)
            for thread in Path(f"/proc/{self.process.pid}/task").glob("*/children")
            for child in thread.read_text().split()
        ]


def environment_of(page: Page, shared: str, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings_test",
        "DATABASE_URL": database_url(),
        "DATABASE_POOL_SIZE": "2",
        "REDIS_URL": shared,
        "FLOWLU_PORTAL_URL": page.sandbox.portal_url_template,
        "FLOWLU_REVOCATION_URL": page.sandbox.revocation_url,
        "TESTED_REDELIVERY_SECONDS": str(REDELIVERY_SECONDS),
        **endpoints_of(page.sandbox),
        **more,
    }


def worker(folder: Path, shared: str, page: Page, name: str = "worker") -> Any:
    arguments = ["worker", "--concurrency", "1", "--loglevel", "INFO", "--hostname", f"{name}@%h"]
    return celery(folder, name, arguments, environment_of(page, shared))


def wait_until(condition: Callable[[], bool], *written: Running) -> None:
    """Wait as long as a busy machine takes to start a worker, and some."""
    give_up_at = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < give_up_at, "\n".join(each.written for each in written)
        time.sleep(0.1)


@pytest.fixture
def telling(page: Page, settings: Any) -> None:
    """Have this process queue what Flowlu is to be told, as a host does."""
    for name, value in endpoints_of(page.sandbox).items():
        setattr(settings, name, value)
    settings.FLOWLU_REVOCATION_URL = page.sandbox.revocation_url


def revoke(page: Page) -> UpstreamRevocation:
    revoke_tokens(target=RevocationTarget.of_token(page.token.pk), **WHY)
    return UpstreamRevocation.objects.get()


def its_lease_ends() -> None:
    UpstreamRevocation.objects.filter(state="pending").update(next_try_at=timezone.now())


def its_message_is_for_another(link: Any) -> bool:
    """Say whether a worker that starts now takes it over: at its start it looks, and then not for a minute and more."""
    return int(link.zcount("unacked_index", 0, time.time() - REDELIVERY_SECONDS)) == 1


def is_done_with(link: Any) -> bool:
    """Say whether no message waits, and none is held by a worker."""
    return link.llen("celery") == 0 and link.hlen("unacked") == 0


def test_task_of_a_killed_host_is_done_once_by_another(
    workers: Workers, page: Page, tmp_path: Path, shared: str, emptied: Any, telling: None
) -> None:
    page.sandbox.state.oauth.add_fault("delay_before", endpoint="revoke", times=1, delay_seconds=60)
    with worker(tmp_path, shared, page, "first") as first, broker(shared):
        case = revoke(page)
        wait_until(lambda: UpstreamRevocation.objects.get().attempts == 1, first)
        wait_until(lambda: emptied.hlen("unacked") == 1, first)
        first.kill()

        assert emptied.hlen("unacked") == 1  # it is not taken for done
        assert UpstreamRevocation.objects.get().state == "pending"
        page.sandbox.state.oauth.clear_faults()
        its_lease_ends()
        wait_until(lambda: its_message_is_for_another(emptied))
        # Nothing else asks for it: no sweep runs here.
        with worker(tmp_path, shared, page, "second") as second:
            wait_until(lambda: is_done_with(emptied), second)

    case.refresh_from_db()
    assert (case.state, case.attempts) == ("confirmed", 2)
    assert recorded().count("upstream.confirmed") == 1
    assert recorded().count("tokens.revoked") == 1
    everything_holds()


@pytest.mark.skipif(ROUNDS < 300, reason="NOT RUN outside of make stress: it waits for a worker seven times")
def test_task_that_kills_its_worker_comes_back_at_once_and_not_for_ever(
    workers: Workers, page: Page, tmp_path: Path, shared: str, emptied: Any, telling: None
) -> None:
    page.sandbox.state.oauth.add_fault("delay_before", endpoint="revoke", delay_seconds=60)
    with worker(tmp_path, shared, page) as running, broker(shared):
        case = revoke(page)
        tries = configured.UPSTREAM_TRIES
        for number in range(1, tries + 1):
            wait_until(lambda number=number: UpstreamRevocation.objects.get().attempts == number, running)
            its_lease_ends()  # long before the try is over: the worst that can be
            [child] = running.children()
            os.kill(child, signal.SIGKILL)
        wait_until(lambda: UpstreamRevocation.objects.get().state == "irrevocable", running)
        wait_until(lambda: is_done_with(emptied), running)
        assert running.process.poll() is None
    page.sandbox.state.oauth.clear_faults()

    case.refresh_from_db()
    assert (case.error, case.attempts) == ("worker_lost", tries + 1)
    assert recorded().count("upstream.irrevocable") == 1
    everything_holds()


@pytest.fixture
def claims() -> Iterator[Callable[[], list[str]]]:
    """Note each run of a periodic job that any process takes, as the database sees it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE noted_claim (name text)")
        cursor.execute(
            "CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN INSERT INTO noted_claim VALUES (NEW.name); RETURN NEW; END$$"
        )
        cursor.execute(
            "CREATE TRIGGER note_claim AFTER UPDATE ON tokens_sweeprun FOR EACH ROW "
            "WHEN (OLD.started_at IS DISTINCT FROM NEW.started_at) EXECUTE FUNCTION note_claim()"
        )

    def noted() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM noted_claim")
            return [name for (name,) in cursor.fetchall()]

    yield noted
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER note_claim ON tokens_sweeprun")
        cursor.execute("DROP FUNCTION note_claim()")
        cursor.execute("DROP TABLE noted_claim")


def test_two_beats_and_two_workers_do_nothing_twice(
    workers: Workers,
    page: Page,
    tmp_path: Path,
    shared: str,
    emptied: Any,
    telling: None,
    claims: Callable[[], list[str]],
) -> None:
    """What is due: pairs that Flowlu is to be told of, and pairs to refresh. Each beat asks every second."""
    told = 6
    user = page.user
    for number in range(told):
        factories.token(page.installation, user, f"told-{number}")
    with broker("redis://127.0.0.1:9/0"):  # which is away: they are left to the sweep
        revoke_tokens(target=RevocationTarget.of_portal_user(user.pk, installation_id=page.installation.pk), **WHY)
    told = UpstreamRevocation.objects.filter(state="pending").count()
    api = APIClient(raise_request_exception=False)
    for user_id in ("1", "3"):
        page_refreshed_here(page.sandbox, page.application, api, user_id)
    for token in OAuthToken.objects.live():
        soon(token)
    pairs = OAuthToken.objects.live().count()
    assert (told, pairs) == (7, 2)
    page.sandbox.state.oauth.clear_faults()

    environment = environment_of(page, shared, TESTED_BEAT_SECONDS="1")
    names = [job.name for job in sweeps.JOBS]
    with ExitStack() as stack:
        both = [stack.enter_context(worker(tmp_path, shared, page, f"worker-{number}")) for number in range(2)]
        beats = []
        for number in range(2):
            schedule = ["beat", "--schedule", str(tmp_path / f"schedule-{number}"), "--pidfile=", "--loglevel", "INFO"]
            beats.append(stack.enter_context(celery(tmp_path, f"beat-{number}", schedule, environment)))
        wait_until(lambda: set(names) <= set(claims()), *both, *beats)
        # And some rounds more, in which nothing is due yet.
        wait_until(lambda: all(asked_for(beat) >= 4 for beat in beats), *beats)
        wait_until(lambda: all(ran(each) >= 2 for each in both), *both)
        runs = SweepRun.objects.order_by("started_at")
        first = runs[0].started_at
        assert first is not None
        took = timezone.now() - first

    # Each job's next run is as long after its last one as it says, however many ask.
    may = {job.name: 1 + took // timedelta(seconds=job.every_seconds) for job in sweeps.JOBS}
    twice = {name: count for name, count in Counter(claims()).items() if count > may[name]}
    assert twice == {}
    assert set(UpstreamRevocation.objects.values_list("state", "attempts")) == {("confirmed", 1)}
    assert page.sandbox.state.counters()["oauth:hint:access"] == told
    assert sorted(RefreshAttempt.objects.values_list("outcome", "trigger")) == [("fresh", "sweep")] * pairs
    assert page.sandbox.state.counters()["oauth:token:200"] == pairs
    everything_holds()


def asked_for(beat: Running) -> int:
    return len(re.findall(r"Sending due task sweep", beat.written))


def ran(each: Running) -> int:
    return len(re.findall(r"Task tokens\.sweep\[\S+\] succeeded", each.written))
