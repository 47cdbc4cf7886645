"""Pruning what is kept for some days, in batches: rows a second, beside writing such rows one by one.

And while another process goes on writing.
"""

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from installations.models import Evidence, ScopeUsage
from tests.bench.figures import ROOT, Figure, seeded
from tokens.models import EmbedSession, OAuthToken, RefreshAttempt, ServiceCall
from tokens.services import pruning

_WRITTEN = 2_000
_OLD = "now() - interval '500 days' - n * interval '1 second'"


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows that are pruned: how old ones are made of those that are there, and a new one of another."""

    model: type[Model]
    prune: Callable[..., int]
    old: Mapping[str, str]
    new: Callable[[int], dict[str, Any]]


_KINDS = (
    Kind(ServiceCall, pruning.prune_service_calls, {"at": _OLD}, lambda _n: {"at": timezone.now()}),
    Kind(
        ScopeUsage,
        pruning.prune_scope_usage,
        {"day": "current_date - 500 - mod(n, 300)::int", "purpose": "'bench-' || n"},
        lambda n: {"purpose": f"new-{n}", "day": timezone.now().date()},
    ),
    Kind(
        EmbedSession,
        pruning.prune_sessions,
        {"token_hash": "encode(sha256(('bench' || n)::bytea), 'hex')", "expires_at": _OLD, "created_at": _OLD},
        lambda n: {"token_hash": sha256(f"new-{n}".encode()).hexdigest(), "created_at": timezone.now()},
    ),
    Kind(
        Evidence,
        pruning.prune_evidence,
        {"observed_at": _OLD, "period_start": "NULL", "kind": "'launch'"},
        lambda _n: {"observed_at": timezone.now(), "period_start": None},
    ),
    Kind(
        RefreshAttempt,
        pruning.prune_refresh_attempts,
        {"started_at": _OLD, "finished_at": _OLD, "outcome": "'fresh'", "generation": "1", "refresh_fingerprint": "''",
         "retry_at": "NULL"},
        lambda _n: {"started_at": timezone.now(), "refresh_fingerprint": "", "outcome": "transient",
                    "finished_at": timezone.now()},
    ),
)  # fmt: skip


def measure(scale: float) -> Iterator[Figure]:
    yield from seeded(max(300, int(20_000 * scale)))
    OAuthToken.objects.update(generation=9)  # attempts at the pair that is there now are kept
    rows = int(100_000 * scale)
    for kind in _KINDS:
        kind.prune()  # what the made-up world has of it
        _make_old(kind, rows)
        began = time.monotonic()
        pruned = kind.prune()
        rate = pruned / (time.monotonic() - began)
        assert pruned >= rows, (kind.model, pruned)
        yield Figure(f"prune {kind.model._meta.verbose_name_plural}", rate, "rows/s", "written", _written(kind))
    yield from _beside_a_writer(_KINDS[0], rows)


def _make_old(kind: Kind, rows: int) -> None:
    table = kind.model._meta.db_table
    columns = [field.column for field in kind.model._meta.local_concrete_fields if not field.primary_key]
    values = ", ".join(kind.old.get(column, column) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM"
            f" (SELECT *, row_number() OVER () AS n FROM {table} CROSS JOIN generate_series(1, %s) LIMIT %s) AS made",
            [rows, rows],
        )
        cursor.execute(f"VACUUM ANALYZE {table}")


def _written(kind: Kind) -> float:
    """Return how many rows one connection writes in a second, each in a transaction of its own."""
    row = kind.model._default_manager.values().latest("pk")
    del row["id"]
    began = time.monotonic()
    for number in range(_WRITTEN):
        kind.model._default_manager.create(**row | kind.new(number))
    return _WRITTEN / (time.monotonic() - began)


def _beside_a_writer(kind: Kind, rows: int) -> Iterator[Figure]:
    """Prune while another process writes as fast as it can: neither waits for the other."""
    newest = kind.model._default_manager.filter
    with _writer():
        alone = _rate_of(lambda: time.sleep(5), newest)
        _make_old(kind, rows)
        pruned = 0

        def prune() -> None:
            nonlocal pruned
            began = time.monotonic()
            pruned = kind.prune() / (time.monotonic() - began)

        meanwhile = _rate_of(prune, newest)
    name = kind.model._meta.verbose_name_plural
    yield Figure(f"prune {name} beside a writer", pruned, "rows/s", "written meanwhile", meanwhile)
    yield Figure(f"{name} written beside a prune", meanwhile, "rows/s", "alone", alone)


def _rate_of(act: Callable[[], None], newest: Callable[..., Any]) -> float:
    """Return how many rows the writer writes in a second while something is done."""
    began, since = time.monotonic(), timezone.now()
    act()
    return float(newest(at__gte=since).count()) / (time.monotonic() - began)


@contextmanager
def _writer() -> Iterator[None]:
    code = "import django; django.setup(); from tests.bench import prune; prune.write_on()"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()


def write_on() -> None:
    """Write one row after the other until the process is ended."""
    kind = _KINDS[0]
    row = kind.model._default_manager.values().latest("pk")
    del row["id"]
    print("begun", flush=True)  # noqa: T201
    for number in itertools.count():
        kind.model._default_manager.create(**row | kind.new(number))
