"""Look through a restored database: migrate it, verify its trail, unseal each row, and say what is in it.

Every look is at Django's default database, which in this process is the scratch one.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from flowlu_admin.redaction import redact
from flowlu_admin.restoring.steps import Step
from installations.audit import audit_keys
from installations.audit_chain import Anchor
from installations.audit_models import AuditEvent
from installations.keys import KeyRingError
from installations.management.audit_command import anchors_in, bar
from installations.management.operator_command import plural
from installations.models import Installation, Portal
from installations.trail import reading
from installations.trail.verifying import DatabaseVerification
from tokens.key_report import Standing, report
from tokens.models import OAuthToken
from tokens.sealed_models import registered
from tokens.sealed_rows import SealedRows, rings

_NAMED = 3  # findings of one kind that are told one by one
Answer = tuple[bool, str]


def inspect(anchor_file: str) -> Iterator[Step]:
    """Yield what each step found. What cannot be migrated is not looked at further."""
    needed: list[tuple[str, Callable[[], Answer]]] = [("made by", _made_by), ("migrations", _migrate)]
    if connection.vendor == "sqlite":
        needed.insert(0, ("file", _file))
    for name, look in needed:
        step = _timed(name, look)
        yield step
        if not step.good:
            return
    yield _timed("audit trail", lambda: _trail(anchor_file))
    yield _timed("keys", _keys)
    for rows in registered():
        yield _timed(rows.name, lambda rows=rows: _unseal(rows))  # type: ignore[misc]  # of this turn
    yield _timed("contents", _contents)


def _timed(name: str, look: Callable[[], Answer]) -> Step:
    began = time.monotonic()
    try:
        good, words = look()
    except KeyRingError as error:
        good, words = False, f"a key ring is not usable: {error}"
    except DatabaseError as error:
        # The lines below the first one show rows.
        good, words = False, f"the database refused: {redact(str(error).partition(chr(10))[0]) or type(error).__name__}"
    except Exception as error:  # a step that fails is what a drill is to tell, whatever it fails with
        good, words = False, f"it failed with {type(error).__name__}"
    return Step(name, good, words, time.monotonic() - began)


def _file() -> Answer:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check(1)")
        (found,) = cursor.fetchone()
        if found != "ok":
            return False, "SQLite finds it damaged"
        cursor.execute("PRAGMA foreign_key_check")
        broken = cursor.fetchone()
    return (False, f"a row of {broken[0]} refers to one that is not there") if broken else (True, "whole")


def _made_by() -> Answer:
    """Say how far the migrations of the backup are. A database without any would become a good one by migrating it."""
    applied = MigrationRecorder(connection).applied_migrations()
    known = MigrationExecutor(connection).loader.disk_migrations
    ours = {app for app, _name in known}
    if ("installations", "0001_initial") not in applied:
        return False, "no database of this service: it holds none of its tables"
    newer = sorted(f"{app}.{name}" for app, name in applied if app in ours and (app, name) not in known)
    if newer:
        return False, f"a newer release, with {', '.join(newer[:_NAMED])}: look at it with that one"
    ahead = len(known.keys() - applied.keys())
    return True, f"an earlier release, {plural(ahead, 'migration', 'migrations')} behind" if ahead else "this release"


def _migrate() -> Answer:
    executor = MigrationExecutor(connection)
    steps = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    call_command("migrate", verbosity=0, interactive=False)
    return True, f"{plural(steps, 'migration', 'migrations')} applied" if steps else "nothing to apply"


def _trail(anchor_file: str) -> Answer:
    head = reading.head()
    anchors: list[Anchor] = []
    if anchor_file:
        try:
            anchors = anchors_in(anchor_file, audit_keys())
        except CommandError as error:
            return False, str(error)
    # What was anchored after the backup was taken cannot be in it.
    held = [anchor for anchor in anchors if head is not None and anchor.link.sequence <= head.sequence]
    checked = DatabaseVerification(audit_keys(), held)
    findings: list[str] = []
    count = 0
    with bar(checked.expected, "events") as progress:
        for finding in checked:
            count += 1
            if count <= _NAMED:
                findings.append(str(finding))
            progress.update(checked.events - progress.n)
    if count:
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        return False, f"BROKEN: {'; '.join(findings)}{more}"
    told = f"intact: {plural(checked.events, 'event', 'events')} up to {checked.last}"
    if not anchors:
        return True, f"{told}; without an anchor a cut-off end would not show"
    younger = len(anchors) - len(held)
    told += f", and {plural(len(held), 'anchor', 'anchors')}"
    return True, f"{told}; {plural(younger, 'anchor is', 'anchors are')} younger than the backup" if younger else told


def _keys() -> Answer:
    bad = [
        f"{line.standing} key {line.key_id!r} of {ring.ring}"
        for ring in report()
        for line in ring.keys
        if line.standing in {Standing.MISSING, Standing.WRONG}
    ]
    return (False, f"{', '.join(bad)}: key_status says what needs it") if bad else (True, "every key that rows need")


def _unseal(rows: SealedRows) -> Answer:
    done, named, failed = 0, list[str](), 0
    with bar(rows.count_sealed(), "rows") as progress:
        for fault in rows.unsealing(rings()):
            done += 1
            progress.update()
            if fault is not None:
                failed += 1
                if failed <= _NAMED:
                    named.append(f"{fault.row} ({fault.why})")
    if not failed:
        return True, f"{plural(done, 'row unseals', 'rows unseal')}"
    more = f" and {failed - _NAMED} more" if failed > _NAMED else ""
    told = f"{failed} of {plural(done, 'row', 'rows')} cannot be relied on: {', '.join(named)}{more}"
    if rows.needs_their_key:
        return False, told
    return True, f"{told}; nothing is lost with them"


def _contents() -> Answer:
    counts = (
        plural(Portal.objects.count(), "portal", "portals"),
        plural(Installation.objects.count(), "installation", "installations"),
        plural(OAuthToken.objects.live().count(), "live token", "live tokens"),
        plural(get_user_model()._default_manager.count(), "operator", "operators"),
    )
    last = AuditEvent.objects.order_by("-sequence").values_list("occurred_at", flat=True).first()
    if last is None:
        return False, f"{', '.join(counts)}, and nothing ever happened: this is an empty database"
    ago = _in_words((datetime.now(UTC) - last).total_seconds())
    return True, f"{', '.join(counts)}; the last event is of {last:%Y-%m-%d %H:%M} UTC, {ago} ago"


def _in_words(seconds: float) -> str:
    for size, one, many in ((86400, "day", "days"), (3600, "hour", "hours"), (60, "minute", "minutes")):
        if seconds >= size:
            return plural(int(seconds // size), one, many)
    return "less than a minute"
