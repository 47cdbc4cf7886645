"""Between two tests Django empties every table with TRUNCATE, which the audit trail refuses on PostgreSQL.

Its owner can switch that off, and does so here for the one transaction that empties. Nothing of it is in the service.
"""

from typing import Any

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations

from flowlu_admin import cross_origin
from installations import editions

GUARDED = ("installations_auditevent", "installations_auditcheckpoint", "installations_catalogueedition")
_sql_flush = DatabaseOperations.sql_flush


def _sql_flush_as_owner(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
    found = [table for table in GUARDED if table in tables]
    return [
        *(f"ALTER TABLE {table} DISABLE TRIGGER {table}_no_truncate" for table in found),
        *_sql_flush(self, style, tables, **options),
        *(f"ALTER TABLE {table} ENABLE TRIGGER {table}_no_truncate" for table in found),
    ]


DatabaseOperations.sql_flush = _sql_flush_as_owner  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _new_process() -> None:
    """Forget what another test read of the scope catalogue's editions: theirs have the same numbers and contents.

    And which origins it knew.
    """
    editions._parsed.clear()
    cross_origin.known = cross_origin.KnownOrigins()
