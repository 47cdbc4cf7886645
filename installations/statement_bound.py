"""How long the database works on one statement of a job that reads much."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import connection, transaction

_SECONDS: Final = 30


@contextmanager
def bounded_statements() -> Iterator[None]:
    """Have PostgreSQL end every statement of the block that takes longer than half a minute, with OperationalError.

    Whoever reads in such blocks holds no snapshot between them. SQLite has no such bound, and a transaction there would
    keep every writer out.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
        yield
