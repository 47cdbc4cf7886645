"""Remove the beginning of the trail once it is archived and old enough. Nothing else is ever removed."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason
from installations.audit_chain import Link, Row, Statement, sign
from installations.audit_files import ExportReader, header, json_lines
from installations.audit_models import AuditCheckpoint, AuditEvent
from installations.errors import StateConflict
from installations.trail import reading

PERMISSION = "installations.prune_audit"
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Pruning:
    events: int  # 0: nothing was old enough
    to: int


def prune_audit(
    *, before: datetime, archive: Path, actor: Actor, reason: str, progress: Progress = lambda _events: None
) -> Pruning:
    """Archive every event from the start to the last one before a time, then remove them behind a signed checkpoint.

    The archive is a new file; it is verified with the keys before anything is removed. Verifying the rest of the trail
    begins at the checkpoint.

    Raises NotPermitted, ReasonRequired, StateConflict when the time is too recent, the beginning does not verify, or
    the archive cannot be written.
    """
    actor.require(PERMISSION)
    why = clean_reason(reason)
    if before > timezone.now() - timedelta(days=settings.AUDIT_RETENTION_DAYS):
        raise StateConflict(
            f"Events are kept for {settings.AUDIT_RETENTION_DAYS} days (AUDIT_RETENTION_DAYS). Name an earlier date."
        )
    after, to = reading.start(), _last_before(before)
    if to is None or to.sequence <= after.sequence:
        return Pruning(0, after.sequence)
    digest = _write_archive(archive, after, to, progress)
    with transaction.atomic(durable=True):
        audit.locked_head()
        if reading.start() != after:
            raise StateConflict("Somebody else removed a part of the trail meanwhile. Nothing was removed now.")
        checkpoint = _make_checkpoint(after, to)
        removed = AuditEvent.objects.all().delete_behind(checkpoint)
        if removed != checkpoint.events:
            raise StateConflict("The beginning of the trail changed meanwhile. Nothing was removed.")
        details = {"from": after.sequence + 1, "to": to.sequence, "events": removed, "archive_sha256": digest}
        audit.append(actor, audit.Event("audit.pruned", "audit trail", str(to.sequence), reason=why, details=details))
    return Pruning(removed, to.sequence)


def _last_before(before: datetime) -> Link | None:
    """Return the end of the beginning: the event before the first one that is not old enough."""
    kept = AuditEvent.objects.filter(occurred_at__gte=before).order_by("sequence").first()
    old = AuditEvent.objects.all() if kept is None else AuditEvent.objects.filter(sequence__lt=kept.sequence)
    last = old.order_by("-sequence").values_list("sequence", "hash").first()
    return Link(*last) if last else None


def _make_checkpoint(after: Link, to: Link) -> AuditCheckpoint:
    row = AuditCheckpoint(
        sequence=to.sequence,
        hash=to.hash,
        after=after.sequence,
        events=to.sequence - after.sequence,
        made_at=timezone.now(),
        key_id=audit.audit_keys().newest.id,
    )
    row.mac = sign(Statement.CHECKPOINT, reading.checkpoint_fields(row), audit.audit_keys().newest)["mac"]
    row.save(force_insert=True)
    return row


def _write_archive(path: Path, after: Link, to: Link, progress: Progress) -> str:
    """Write the events to a new file, verify it as it lies there, and return its SHA-256."""
    ring = audit.audit_keys()
    first = header(after, to, audit.time_text(timezone.now()), ring.newest)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
            for line in json_lines(first, _counted(reading.rows(after=after.sequence, to=to.sequence), progress)):
                stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        with path.open("rb") as written:
            finding = next(iter(ExportReader(written, ring)), None)
        if finding is not None:
            path.unlink()
            raise StateConflict(f"The beginning of the trail does not verify, so it stays as it is. {finding}.")
        with path.open("rb") as written:
            return hashlib.file_digest(written, "sha256").hexdigest()
    except FileExistsError:
        raise StateConflict("The archive exists already. Name a new file.") from None
    except OSError as error:
        raise StateConflict(f"The archive cannot be written: {error.strerror}.") from None


def _counted(rows: Iterator[Row], progress: Progress) -> Iterator[Row]:
    for row in rows:
        yield row
        progress(1)
