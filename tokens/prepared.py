"""The written statements of every call, which PostgreSQL plans once for a connection and not for each call.

Planning the one of `tokens.selectors` takes longer than running it. psycopg prepares what a connection was asked a few
times; DATABASE_PREPARES switches that off for a pooler that gives each transaction another connection.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from django.db import NotSupportedError, OperationalError, connection


def rows_of(statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return all rows of a statement that reads. It counts and fails as any other of the connection.

    A connection that the server has ended is replaced by the next one of the pool, outside of transactions: after a
    restart all that lay there are dead, and each would fail a call.
    """
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            return _fetched(cursor, statement, values)
    dead = 0
    while True:
        try:
            return _planned(statement, values)
        except OperationalError:
            link = connection.connection  # None: there was none to be had
            if dead == _pooled() or link is None or not link.closed or connection.in_atomic_block:
                raise
            connection.close()
            dead += 1


def _pooled() -> int:
    size: int = (connection.settings_dict["OPTIONS"].get("pool") or {}).get("max_size", 1)
    return size


def _planned(statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    try:
        return _prepared(statement, values)
    except NotSupportedError:
        # A migration altered what a column holds, and the plan is of before. The next connection has none.
        if connection.in_atomic_block:
            raise
        connection.connection.close()
        connection.close()
        return _prepared(statement, values)


def _prepared(statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    from django.db.backends.postgresql.base import ServerBindingCursor  # needs psycopg, which SQLite does not

    connection.ensure_connection()
    # Django's own cursors write the values into the text, so that each call would be another statement.
    cursor: Any = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]  # its stubs know psycopg2's alone
    # Of a prepared statement a cursor does not say what it sent: it is logged as it is written.
    log = (
        connection.make_debug_cursor(cursor).debug_sql(statement, values)
        if connection.queries_logged
        else nullcontext()
    )
    with connection.make_cursor(cursor) as wrapped, log:
        return _fetched(wrapped, statement, values)


def _fetched(cursor: Any, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    cursor.execute(statement, values)
    found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
