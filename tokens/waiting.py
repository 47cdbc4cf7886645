"""What a request gives back before it waits for a portal."""

from django.db import connection


def give_back_connection() -> None:
    """Return this thread's database connection to its pool; the next statement takes one again.

    A portal may take half a minute, and threads are many more than connections. Nothing is given back inside a
    transaction. Only for requests: elsewhere a cursor may be open on it.
    """
    if not connection.in_atomic_block and connection.settings_dict.get("OPTIONS", {}).get("pool"):
        connection.close()
