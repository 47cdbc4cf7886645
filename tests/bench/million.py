"""A million installations beside a thousand, in one run: a call through the service, each world in turn, and the jobs
of the sweep with the digests of the day, when all of them are due."""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psycopg

from tests.bench import forward
from tests.bench.databases import database
from tests.bench.figures import ROOT, Ended, Figure, run_command, seeded
from tests.bench.load import Loaded, free_port, kept_to, make_certificate, portal_that_answers_at_once, served

_FEW, _MANY = 1_000, 1_000_000
_CALLERS = 5_000  # as many as there are, among the few
_CONNECTIONS = (16, 64)
# The day's digest is due from midnight on. No portal is behind the made-up names, and none is waited for.
_ALL_IS_DUE = {"NOTICE_DIGEST_HOUR": "0", "FLOWLU_PORTAL_URL": "https://127.0.0.1:9"}


def measure(scale: float) -> Iterator[Figure]:
    own, many = os.environ["DATABASE_URL"], max(2 * _FEW, int(_MANY * scale))
    name = urlsplit(own).path[1:]
    with database(own, f"{name}_few", name) as small:
        run_command("seed", "--yes-this-database-is-for-trials", "--installations", str(_FEW), DATABASE_URL=small)
        yield from seeded(many)
        worlds = {_FEW: small, many: own}
        yield from _calls(worlds, max(1, round(forward.SECONDS * min(scale, 1))))
        yield from _sweeps(worlds)


def _calls(worlds: dict[int, str], seconds: int) -> Iterator[Figure]:
    found: dict[tuple[int, int], list[Loaded]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["BENCH_LOGS"] = str(folder)
        stack.enter_context(kept_to(forward.OTHER_CORES, forward.database_servers()))
        certificate, key = make_certificate(folder)
        port = free_port()
        portal = portal_that_answers_at_once(folder, port, certificate, key)
        stack.enter_context(served(portal, port, forward.OTHERS))
        each_with = {"FLOWLU_PORTAL_URL": f"https://127.0.0.1:{port}", "SSL_CERT_FILE": str(certificate)}
        under: dict[int, forward.Under] = {}
        for size, url in worlds.items():
            script = forward.wrk_script(folder, f"of-{size}", "X-Session-Token", _sessions(url))
            service = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings", **each_with}
            running = stack.enter_context(forward.gunicorn(service))
            under[size] = forward.Under(f"among {size:,}", running, forward.PATH, script)
            forward.under_load(under[size], 16, 2)
        for _round, size, connections in itertools.product(range(forward.ROUNDS), worlds, _CONNECTIONS):
            loaded = forward.under_load(under[size], connections, seconds)
            found.setdefault((size, connections), []).append(loaded)
    few, many = worlds
    for connections in _CONNECTIONS:
        rates = {size: median(each.per_second for each in found[size, connections]) for size in worlds}
        p99 = median(each.p99_ms for each in found[many, connections])
        failed = sum(each.failed for size in worlds for each in found[size, connections])
        yield Figure(
            f"forward among {many:,} installations, {connections} connections",
            rates[many],
            "calls/s",
            f"among {few:,}",
            rates[few],
            note=f"p99 {p99:.1f} ms" + (f", {failed} FAILED" if failed else ""),
        )


def _sessions(url: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench.callers", str(_CALLERS)],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()


def _sweeps(worlds: dict[int, str]) -> Iterator[Figure]:
    """Sweep once with all that `seed` left to do, and once more with all that ever happened to be told."""
    few, many = worlds
    first = {size: _sweep(url) for size, url in worlds.items()}
    told = {size: _sweep(url) for size, url in worlds.items()}
    took = first[many].seconds
    yield Figure(f"sweep of {many:,} installations", many / took, "installations/s", note=f"{took:.0f} s")
    yield Figure(f"peak memory: sweep of {many:,}", first[many].peak_mib, "MiB", f"of {few:,}", first[few].peak_mib)
    digests = f"{_digests(worlds[many])} digests"
    yield Figure(
        f"peak memory: sweep with digests of {many:,}",
        told[many].peak_mib,
        "MiB",
        f"of {few:,}",
        told[few].peak_mib,
        note=digests,
    )


def _sweep(url: str) -> Ended:
    with psycopg.connect(url, autocommit=True) as link:
        link.execute("DELETE FROM tokens_sweeprun")
        link.execute("UPDATE auth_user SET email = username || '@example.com', is_superuser = true")
        link.execute(
            "UPDATE flowlu_admin_noticecursor"
            " SET sequence = 0, until = now() - interval '900 days', digest_at = now() - interval '2 days'"
        )
    return run_command("sweep", DATABASE_URL=url, **_ALL_IS_DUE)


def _digests(url: str) -> int:
    with psycopg.connect(url) as link:
        row = link.execute("SELECT count(*) FROM flowlu_admin_noticedelivery WHERE daily").fetchone()
        assert row is not None
        return int(row[0])
