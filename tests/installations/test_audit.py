"""The audit trail: every event is chained, covered whole by its keyed hash, and stays as it was written."""

from copy import copy
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import DatabaseError, connection, transaction

from installations import audit
from installations.audit import Event, append, event_hash
from installations.audit_models import AuditEvent, AuditHead, AuditTrailIsAppendOnly, fields_covered
from installations.keys import Key, parse_key_ring
from installations.services import approve_scopes, lock, suspend_installation
from tests import factories
from tests.unchanged import nothing_changes, recorded
from tokens.services.revocation import uninstall_installation

ACTOR = factories.superactor()
COLUMNS = {
    "sequence": 99,
    "occurred_at": datetime(2020, 1, 1, tzinfo=UTC),
    "actor_kind": "operator",
    "actor_id": "5",
    "actor_name": "somebody",
    "via": "admin",
    "verb": "another.verb",
    "target_kind": "portal",
    "target_id": "another",
    "installation_id": 98,
    "reason": "Another reason.",
    "details": {"count": 2, "list": ["b"], "nested": {"ünïcödé": None}},
    "previous_hash": "f" * 64,
    "key_id": "another",
}


def record(*events: Event) -> list[AuditEvent]:
    with transaction.atomic():
        append(ACTOR, *events)
    return list(AuditEvent.objects.order_by("sequence"))[-len(events) :]


@pytest.fixture
def event(db) -> AuditEvent:
    event = Event("test.done", "thing", "1", 5, "Because.", {"count": 1, "list": ["a"], "nested": {"ünïcödé": None}})
    return record(event)[0]


def key() -> Key:
    from django.conf import settings

    return parse_key_ring(settings.AUDIT_KEY).newest


def assert_chain_holds() -> int:
    """Recompute the chain from its rows as an auditor with the key would; return its length."""
    previous, sequence = "0" * 64, 0
    for row in AuditEvent.objects.order_by("sequence"):
        sequence += 1
        assert row.sequence == sequence
        assert row.previous_hash == previous
        assert row.hash == event_hash(row, key())
        previous = row.hash
    head = AuditHead.objects.get()
    assert (head.sequence, head.hash) == (sequence, previous)
    return sequence


def test_chain_holds_over_events_of_several_verbs(application):
    found = factories.installation(application, approved=["crm.accounts.read"])
    lock(target=found.portal, actor=ACTOR, reason="First.")
    suspend_installation(installation_id=found.pk, actor=ACTOR, reason="Second.")
    uninstall_installation(installation_id=found.pk, actor=ACTOR, reason="Third.")

    assert assert_chain_holds() == 5
    assert recorded() == [
        "application.registered",
        "scopes.approved",
        "portal.locked",
        "installation.suspended",
        "installation.uninstalled",
    ]


def test_first_event_starts_from_zeros(event):
    assert (event.sequence, event.previous_hash) == (1, "0" * 64)


def test_events_of_one_act_are_chained_in_their_order(db):
    rows = record(Event("a", "thing", "1"), Event("b", "thing", "2"), Event("c", "thing", "3"))

    assert [(row.sequence, row.verb) for row in rows] == [(1, "a"), (2, "b"), (3, "c")]
    assert assert_chain_holds() == 3


def test_event_holds_actor_target_and_reason_by_value(event):
    row = AuditEvent.objects.values().get()

    assert row.pop("id") == event.pk
    assert row.pop("hash") == event.hash
    assert abs(row.pop("occurred_at") - datetime.now(UTC)) < timedelta(minutes=1)
    assert row == {
        "sequence": 1,
        "actor_kind": "system",
        "actor_id": "shell",
        "actor_name": "shell",
        "via": "command",
        "verb": "test.done",
        "target_kind": "thing",
        "target_id": "1",
        "installation_id": 5,
        "reason": "Because.",
        "details": {"count": 1, "list": ["a"], "nested": {"ünïcödé": None}},
        "previous_hash": "0" * 64,
        "key_id": "1",
    }


def test_table_names_a_change_for_every_column_that_the_hash_covers(event):
    assert COLUMNS.keys() == {name for name, _value in fields_covered(event)}
    assert COLUMNS.keys() | {"id", "hash"} == {column.name for column in AuditEvent._meta.get_fields()}


@pytest.mark.parametrize("column", COLUMNS)
def test_change_of_any_column_changes_the_hash(event, column):
    changed = copy(event)
    setattr(changed, column, COLUMNS[column])

    assert event_hash(event, key()) == event.hash
    assert event_hash(changed, key()) != event.hash


def test_hash_depends_on_the_key(event):
    assert event_hash(event, Key("1", bytes(range(32)))) != event.hash


def test_newest_key_hashes_and_is_named(db, settings):
    new = "2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="
    settings.AUDIT_KEY = f"{new},1:{settings.AUDIT_KEY}"

    (row,) = record(Event("test.done", "thing", "1"))

    assert row.key_id == "2"
    assert row.hash == event_hash(row, parse_key_ring(new).newest)


@pytest.mark.parametrize("microsecond", [0, 5, 120_000, 999_999])
def test_time_hashes_the_same_after_a_reload(db, monkeypatch, microsecond):
    moment = datetime(2026, 4, 1, 10, 15, 20, microsecond, tzinfo=UTC)
    monkeypatch.setattr(audit.timezone, "now", lambda: moment)

    (row,) = record(Event("test.done", "thing", "1"))

    assert row.occurred_at == moment
    assert row.hash == event_hash(row, key())


def test_zone_in_which_a_time_is_written_does_not_matter(event):
    elsewhere = copy(event)
    elsewhere.occurred_at = event.occurred_at.astimezone(timezone(timedelta(hours=-7)))

    assert event_hash(elsewhere, key()) == event.hash


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"text": "ünïcödé 日本語 \U0001f512 \"quoted\" \\ / \x7f"},
        {"numbers": [0, -1, 2**53, 1.5, True, None]},
        {"b": 1, "a": {"d": [], "c": {}}},
    ],
)  # fmt: skip
def test_details_hash_the_same_after_a_reload(db, details):
    (row,) = record(Event("test.done", "thing", "1", details=details))

    assert row.details == details
    assert assert_chain_holds() == 1


@pytest.mark.django_db(transaction=True)
def test_append_outside_a_transaction_is_refused():
    with nothing_changes(), pytest.raises(RuntimeError, match="transaction of the act"):
        append(ACTOR, Event("test.done", "thing", "1"))


@pytest.mark.django_db(transaction=True)
def test_nothing_to_append_needs_no_transaction(django_assert_num_queries):
    with django_assert_num_queries(0):
        append(ACTOR)


def test_act_that_is_rolled_back_leaves_no_event_and_no_gap(event):
    with nothing_changes(), transaction.atomic():
        append(ACTOR, Event("test.failed", "thing", "1"))
        transaction.set_rollback(True)

    record(Event("test.done", "thing", "2"))
    assert assert_chain_holds() == 2


def test_verb_that_fails_after_its_event_leaves_none(application, monkeypatch):
    found = factories.installation(application)

    def fail(*_args, **_kwargs):
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(AuditHead, "save", fail)

    with nothing_changes(), pytest.raises(DatabaseError):
        approve_scopes(installation_id=found.pk, requested=["crm.accounts.read"], actor=ACTOR, reason="For a test.")


def test_sequence_is_gapless_over_refused_and_accepted_acts(application):
    found = factories.installation(application)
    for reason in ("", "One.", "", "Two."):
        try:
            lock(target=found, actor=ACTOR, reason=reason)
        except Exception:  # noqa: S110, BLE001
            pass
    assert assert_chain_holds() == 2


@pytest.mark.parametrize("count", [1, 20])
def test_cost_does_not_grow_with_the_number_of_events(event, count, django_assert_num_queries):
    events = [Event("test.done", "thing", str(number)) for number in range(count)]

    with transaction.atomic(), django_assert_num_queries(4):
        append(ACTOR, *events)


CHANGES = {
    "save": lambda row: row.save(),
    "save-columns": lambda row: row.save(update_fields=["reason"]),
    "delete": lambda row: row.delete(),
    "update": lambda _row: AuditEvent.objects.update(reason="x"),
    "filter-update": lambda row: AuditEvent.objects.filter(pk=row.pk).update(reason="x"),
    "queryset-delete": lambda _row: AuditEvent.objects.all().delete(),
    "bulk-update": lambda row: AuditEvent.objects.bulk_update([row], ["reason"]),
    "update-or-create": lambda row: AuditEvent.objects.update_or_create({"reason": "x"}, sequence=row.sequence),
    "manager-update": lambda _row: AuditEvent._default_manager.update(reason="x"),
    "one-beside-the-chain": lambda row: AuditEvent.objects.create(
        sequence=row.sequence + 1, occurred_at=row.occurred_at
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_models_refuse_to_change_remove_or_slip_in_an_event(event, change):
    event.reason = "Edited."

    with nothing_changes(), pytest.raises(AuditTrailIsAppendOnly):
        change(event)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE installations_auditevent SET reason = 'Edited.'",
        "UPDATE installations_auditevent SET reason = reason",
        "DELETE FROM installations_auditevent",
        "TRUNCATE installations_auditevent",
        "TRUNCATE installations_auditevent CASCADE",
        "TRUNCATE installations_auditcheckpoint",
        "TRUNCATE installations_audithead, installations_auditevent RESTART IDENTITY",
    ],
)
def test_database_refuses_to_change_or_remove_an_event(event, sql):
    with (
        nothing_changes(),
        pytest.raises(DatabaseError, match="the audit trail is append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


def test_text_of_an_event_is_public(event):
    assert str(event) == "1: test.done thing 1"
    assert str(AuditHead.objects.get()) == "head at 1"
