"""Rewrapping: rows a second and peak memory, at 10,000 and at 100,000 tokens that each hold both secrets."""

import time
import uuid
from collections.abc import Iterator

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from installations.models import AuditEvent
from installations.services import LaunchRecord
from tests import factories
from tests.bench.figures import Ended, Figure, run_command
from tests.tokens.keyring import F2, K2
from tokens import vault
from tokens.models import OAuthToken
from tokens.sealing import Context, fingerprint, seal, unseal

_CHUNK = 2_000
_BY = ("--operator", "bench", "--reason", "A measurement.")


def measure(scale: float) -> Iterator[Figure]:
    factories.operator("bench", superuser=True)
    record = factories.launch(factories.application())
    few, many = int(10_000 * scale), int(100_000 * scale)
    peaks = []
    for rows in (few, many):
        alone = _sealing_alone(min(few, 5_000))
        _fill(record, rows - OAuthToken.objects.count())
        ran, seconds = _rewrap()
        expected = f"complete: {rows} rows rewrapped"
        assert expected in ran.output, ran.output
        peaks.append(ran.peak_mib)
        yield Figure(
            f"rewrap {rows:,} rows, seal and fingerprint keys",
            rows / seconds,
            "rows/s",
            "sealing alone, in memory",
            alone,
            note=f"{seconds:.1f} s, {ran.seconds:.1f} s with the start and the counts",
        )
    yield Figure(f"peak memory at {many:,} rows", peaks[1], "MiB", f"at {few:,} rows", peaks[0])
    idle = run_command("rewrap_tokens", *_BY)
    yield Figure(f"peak memory at {many:,} rows", peaks[1], "MiB", "of a run with nothing to do", idle.peak_mib)


def _rewrap() -> tuple[Ended, float]:
    """Run the command under new keys, and back again for the next run. Returns how it ended and how long it wrote."""
    rings = {
        "TOKEN_KEYS": f"{K2},{settings.TOKEN_KEYS}",
        "FINGERPRINT_KEY": f"{F2},1:{settings.FINGERPRINT_KEY}",
    }
    ended = run_command("rewrap_tokens", *_BY, **rings)
    started, finished = AuditEvent.objects.filter(verb__startswith="keys.rewrap").order_by("-sequence")[:2][::-1]
    back = {name: ",".join(reversed(ring.split(","))) for name, ring in rings.items()}
    run_command("rewrap_tokens", *_BY, **back)
    return ended, (finished.occurred_at - started.occurred_at).total_seconds()


def _fill(record: LaunchRecord, rows: int) -> None:
    """Store tokens that hold both secrets, past the limit of ten for a user: one user with many costs the same."""
    now = timezone.now()
    while rows > 0:
        made = []
        for _ in range(min(rows, _CHUNK)):
            row = OAuthToken(
                installation=record.installation, portal_user=record.portal_user, created_at=now, stored_at=now
            )
            vault.seal_into(row, f"access-{uuid.uuid4().hex}", f"refresh-{uuid.uuid4().hex}")
            made.append(row)
        with transaction.atomic():
            OAuthToken.objects.bulk_create(made)
        rows -= len(made)


def _sealing_alone(rows: int) -> float:
    """Return how many rows a second the same sealing takes without a database: unseal, seal, fingerprint, two each."""
    keys, prints = vault.token_keys(), vault.fingerprint_keys()
    places = [Context("tokens.OAuthToken", str(uuid.uuid4()), column) for column in (vault.ACCESS, vault.REFRESH)]
    sealed = [seal("a-token-of-some-forty-characters-or-less", place, keys) for place in places]
    began = time.monotonic()
    for _ in range(rows):
        for place, value in zip(places, sealed, strict=True):
            clear = unseal(value, place, keys)
            seal(clear, place, keys)
            fingerprint(clear, prints)
    return rows / (time.monotonic() - began)
