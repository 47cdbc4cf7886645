"""The trail in the database: what somebody with all rights on the tables changes is found, and nothing else is."""

import random
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from installations import audit
from installations.audit_chain import START, Link
from installations.audit_models import AuditCheckpoint, AuditEvent, AuditHead
from installations.keys import parse_key_ring
from installations.trail import reading
from installations.trail.verifying import DatabaseVerification, record_verification
from tests import factories
from tests.tampering import TABLE, as_owner
from tests.unchanged import last_event

pytestmark = pytest.mark.django_db
ACTOR = factories.superactor()
NEW = "2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="


def record(count: int) -> None:
    events = [
        audit.Event("test.done", "thing", str(number % 9), number % 5 or None, "Because.", {"count": number})
        for number in range(count)
    ]
    with transaction.atomic():
        audit.append(ACTOR, *events)


def said(**options: Any) -> list[tuple[str, int | None]]:
    return [(finding.kind.value, finding.sequence) for finding in DatabaseVerification(audit.audit_keys(), **options)]


@pytest.fixture
def trail() -> int:
    record(30)
    return 30


def test_trail_as_it_was_written_holds(trail: int) -> None:
    checked = DatabaseVerification(audit.audit_keys())
    assert list(checked) == []
    assert (checked.expected, checked.events, checked.last) == (30, 30, 30)


def test_trail_that_was_never_written_to_holds() -> None:
    assert said() == []


@pytest.mark.parametrize("head", ["gone", "reset"])
def test_empty_trail_beside_what_somebody_did_is_a_finding(trail: int, application: Any, head: str) -> None:
    factories.installation(application)
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}")
        if head == "gone":
            AuditHead.objects.all().delete()
        else:
            AuditHead.objects.update(sequence=0, hash=START.hash)
        (found,) = DatabaseVerification(audit.audit_keys())
    assert str(found) == "event 1: missing: the trail is empty although there are installations"


@pytest.mark.parametrize("when", ["before the first", "during", "after the last"])
def test_checkpoint_that_is_put_in_during_the_walk_has_to_be_signed(trail: int, when: str) -> None:
    newest = audit.audit_keys().newest.id
    with as_owner() as cursor:

        def put_in() -> None:
            forged = {"sequence": 25, "hash": reading.hash_at(25), "after": 0, "events": 25}
            AuditCheckpoint.objects.create(**forged, made_at=timezone.now(), key_id=newest, mac="00" * 32)
            cursor.execute(f"DELETE FROM {TABLE} WHERE sequence <= 25")

        checked = DatabaseVerification(audit.audit_keys())
        real = reading.rows

        def rows(**options: Any) -> Any:
            if when == "before the first":
                put_in()
            for number, row in enumerate(real(**options)):
                yield row
                if when == "during" and number == 3:
                    put_in()
            if when == "after the last":
                put_in()

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(reading, "rows", rows)
            found = [(finding.kind.value, finding.sequence) for finding in checked]
    assert found.count(("not signed by us", 25)) == 1


def test_trail_longer_than_a_batch_holds(monkeypatch: Any) -> None:
    monkeypatch.setattr(reading, "BATCH", 7)
    for count in (6, 1, 7, 7, 1):
        record(count)
        assert said() == []


def test_rows_read_past_the_models_are_what_was_hashed(trail: int) -> None:
    (row,) = reading.rows(after=4, to=5)
    event = AuditEvent.objects.get(sequence=5)
    assert row == {"id": 5, "hash": event.hash} | {
        name: audit.plain(getattr(event, name)) for name in row if name not in {"id", "hash"}
    }


EDITS: dict[str, Any] = {
    "id": 10**6,
    "sequence": 10**6,
    "occurred_at": "2020-01-01 00:00:00+00:00",
    "actor_kind": "operator",
    "actor_id": "5",
    "actor_name": "somebody",
    "via": "admin",
    "verb": "test.undone",
    "target_kind": "portal",
    "target_id": "77",
    "installation_id": 77,
    "reason": "Another reason.",
    "details": '{"count": -1}',
    "previous_hash": "f" * 64,
    "hash": "f" * 64,
    "key_id": "another",
}


def test_table_of_edits_names_every_column() -> None:
    assert EDITS.keys() == {column.name for column in AuditEvent._meta.get_fields()}


@pytest.mark.parametrize("column", EDITS)
@pytest.mark.parametrize("sequence", [1, 2, 15, 29, 30])
def test_edit_of_any_column_is_found(trail: int, column: str, sequence: int) -> None:
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET {column} = %s WHERE sequence = %s", [EDITS[column], sequence])
        assert cursor.rowcount == 1
        assert said()
    assert said() == []


@pytest.mark.parametrize("sequence", [1, 15, 29, 30])
def test_deletion_is_found(trail: int, sequence: int) -> None:
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence = %s", [sequence])
        assert said() == [("tail cut off" if sequence == 30 else "missing", sequence)]


@pytest.mark.parametrize(("first", "second"), [(1, 2), (1, 30), (10, 20), (29, 30)])
def test_exchange_of_two_rows_is_found(trail: int, first: int, second: int) -> None:
    with as_owner() as cursor:
        for old, new in ((first, -1), (second, first), (-1, second)):
            cursor.execute(
                f"UPDATE {TABLE} SET sequence = {new if new > 0 else 10**7}, id = {new if new > 0 else 10**7} "
                f"WHERE sequence = {old if old > 0 else 10**7}"
            )
        assert len(said()) >= 2


@pytest.mark.parametrize("sequence", [0, 31, 500])
def test_added_row_is_found(trail: int, sequence: int) -> None:
    with as_owner() as cursor:
        columns = ", ".join(name for name in EDITS if name not in {"id", "sequence"})
        cursor.execute(
            f"INSERT INTO {TABLE} (id, sequence, {columns}) "
            f"SELECT {sequence}, {sequence}, {columns} FROM {TABLE} WHERE sequence = 30"
        )
        assert said()


def test_cut_off_end_is_found_by_the_head_and_behind_it_by_an_anchor(trail: int) -> None:
    from installations.audit_chain import Anchor

    end = reading.head()
    assert end is not None
    anchor = Anchor(end, "2026-04-01T12:00:00.000000Z")
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence > 20")
        assert said() == [("tail cut off", 21)]
        AuditHead.objects.update(sequence=20, hash=reading.hash_at(20))
        assert said() == []
        assert said(anchors=[anchor]) == [("tail cut off", 21)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sequence": 29}, ("head does not match", 29)),
        ({"sequence": 31}, ("tail cut off", 31)),
        ({"hash": "f" * 64}, ("head does not match", 30)),
        (None, ("head does not match", 30)),
    ],
)
def test_edit_or_deletion_of_the_head_is_found(
    trail: int, change: dict[str, Any] | None, expected: tuple[str, int]
) -> None:
    if change is None:
        AuditHead.objects.all().delete()
    else:
        AuditHead.objects.update(**change)
    assert said() == [expected]


def test_everything_gone_is_found_by_the_head_alone(trail: int) -> None:
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}")
        assert said() == [("tail cut off", 1)]


def test_chain_goes_on_across_a_new_key(trail: int, settings: Any) -> None:
    old = settings.AUDIT_KEY
    settings.AUDIT_KEY = f"{NEW},1:{old}"
    record(5)
    assert said() == []
    assert {row.key_id for row in AuditEvent.objects.filter(sequence__gt=30)} == {"2"}

    settings.AUDIT_KEY = NEW
    assert said() == [("unknown key", number) for number in range(1, 31)]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's types take nothing else")
@pytest.mark.parametrize("column", ["occurred_at", "details", "sequence", "installation_id", "reason", "hash"])
@pytest.mark.parametrize("value", ["nonsense", b"\x00\xff", 1.5, "{", "[1"])
def test_value_that_no_model_could_load_is_a_finding(trail: int, column: str, value: Any) -> None:
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET {column} = %s WHERE sequence = 15", [value])
        assert said()


def test_removed_beginning_is_found_when_nobody_signed_for_it(trail: int) -> None:
    with as_owner() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE sequence <= 10")
        assert said() == [("missing", 1)]
        AuditCheckpoint.objects.create(
            sequence=10,
            hash=AuditEvent.objects.get(sequence=11).previous_hash,
            after=0,
            events=10,
            made_at="2026-04-01T00:00:00Z",
            key_id="1",
            mac="f" * 64,
        )
        assert said() == [("not signed by us", 10)]


def test_events_that_come_during_the_walk_are_walked_too(trail: int, monkeypatch: Any) -> None:
    found = reading.rows
    calls = []

    def busy(**options: Any) -> Any:
        yield from found(**options)
        if len(calls) < 3:
            calls.append(1)
            record(2)

    monkeypatch.setattr(reading, "rows", busy)
    checked = DatabaseVerification(audit.audit_keys())
    assert list(checked) == []
    assert (checked.events, calls) == (36, [1, 1, 1])


def test_verification_is_noted_with_its_result(trail: int) -> None:
    checked = DatabaseVerification(audit.audit_keys())
    assert list(checked) == []
    record_verification(checked=checked, findings=0, anchored=True, actor=ACTOR)

    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("audit.verified", "audit trail", "30")
    assert event.details == {"events": 30, "findings": 0, "with_anchor": True}
    assert said() == []


def test_note_that_was_written_in_is_not_believed(trail: int) -> None:
    ring = audit.audit_keys()
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET verb = 'audit.verified' WHERE sequence = 20")
        assert reading.newest_genuine(("audit.verified",), ring) is None
    assert reading.newest_genuine(("test.done",), ring) == AuditEvent.objects.get(sequence=30)
    assert reading.newest_genuine(("test.done",), parse_key_ring(NEW)) is None


def test_samples_on_ten_thousand_rows() -> None:
    record(10_000)
    assert said() == []
    for place in random.Random(1).sample(range(2, 10_000), 2):
        for sql in (
            f"UPDATE {TABLE} SET reason = 'Edited.' WHERE sequence = {place}",
            f"DELETE FROM {TABLE} WHERE sequence = {place}",
            f"DELETE FROM {TABLE} WHERE sequence > {place}",
            f"UPDATE {TABLE} SET id = 10000000, sequence = 10000000 WHERE sequence = {place}",
        ):
            with as_owner() as cursor:
                cursor.execute(sql)
                assert said(), sql


def test_start_is_the_checkpoint() -> None:
    assert reading.start() == Link(0, "0" * 64)
