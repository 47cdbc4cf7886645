"""Rows of the audit trail written past the service, by somebody who owns the database."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from installations.audit_chain import COLUMNS, NOTHING, Row, row_hash
from installations.keys import Key

TABLE = "installations_auditevent"


@contextmanager
def as_owner() -> Iterator[Any]:
    """Give a cursor that neither trigger nor constraint stops; what was done is undone at the end."""
    postgresql = connection.vendor == "postgresql"
    with transaction.atomic(), connection.cursor() as cursor:
        # Part of what stands around a test: the service's own transactions may begin in it.
        connection.atomic_blocks[-1]._from_testcase = True
        if postgresql:
            for table, names in ((TABLE, ("id_is_sequence",)), ("installations_auditcheckpoint", ())):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                for name in names:
                    cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_{name}")
        else:
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        try:
            yield cursor
        finally:
            if not postgresql:
                cursor.execute("PRAGMA ignore_check_constraints = OFF")
        transaction.set_rollback(True)


def made_trail(count: int, *keys: Key) -> list[dict[str, Any]]:
    """Return a trail as plain rows; with more keys than one, each takes its share of it."""
    rows: list[dict[str, Any]] = []
    previous = NOTHING
    moment = datetime(2026, 4, 1, 10, 15, 20, 5, tzinfo=UTC)
    for number in range(1, count + 1):
        key = keys[(number - 1) * len(keys) // count]
        row = {
            "id": number,
            "sequence": number,
            "occurred_at": (moment + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "actor_kind": "operator",
            "actor_id": str(number % 7),
            "actor_name": "ana" if number % 2 else "",
            "via": "admin",
            "verb": "installation.suspended",
            "target_kind": "installation",
            "target_id": str(number % 11),
            "installation_id": number % 11 if number % 3 else None,
            "reason": f"Reason {number}.",
            "details": {"count": number, "list": ["a", None], "nested": {"ünïcödé": True}} if number % 2 else {},
            "previous_hash": previous,
            "key_id": key.id,
        }
        row["hash"] = previous = row_hash(row, key)
        rows.append(row)
    return rows


def exported(rows: list[Row]) -> bytes:
    """Return rows as lines of an export, without a header."""
    return b"".join(json.dumps({name: row[name] for name in COLUMNS}).encode() + b"\n" for row in rows)
