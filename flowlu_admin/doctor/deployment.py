"""Every look at the deployment. What a page or another command says already is asked of the same code."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.utils import timezone

from flowlu_admin import health
from flowlu_admin.doctor import surroundings
from flowlu_admin.doctor.bounded import Check
from flowlu_admin.doctor.findings import Finding, Level
from flowlu_admin.home.needs import needs
from flowlu_admin.notices.models import NoticeDelivery
from installations import selectors
from installations.errors import StateConflict
from installations.keys import KeyRingError
from installations.trail import anchoring, reading
from installations.trail.state import trail_state
from tokens import key_report
from tokens.models import SweepRun, UpstreamRevocation

_LATE: Final = timedelta(minutes=15)  # the sweep looks once a minute
_DAILY: Final = timedelta(days=2)  # what is to be done once a day
_SLOW: Final = 50  # milliseconds for a statement that reads nothing
_SWEEP: Final = "keep manage.py sweep --every 60 running, or Celery's worker and beat"


def system_checks() -> Iterator[Finding]:
    """Give what Django's checks and those of this project find; with DEBUG, without those for a deployment."""
    for message in checks.run_checks(include_deployment_checks=not settings.DEBUG):
        if message.is_silenced():
            continue
        is_bad = message.level >= checks.WARNING
        level = (Level.ERROR if message.level >= checks.ERROR else Level.WARNING) if is_bad else Level.NOTE
        yield Finding(level, f"{message.msg} ({message.id})", message.hint or "see docs/settings.md")
    if settings.DEBUG:
        yield Finding(Level.NOTE, "DEBUG is on, as on a development machine: what a deployment needs is not asked")


def database() -> Iterator[Finding]:
    """Ask the database for nothing, and see how long that takes and over what kind of connection."""
    began = monotonic()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            began = monotonic()  # without opening the connection
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        yield Finding(Level.ERROR, f"does not answer ({type(error).__name__})", "start it, or correct DATABASE_URL")
        return
    took = round((monotonic() - began) * 1000)
    if took > _SLOW:
        yield Finding(Level.WARNING, f"needs {took} ms to read nothing", "put it nearer: each call asks it")
    else:
        yield Finding(Level.OK, f"{connection.vendor}, answers in {took} ms")
    if connection.vendor == "sqlite" and settings.WEB_CONCURRENCY > 1:
        yield Finding(Level.WARNING, "several processes share SQLite", "set DATABASE_URL to PostgreSQL")
    if _is_in_clear():
        yield Finding(
            Level.WARNING,
            "the connection to the database leaves this machine and is not encrypted",
            "add ?sslmode=verify-full to DATABASE_URL",
        )


def _is_in_clear() -> bool:
    host = str(connection.settings_dict.get("HOST") or "")
    is_here = not host or host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")
    return connection.vendor == "postgresql" and not is_here and not connection.connection.pgconn.ssl_in_use


def migrations() -> Iterator[Finding]:
    if health.lacks_migrations():
        yield Finding(Level.ERROR, "some are missing", "run manage.py migrate")
    else:
        yield Finding(Level.OK, "all are applied")


def keys() -> Iterator[Finding]:
    """Ask what /readyz asks: whether every key that rows need is there and is the right one."""
    unusable = health.unusable_rings()
    for line in unusable or key_report.problems():
        yield Finding(Level.ERROR, line, "put it back: manage.py key_status, docs/operations.md")


def catalogue() -> Iterator[Finding]:
    for line in health.catalogue_problems():
        words, _, fix = line.partition(": ")
        yield Finding(Level.ERROR, words, fix)


def jobs() -> Iterator[Finding]:
    """Say whether the periodic jobs ever ran; that they stopped or fail is among the needs of the console."""
    if SweepRun.objects.filter(started_at__isnull=False).exists():
        yield Finding(Level.OK, "they were run")
    else:
        yield Finding(Level.WARNING, "no periodic job ever ran: nothing is refreshed, wiped or anchored", _SWEEP)


def queues() -> Iterator[Finding]:
    """Look for what should have been sent long ago."""
    until = timezone.now() - _LATE
    waiting: dict[str, tuple[QuerySet[Any], str]] = {
        "notices to operators": (NoticeDelivery.objects.filter(state=NoticeDelivery.State.WAITING), "due_at"),
        "revocations to tell Flowlu of": (
            UpstreamRevocation.objects.filter(state=UpstreamRevocation.State.PENDING),
            "next_try_at",
        ),
    }
    for what, (rows, column) in waiting.items():
        late = selectors.waiting(rows.filter(**{f"{column}__lt": until}), column)
        if late.oldest:
            minutes = int((timezone.now() - late.oldest).total_seconds() / 60)
            yield Finding(Level.WARNING, f"{late.number} {what} are late, the first by {minutes} minutes", _SWEEP)


def console() -> Iterator[Finding]:
    """Give what the first page of the console shows to whoever may see all of it."""
    for need in needs(lambda _permission: True):
        yield Finding(Level.WARNING if need.tone == "bad" else Level.NOTE, need.words, need.about)


def trail() -> Iterator[Finding]:
    """Look at the audit trail's head, its anchors, and when it was last verified."""
    path = settings.AUDIT_ANCHOR_FILE
    try:
        anchoring.check_head()
        anchor = anchoring.compare_with_file(Path(path)) if path else None
        state = trail_state()
    except KeyRingError:
        yield Finding(Level.ERROR, "cannot be read without AUDIT_KEY", "see the check of the keys")
        return
    except StateConflict as error:
        yield Finding(Level.ERROR, error.public_message, "run manage.py verify_audit, and find out who can write to it")
        return
    yield Finding(Level.OK, f"its end verifies; events: {state.events}")
    if path and not os.access(path if os.path.exists(path) else os.path.dirname(path) or ".", os.W_OK):
        yield Finding(
            Level.ERROR,
            "AUDIT_ANCHOR_FILE cannot be written",
            "make its folder, which whom the periodic jobs run as may write to; ask as the same account",
        )
    if not (path or settings.AUDIT_ANCHOR_URL):
        yield Finding(
            Level.WARNING,
            "it is anchored nowhere: a cut-off end would not show",
            "set AUDIT_ANCHOR_FILE or AUDIT_ANCHOR_URL to where the database's owner cannot write",
        )
    if not state.events:
        return
    now = timezone.now()
    if path and anchor is None:
        yield Finding(Level.WARNING, "the file of anchors is not there, or empty", "run manage.py anchor_audit daily")
    elif (path or settings.AUDIT_ANCHOR_URL) and (
        state.anchored is None or now - state.anchored.occurred_at > _DAILY and _goes_on_after(state.anchored.target_id)
    ):
        yield Finding(Level.WARNING, "the last anchor is more than two days old", _SWEEP)
    if state.verified is None or now - state.verified.occurred_at > _DAILY:
        yield Finding(Level.WARNING, "it was not verified for two days", "run manage.py verify_audit daily")
    if state.found:
        yield Finding(Level.ERROR, "the last verification found it broken", "run manage.py verify_audit to see each")


def _goes_on_after(sequence: str) -> bool:
    return reading.anything_but((anchoring.ANCHORED, "audit.verified"), after=int(sequence))


CHECKS: Final = (
    Check("settings", system_checks),
    Check("database", database, asks_database=True, gate="the database does not answer"),
    Check("migrations", migrations, asks_database=True, gate="migrations are missing"),
    Check("keys", keys, asks_database=True),
    Check("catalogue", catalogue, asks_database=True),
    Check("redis", surroundings.redis),
    Check("broker", surroundings.broker),
    Check("mail", surroundings.mail),
    Check("proxy", surroundings.proxy),
    Check("certificate", surroundings.certificate),
    Check("clock", surroundings.clock, asks_database=True),
    Check("jobs", jobs, asks_database=True),
    Check("queues", queues, asks_database=True),
    Check("audit trail", trail, asks_database=True),
    Check("console", console, asks_database=True, seconds=30.0),
)
