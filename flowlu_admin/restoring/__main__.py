"""Look through the scratch database that DATABASE_URL names, and write a line for each step, for restore_drill."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import django
from django.conf import settings
from django.db import connection

from flowlu_admin.restoring.steps import PREFIX, as_line


def main(anchor_file: str) -> None:
    # One that is called otherwise is not even opened; and what was opened is asked, since an option of the address may
    # have led to another one.
    if not (_is_scratch(str(settings.DATABASES["default"]["NAME"])) and _is_scratch(_opened())):
        raise SystemExit("This migrates what it looks at, and is for the scratch database of restore_drill only.")
    django.setup()
    from flowlu_admin.restoring.inspection import inspect

    for step in inspect(anchor_file):
        sys.stdout.write(f"{as_line(step)}\n")
        sys.stdout.flush()


def _is_scratch(name: str) -> bool:
    return Path(name).name.startswith(PREFIX)


def _opened() -> str:
    """Return what the database that is connected to calls itself."""
    if connection.vendor == "sqlite":
        # Not by Django's connection, which writes on opening. A damaged file says this as well.
        with closing(sqlite3.connect(connection.get_connection_params()["database"], uri=True)) as database:
            return str(database.execute("PRAGMA database_list").fetchone()[2])
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        return str(cursor.fetchone()[0])


if __name__ == "__main__":
    main(sys.argv[1])
