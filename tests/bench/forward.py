"""A call through the service beside a plain proxy, the same stack without a check, and another package's check.

`nginx` is the limit of the machine; `floor` forwards with the same server, framework and client, and checks nothing;
`dot` checks a token and one scope with django-oauth-toolkit, and forwards nothing. Debian has nginx-light and wrk.
"""

import itertools
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

from django.db import connection
from django.utils import timezone
from redis import Redis

from tests import factories
from tests.bench.figures import ROOT, Figure
from tests.bench.load import (
    Loaded,
    Served,
    free_port,
    kept_to,
    load,
    make_certificate,
    missing_tools,
    plain_proxy,
    portal_that_answers_at_once,
    served,
)
from tokens import selectors
from tokens.models import EmbedSession

_PORTALS, _USERS = 100, 10
_CONNECTIONS = (1, 16, 64, 256)
_DELAYS = (0, 100)  # ms
ROUNDS = 3
SECONDS = 8
PATH = "/api/v1/flowlu/crm/account/list?page=2"
# What is measured has a core of its own; the load, the portal, PostgreSQL and Redis share the others.
_CORE = "0"
OTHER_CORES = set(range(1, os.cpu_count() or 2))
OTHERS = ",".join(map(str, sorted(OTHER_CORES)))
_REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9")
_THREADS = {0: 32, 100: 256}  # a thread for each call that waits
_CALLS = 100_000  # over which memory is looked at
_IDLE = 11  # seconds until the last connection has told PostgreSQL's statistics what it did


@dataclass(frozen=True, slots=True)
class Under:
    """One of the peers, as it is started for one delay of the portal."""

    name: str
    served: Served
    path: str
    script: Path


def measure(scale: float) -> Iterator[Figure]:
    missing = missing_tools()
    if missing:
        sys.exit(f"The forward bench needs {', '.join(missing)}: apt-get install nginx-light wrk util-linux")
    seconds = max(1, round(SECONDS * scale))
    found: dict[tuple[str, int, int], list[Loaded]] = {}
    with tempfile.TemporaryDirectory() as made, kept_to(OTHER_CORES, database_servers()):
        folder = Path(made)
        os.environ["BENCH_LOGS"] = made
        scripts = _scripts(folder)
        for delay in _DELAYS:
            with ExitStack() as stack:
                peers = list(_start(stack, folder, delay, scripts))
                for each in peers:  # connections, statements and code get warm
                    under_load(each, 16, 2)
                for _round, each, connections in itertools.product(range(ROUNDS), peers, _CONNECTIONS):
                    found.setdefault((each.name, delay, connections), []).append(under_load(each, connections, seconds))
                if not delay:
                    for each in peers[1:]:
                        yield from _statements(each, seconds)
                    yield _memory(peers[-1], int(_CALLS * scale), seconds)
    yield from _figures(found)


def database_servers() -> list[int]:
    """Return the processes of PostgreSQL and Redis where they run on this machine under the account that may say so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        own = cursor.fetchone()[0]
    found = [(own, "postgres"), (Redis.from_url(_REDIS).info("server")["process_id"], "redis-server")]
    here = [pid for pid, name in found if _is_called(pid, name)]
    if len(here) < len(found) or os.geteuid():
        print("PostgreSQL and Redis are not kept off the core that is measured.", file=sys.stderr)  # noqa: T201
        return []
    return [_parent(own), here[1]]


def _is_called(pid: int, name: str) -> bool:
    comm = Path(f"/proc/{pid}/comm")
    return comm.exists() and comm.read_text().strip() == name


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def under_load(under: Under, connections: int, seconds: int) -> Loaded:
    return load(under.served, under.path, connections=connections, seconds=seconds, script=under.script, cores=OTHERS)


def _scripts(folder: Path) -> dict[str, Path]:
    """Make what callers need, and write for each peer what wrk sends."""
    ours = wrk_script(folder, "ours", "X-Session-Token", _sessions())
    nothing = wrk_script(folder, "nothing", "X-Nothing", ["nothing"])
    tokens = subprocess.run(
        [sys.executable, "-m", "tests.bench.peers.fill", str(_PORTALS * _USERS)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.bench.peers.settings"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    dot = wrk_script(folder, "dot", "Authorization", [f"Bearer {token}" for token in tokens])
    return {"nginx": nothing, "floor": nothing, "dot": dot, "ours": ours}


def _start(stack: ExitStack, folder: Path, delay: int, scripts: Mapping[str, Path]) -> Iterator[Under]:
    """Start a portal that takes so many milliseconds and the peers before it; the last one is ours."""
    certificate, key = make_certificate(folder)
    portal = free_port()
    command = (
        [sys.executable, "-m", "tests.bench.slow_upstream", str(portal), str(certificate), str(key), str(delay)]
        if delay
        else portal_that_answers_at_once(folder, portal, certificate, key)
    )
    stack.enter_context(served(command, portal, OTHERS))
    at = {
        "FLOWLU_PORTAL_URL": f"https://127.0.0.1:{portal}",
        "SSL_CERT_FILE": str(certificate),
        "THREADS": str(_THREADS[delay]),
    }
    port = free_port()
    proxy = stack.enter_context(served(plain_proxy(folder, port, portal), port, _CORE))
    yield Under("nginx", proxy, PATH, scripts["nginx"])
    peers = stack.enter_context(gunicorn({**at, "DJANGO_SETTINGS_MODULE": "tests.bench.peers.settings"}))
    yield Under("floor", peers, PATH, scripts["floor"])
    if not delay:  # it does not forward
        yield Under("dot", peers, "/dot", scripts["dot"])
    service = stack.enter_context(gunicorn({**at, "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings"}))
    yield Under("ours", service, PATH, scripts["ours"])


def gunicorn(environment: Mapping[str, str]) -> AbstractContextManager[Served]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py"]
    return served(
        [*command, "flowlu_admin.wsgi:application"],
        port,
        _CORE,
        {
            **environment,
            "PORT": str(port),
            "WEB_CONCURRENCY": "1",
            "DATABASE_POOL_SIZE": "32",
            "TRUSTED_PROXIES": "127.0.0.1",
            "REDIS_URL": _REDIS,
        },
    )


def _sessions() -> list[str]:
    """Make users on many portals with an open session each, as launches do, and return their session tokens."""
    application = factories.application()
    now, found = timezone.now(), []
    for place in range(_PORTALS):
        portal = f"bench-{place}.flowlu.com"
        installation = factories.installation(application, approved=["crm.accounts.read"], portal=portal)
        for user in range(_USERS):
            who = factories.launch(application, portal=portal, user_id=str(user + 1)).portal_user
            token = factories.token(installation, who, secrets.token_urlsafe(32))
            found.append(secrets.token_urlsafe(32))
            EmbedSession.objects.create(
                token_hash=selectors.hash_session_token(found[-1]),
                oauth_token=token,
                expires_at=now + timedelta(hours=8),
            )
    return found


def wrk_script(folder: Path, name: str, header: str, values: list[str]) -> Path:
    """Write what wrk does for each request: take the next of these values."""
    written = folder / f"{name}.lua"
    listed = ", ".join(f'"{value}"' for value in values)
    written.write_text(
        f"local values = {{{listed}}}\n"
        "local place = 0\n"
        "function request()\n"
        "  place = place % #values + 1\n"
        f'  return wrk.format("GET", nil, {{["{header}"] = values[place], ["X-Forwarded-Proto"] = "https"}})\n'
        "end\n"
    )
    return written


def _figures(found: Mapping[tuple[str, int, int], list[Loaded]]) -> Iterator[Figure]:
    rates = {key: median(each.per_second for each in rounds) for key, rounds in found.items()}
    for (name, delay, connections), rounds in sorted(found.items(), key=lambda item: (item[0][1:], item[0][0])):
        middle = {
            field: median(getattr(each, field) for each in rounds)
            for field in ("p50_ms", "p99_ms", "cpu_percent", "memory_mib")
        }
        failed = sum(each.failed for each in rounds)
        floor = rates["floor", delay, connections]
        yield Figure(
            f"forward, {name}, {delay} ms, {connections} connections",
            rates[name, delay, connections],
            "calls/s",
            "" if name == "floor" else "floor",
            None if name == "floor" else floor,
            note=f"p50 {middle['p50_ms']:.1f} ms, p99 {middle['p99_ms']:.1f} ms, CPU {middle['cpu_percent']:.0f} %, "
            f"{middle['memory_mib']:.0f} MiB" + (f", {failed} FAILED" if failed else ""),
            details={
                "name": name, "delay_ms": delay, "connections": connections,
                "rps": rates[name, delay, connections], "failed": failed, **middle,
            },
        )  # fmt: skip
    for connections in (16, 64):
        yield Figure(
            f"forward, ours, 0 ms, {connections} connections",
            rates["ours", 0, connections],
            "calls/s",
            "dot",
            rates["dot", 0, connections],
        )
    one = {name: median(each.p50_ms for each in found[name, 0, 1]) for name in ("ours", "floor")}
    yield Figure("forward, ours: p50 added at one connection", one["ours"] - one["floor"], "ms", "promised", 1.2)
    more = _THREADS[100] - _THREADS[0]
    held = {
        name: median(each.memory_mib for each in found[name, 100, 256])
        - median(each.memory_mib for each in found[name, 0, 256])
        for name in ("ours", "floor")
    }
    per_thread = {name: mib * 1024 / more for name, mib in held.items()}
    yield Figure("forward, ours: memory for each thread", per_thread["ours"], "KiB", "floor", per_thread["floor"])
    slow, fast = rates["ours", 100, 256], rates["ours", 0, 256]
    yield Figure("forward, ours: 256 slow callers", slow, "calls/s", "256 fast ones", fast)


def _statements(under: Under, seconds: int) -> Iterator[Figure]:
    """Count on the server what a call costs: statements, each of which is a transaction here, and rows written."""
    before = _counters()
    calls = under_load(under, 16, seconds).per_second * seconds
    committed, written = (after - before[place] for place, after in enumerate(_counters()))
    yield Figure(f"forward, {under.name}: SQL statements for each call", committed / calls, "")
    yield Figure(f"forward, {under.name}: rows written for each call", written / calls, "")


def _memory(under: Under, calls: int, seconds: int) -> Figure:
    """Make so many calls more and see what they leave."""
    before = under_load(under, 16, 1).memory_mib
    made = 0.0
    while made < calls:
        loaded = under_load(under, 16, seconds)
        made += loaded.per_second * seconds
    what = f"forward, {under.name}: memory after {calls:,} calls more"
    return Figure(what, loaded.memory_mib, "MiB", "before them", before)


def _counters() -> tuple[int, int]:
    time.sleep(_IDLE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT xact_commit, tup_inserted + tup_updated + tup_deleted FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
        committed, written = cursor.fetchone()
        return committed, written
