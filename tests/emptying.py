"""Between two tests Django empties every table with TRUNCATE, which the audit trail refuses on PostgreSQL.

TRUNCATE also makes new files for each of some seventy tables and their indexes: more than a second, where most of them
hold nothing. What holds rows is emptied with DELETE here. The triggers of the guarded tables refuse that too; their
owner can switch them off, and does so for the one transaction that empties. Nothing of it is in the service.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db.backends.postgresql.operations import DatabaseOperations

from flowlu_admin import cross_origin
from installations import editions

GUARDED = {"installations_auditevent", "installations_auditcheckpoint", "installations_catalogueedition"}


def _sql_flush_as_owner(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
    with self.connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"(SELECT '{table}' FROM \"{table}\" LIMIT 1)" for table in tables))
        filled = [table for (table,) in cursor.fetchall()]
    guarded = [table for table in filled if table in GUARDED]
    return [
        *(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in guarded),
        *(f'DELETE FROM "{table}"' for table in filled),
        "SET CONSTRAINTS ALL IMMEDIATE",  # a table is not altered while a foreign key is still to be looked at
        *(f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in guarded),
    ]


DatabaseOperations.sql_flush = _sql_flush_as_owner  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _new_process() -> None:
    """Forget what another test read of the scope catalogue's editions: theirs have the same numbers and contents.

    And which origins it knew.
    """
    editions._parsed.clear()
    cross_origin.known = cross_origin.KnownOrigins()


@pytest.fixture(autouse=True)
def _settings_as_they_were() -> Iterator[None]:
    """Fail the test that leaves the settings changed, in place of one that runs after it in the same process."""
    before = settings._wrapped
    yield
    left, settings._wrapped = settings._wrapped, before
    assert left is before
