"""Another session of PostgreSQL that holds rows, or has written one and not committed yet."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.security.races.workers import database_url


@contextmanager
def held(statement: str, *values: Any) -> "Iterator[psycopg.Connection[Any]]":
    """Run one statement in a session of its own and keep its transaction open for the block, unless that ends it."""
    with psycopg.connect(database_url()) as other:
        other.execute(statement, values)  # type: ignore[call-overload]  # the statements are those of tests
        yield other
        other.rollback()


def wait_for_waiting(number: int = 1) -> None:
    """Return when so many sessions wait for a lock. Also inside a transaction."""
    give_up_at = time.monotonic() + 20
    # In a session of its own: PostgreSQL shows a transaction the same activity until it ends.
    with psycopg.connect(database_url(), autocommit=True) as other:
        while time.monotonic() < give_up_at:
            found = other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if found.fetchone() == (number,):
                return
            time.sleep(0.01)
    raise AssertionError(f"no {number} sessions came to wait for a lock")
