"""Databases of earlier releases, as text that neither Django nor a model has to read: what upgrades are tried on.

A file has a line that names the release and the migrations that were applied, then a line for each table: its name, the
statements that SQLite made it by, its columns and its rows. SQLite gets exactly the tables of that release; PostgreSQL gets
them from its migrations, up to the ones that are named. `python -m tests.migrations` writes such a file.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

FOLDER = Path(__file__).parent / "releases"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
_BYTES = "base16:"  # how what is no text is written; no text of the made-up world begins so


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    made_by: list[str]
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Release:
    version: str
    applied: list[tuple[str, str]]
    tables: list[Table]


def releases() -> list[Path]:
    return sorted(FOLDER.glob("*.jsonl"))


def read(path: Path) -> Release:
    with path.open(encoding="utf-8") as lines:
        head = json.loads(next(lines))
        return Release(
            head["release"], [tuple(one) for one in head["applied"]], [Table(**json.loads(x)) for x in lines]
        )


def write(version: str, database: Path, path: Path) -> None:
    """Write the SQLite database down as that of a release; raises FileExistsError where there is one."""
    with closing(sqlite3.connect(database)) as found, path.open("x", encoding="utf-8") as target:
        applied = found.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()
        target.write(f"{json.dumps({'release': version, 'applied': applied})}\n")
        for (name,) in found.execute(_TABLES).fetchall():
            made_by = found.execute("SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql NOT NULL", [name])
            rows = found.execute(f'SELECT * FROM "{name}" ORDER BY 1')
            table = {
                "name": name,
                "made_by": [statement for (statement,) in made_by],
                "columns": [column[0] for column in rows.description],
                "rows": [[_as_text(value) for value in row] for row in rows],
            }
            target.write(f"{json.dumps(table, ensure_ascii=False)}\n")


def _as_text(value: Any) -> Any:
    return f"{_BYTES}{value.hex()}" if isinstance(value, bytes) else value


def load_into_file(release: Release, path: Path) -> None:
    """Make the SQLite database of the release."""
    with _open(path) as database:
        for table in release.tables:
            for statement in table.made_by:
                database.execute(statement)
    insert_into_file(release, path)


def insert_into_file(release: Release, path: Path) -> None:
    """Fill a SQLite database that has the tables already, naming the columns that the release knew."""
    with _open(path) as database:
        for table in release.tables:
            database.execute(f'DELETE FROM "{table.name}"')  # what its migrations put there
            columns = ", ".join(f'"{column}"' for column in table.columns)
            marks = ", ".join("?" * len(table.columns))
            rows = [[_from_text(value) for value in row] for row in table.rows]
            database.executemany(f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})', rows)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as database, database:
        # Some constraints call it, as Django's connections know it.
        database.create_function("REGEXP", 2, lambda pattern, text: bool(re.search(pattern, str(text))))
        yield database


def _from_text(value: Any) -> Any:
    is_bytes = isinstance(value, str) and value.startswith(_BYTES)
    return bytes.fromhex(value.removeprefix(_BYTES)) if is_bytes else value


def load_into_server(release: Release, url: str) -> None:
    """Fill a PostgreSQL database that has the tables of the release, all in one transaction."""
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        for table in release.tables:
            name = sql.Identifier(table.name)
            if connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(name)).fetchone():
                connection.execute(sql.SQL("DELETE FROM {}").format(name))  # what its migrations put there
            columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
            marks = sql.SQL(", ").join([sql.Placeholder()] * len(table.columns))
            insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(name, columns, marks)
            with connection.cursor() as cursor:
                cursor.executemany(insert, [[_for_server(value) for value in row] for row in table.rows])
        numbered = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE is_identity = 'YES' AND table_schema = 'public'"
        ).fetchall()
        for name, column in numbered:
            go_on = "SELECT setval(pg_get_serial_sequence(%s, %s), (SELECT coalesce(max({}), 0) + 1 FROM {}), false)"
            at = sql.SQL(go_on).format(sql.Identifier(column), sql.Identifier(name))
            connection.execute(at, [f'"{name}"', column])


def _for_server(value: Any) -> str | None:
    """Return the value as PostgreSQL reads one of whatever type the column has."""
    if value is None:
        return None
    text = str(value)
    return f"\\x{text.removeprefix(_BYTES)}" if text.startswith(_BYTES) else text


def rows_of_file(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, as it lies there."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        names = [name for (name,) in database.execute(_TABLES)]
        return {name: [dict(row) for row in database.execute(f'SELECT * FROM "{name}"')] for name in names}


def rows_of_server(url: str) -> dict[str, list[dict[str, Any]]]:
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {name: list(_rows(connection, name)) for (name,) in found}


def _rows(connection: psycopg.Connection[Any], name: str) -> Iterator[dict[str, Any]]:
    rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
    columns = [column.name for column in rows.description or ()]
    for row in rows:
        yield dict(zip(columns, row, strict=True))
