"""The audit trail: events a second that acts append, one by one and by several writers, and how fast it is verified and
exported, with the memory for that."""

import hmac
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory

from django.db import connection, transaction

from installations import audit
from installations.actors import system_actor
from installations.audit import Event
from tests.bench.figures import Figure, run_command

_WRITERS = 8
_BATCH = 500


def measure(scale: float) -> Iterator[Figure]:
    acts = max(100, int(2_000 * scale))
    bare = _per_second(acts, _insert)
    yield Figure("append, one act after another", _per_second(acts, _append), "events/s", "a bare INSERT each", bare)
    with ThreadPoolExecutor(_WRITERS) as writers:
        began = time.monotonic()
        list(writers.map(lambda _writer: _acts(acts // _WRITERS), range(_WRITERS)))
        rate = acts // _WRITERS * _WRITERS / (time.monotonic() - began)
    yield Figure(f"append, {_WRITERS} writers at once", rate, "events/s", "a bare INSERT each, one writer", bare)
    before = _peak_mib()
    _per_second(acts, _append)
    yield Figure(f"peak memory: append {acts:,} events more", _peak_mib(), "MiB", "before", before)

    few = run_command("verify_audit")
    count = max(1_000, int(200_000 * scale))
    for _ in range(count // _BATCH):
        with transaction.atomic():
            audit.append(system_actor(), *(_event(number) for number in range(_BATCH)))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE installations_auditevent")
        cursor.execute("SELECT count(*) FROM installations_auditevent")
        count = cursor.fetchone()[0]
    hashing = _hashes(count)
    ended = run_command("verify_audit")
    yield Figure(f"verify {count:,} events", count / ended.seconds, "events/s", "an HMAC of as much text", hashing)
    yield _memory(f"verify {count:,} events", ended.peak_mib, few.peak_mib)
    with TemporaryDirectory() as folder:
        ended = run_command("export_audit", "--output", f"{folder}/trail.jsonl")
        yield Figure(f"export {count:,} events", count / ended.seconds, "events/s", "an HMAC of as much text", hashing)
        yield _memory(f"export {count:,} events", ended.peak_mib, few.peak_mib)
        ended = run_command("verify_audit", "--file", f"{folder}/trail.jsonl")
        yield Figure(
            f"verify a file of {count:,} events", count / ended.seconds, "events/s", "an HMAC of as much text", hashing
        )


def _peak_mib() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024


def _memory(what: str, peak: float, of_few: float) -> Figure:
    return Figure(f"peak memory: {what}", peak, "MiB", "verifying a few", of_few)


def _event(number: int) -> Event:
    return Event("bench_measured", "bench", str(number), reason="A bench.", details={"number": number, "of": "many"})


def _append(number: int) -> None:
    audit.append(system_actor(), _event(number))


def _insert(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_session (session_key, session_data, expire_date) VALUES (%s, %s, now())",
            [f"bench-{number}", "x" * 300],
        )


def _per_second(count: int, act: Callable[[int], None]) -> float:
    began = time.monotonic()
    for number in range(count):
        with transaction.atomic():
            act(number)
    return count / (time.monotonic() - began)


def _acts(count: int) -> None:
    try:
        _per_second(count, _append)
    finally:
        connection.close()


def _hashes(count: int) -> float:
    """Return how many texts as long as an event's a second get an HMAC-SHA256."""
    text = b"x" * 600
    began = time.monotonic()
    for _ in range(count):
        hmac.digest(b"k" * 32, text, "sha256")
    return count / (time.monotonic() - began)
