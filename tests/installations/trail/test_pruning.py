"""Retention: only a beginning goes, old enough, archived and verified, behind a checkpoint that is signed."""

import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from installations import audit
from installations.audit_chain import Anchor, Link
from installations.audit_files import ExportReader
from installations.audit_models import AuditCheckpoint, AuditEvent
from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.trail import reading
from installations.trail.anchoring import anchor_to_file
from installations.trail.exporting import Format, export_audit
from installations.trail.pruning import Pruning, prune_audit
from installations.trail.verifying import DatabaseVerification
from tests import factories
from tests.tampering import TABLE, as_owner
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
ACTOR = factories.superactor()
TODAY = datetime(2026, 6, 1, tzinfo=UTC)
LAST_YEAR = datetime(2025, 1, 1, tzinfo=UTC)


def record(count: int) -> None:
    with transaction.atomic():
        audit.append(ACTOR, *(audit.Event("test.done", "thing", str(number)) for number in range(count)))


def said(*anchors: Anchor) -> list[tuple[str, int | None]]:
    return [(each.kind.value, each.sequence) for each in DatabaseVerification(audit.audit_keys(), anchors)]


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    """Ten events of two years ago and five of today; the place of the archive."""
    with time_machine.travel(datetime(2024, 1, 1, tzinfo=UTC), tick=False):
        record(10)
    with time_machine.travel(TODAY, tick=False):
        record(5)
        yield tmp_path / "archive.jsonl"


def prune(archive: Path, before: datetime = LAST_YEAR, **options: Any) -> Pruning:
    return prune_audit(**{"before": before, "archive": archive, "actor": ACTOR, "reason": "Two years."} | options)


def test_beginning_goes_to_the_archive_and_the_rest_still_verifies(archive: Path) -> None:
    tenth = Link(10, str(reading.hash_at(10)))
    assert prune(archive) == Pruning(10, 10)

    assert list(AuditEvent.objects.order_by("sequence").values_list("sequence", flat=True)) == [11, 12, 13, 14, 15, 16]
    event = last_event_of_all()
    assert (event.verb, event.target_id, event.reason) == ("audit.pruned", "10", "Two years.")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert event.details == {"from": 1, "to": 10, "events": 10, "archive_sha256": digest}
    assert said() == []
    reader = ExportReader(io.BytesIO(archive.read_bytes()), audit.audit_keys())
    assert (list(reader), reader.events, reader.to) == ([], 10, tenth)
    assert reading.start() == tenth
    assert archive.stat().st_mode & 0o077 == 0


def last_event_of_all() -> AuditEvent:
    return AuditEvent.objects.latest("sequence")


def test_second_part_goes_on_behind_the_first(archive: Path, tmp_path: Path) -> None:
    prune(archive)
    with time_machine.travel(TODAY + timedelta(days=800), tick=False):
        assert prune(tmp_path / "second.jsonl", TODAY + timedelta(days=1)) == Pruning(6, 16)
        assert said() == []
        assert list(AuditCheckpoint.objects.values_list("sequence", "after", "events")) == [(16, 10, 6), (10, 0, 10)]
        assert list(AuditEvent.objects.values_list("sequence", flat=True)) == [17]
        record(3)
    assert said() == []


def test_export_after_it_begins_behind_the_checkpoint_and_verifies(archive: Path) -> None:
    prune(archive)
    export = export_audit(format=Format.JSON_LINES, actor=ACTOR, reason="A look.")
    assert (export.after.sequence, export.events) == (10, 7)
    assert list(ExportReader(io.BytesIO("".join(export.lines()).encode()), audit.audit_keys())) == []


def test_anchors_of_before_hold_and_new_ones_are_made(archive: Path, tmp_path: Path) -> None:
    anchors = tmp_path / "anchors"
    old = [Anchor(Link(number, str(reading.hash_at(number))), "then") for number in (5, 10, 15)]
    anchor_to_file(path=anchors, actor=ACTOR)
    prune(archive)
    assert said(*old) == []
    assert said(Anchor(Link(10, "f" * 64), "then")) == [("differs from an anchor", 10)]
    assert anchor_to_file(path=anchors, actor=ACTOR).changed is True


def test_events_of_a_bad_clock_keep_what_is_behind_them(archive: Path) -> None:
    """Only a prefix: an old time behind a new one does not go."""
    with time_machine.travel(datetime(2024, 1, 1, tzinfo=UTC), tick=False):
        record(1)
    assert prune(archive) == Pruning(10, 10)


def test_nothing_old_enough_changes_nothing(archive: Path) -> None:
    with nothing_changes():
        assert prune(archive, datetime(2023, 1, 1, tzinfo=UTC)).events == 0
    assert not archive.exists()


def test_too_young_a_date_is_refused(archive: Path, settings: Any) -> None:
    settings.AUDIT_RETENTION_DAYS = 30
    with nothing_changes(), pytest.raises(StateConflict, match="kept for 30 days"):
        prune(archive, timezone.now() - timedelta(days=29))
    assert prune(archive, timezone.now() - timedelta(days=31)).events == 10


def test_beginning_that_does_not_verify_stays(archive: Path) -> None:
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET reason = 'Edited.' WHERE sequence = 4")
        with pytest.raises(StateConflict, match="does not verify, so it stays as it is. event 4: edited"):
            prune(archive)
        assert AuditEvent.objects.count() == 15
    assert not archive.exists()


def test_file_that_exists_is_not_overwritten(archive: Path) -> None:
    archive.write_text("Mine.")
    with nothing_changes(), pytest.raises(StateConflict, match="exists already"):
        prune(archive)
    assert archive.read_text() == "Mine."


def test_place_that_cannot_be_written_is_refused(archive: Path) -> None:
    with nothing_changes(), pytest.raises(StateConflict, match="cannot be written"):
        prune(archive / "x" / "y")


def test_no_group_may_do_it(archive: Path, auditor: Any, reviewer: Any, responder: Any) -> None:
    for user in (auditor, reviewer, responder):
        with nothing_changes(), pytest.raises(NotPermitted):
            prune(archive, actor=factories.actor(user))


def test_reason_is_required(archive: Path) -> None:
    with nothing_changes(), pytest.raises(ReasonRequired):
        prune(archive, reason="")


@pytest.mark.postgresql
def test_database_lets_nothing_else_go(archive: Path) -> None:
    prune(archive)
    for sql in (
        f"DELETE FROM {TABLE} WHERE sequence = 11",
        f"UPDATE {TABLE} SET reason = 'Edited.'",
        "UPDATE installations_auditcheckpoint SET sequence = 15",
        "DELETE FROM installations_auditcheckpoint",
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)


def test_checkpoint_that_was_edited_is_found(archive: Path) -> None:
    prune(archive)
    for change in ("events = 9", "after = 1", "hash = previous", "mac = 'f'", "key_id = '2'", "sequence = 11"):
        with as_owner() as cursor:
            value = change.replace("previous", f"'{'e' * 64}'")
            cursor.execute(f"UPDATE installations_auditcheckpoint SET {value}")
            assert said(), change
    assert last_event_of_all().verb == "audit.pruned"


def test_beginning_that_somebody_else_removed_meanwhile_is_not_removed_twice(archive: Path, tmp_path: Path) -> None:
    def meanwhile(_events: int) -> None:
        if not AuditCheckpoint.objects.exists():
            prune(tmp_path / "theirs.jsonl")

    with pytest.raises(StateConflict, match="Somebody else removed a part of the trail meanwhile"):
        prune(archive, progress=meanwhile)

    assert AuditCheckpoint.objects.count() == 1
    assert str(AuditCheckpoint.objects.get()) == "checkpoint at 10"
    assert said() == []


def test_beginning_that_lost_an_event_after_it_was_archived_stays(archive: Path) -> None:
    with as_owner() as cursor:

        def meanwhile(_events: int) -> None:
            cursor.execute(f"DELETE FROM {TABLE} WHERE sequence = 4")

        with pytest.raises(StateConflict, match="The beginning of the trail changed meanwhile"):
            prune(archive, progress=meanwhile)

        assert AuditEvent.objects.count() == 14
        assert AuditCheckpoint.objects.count() == 0
