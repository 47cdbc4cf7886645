"""Scratch databases that hold a restored backup: made new, never over anything that is there, dropped at the end."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from flowlu_admin.redaction import redact
from flowlu_admin.restoring.server import NoAddress, address_of, parameters
from flowlu_admin.restoring.steps import PREFIX
from flowlu_admin.restoring.stopping import Stopping
from installations.management.audit_command import bar

_SQLITE: Final = b"SQLite format 3\x00"
_PG_DUMP: Final = b"PGDMP"
_CHUNK: Final = 1024 * 1024

# Whether the role can harm more than what it makes here. A superuser is in every role. session_user: a dump goes back
# to it from whatever role the connection is set to.
_CAN_HARM: Final = """
    SELECT EXISTS (
        SELECT FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER') AND (
            rolsuper OR rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
    ) OR EXISTS (
        SELECT FROM pg_database WHERE pg_has_role(session_user, datdba, 'MEMBER') AND NOT starts_with(datname, %s))
"""
_WHY_NOT: Final = (
    "A dump is a program that runs as the role of DRILL_DATABASE_URL, and this role owns other databases, reaches "
    "files or programs of the server, or is a superuser: a forged dump could drop what is there. Name a role that may "
    "make databases and nothing else (CREATE ROLE flowlu_drill LOGIN CREATEDB PASSWORD '…'). For a dump that nobody "
    "else could have written, --trust-dump goes on."
)


class NotTried(Exception):
    """Nothing can be said of the backup: there is none, or no place to restore it to."""


class NotRestored(Exception):
    """The backup cannot be restored."""


@contextmanager
def restored(dump: Path, *, server: str, live: str, signals: Stopping, trusted: bool = False) -> Iterator[str]:
    """Restore the backup into a scratch database and yield its URL; afterwards the database is gone.

    `server` is the URL of a database on the PostgreSQL server that a dump of pg_dump is restored on, `live` the file of
    the service's own SQLite database, or "". Signals end it only while it restores. Unless the dump is
    `trusted`, no role is taken that could harm more than the scratch database. Raises NotTried, NotRestored.
    """
    head = _head_of(dump)
    if head.startswith(_SQLITE):
        with _restored_file(dump, live, signals) as url:
            yield url
    elif head.startswith(_PG_DUMP):
        with _restored_on(server, dump, signals, trusted) as url:
            yield url
    elif not head:
        raise NotRestored("the file is empty")
    else:
        raise NotTried(f"{str(dump)!r} is neither a dump of pg_dump --format=custom nor a file of SQLite.")


def _head_of(dump: Path) -> bytes:
    try:
        with dump.open("rb") as stream:
            return stream.read(len(_SQLITE))
    except OSError as error:
        raise NotTried(f"{str(dump)!r} cannot be read: {error.strerror}.") from None


@contextmanager
def _restored_file(dump: Path, live: str, signals: Stopping) -> Iterator[str]:
    if live and Path(live).exists() and dump.samefile(live):
        raise NotTried(f"{str(dump)!r} is the database of the service itself, and no backup of it.")
    for journal in (dump.with_name(f"{dump.name}-wal"), dump.with_name(f"{dump.name}-journal")):
        if journal.exists() and journal.stat().st_size:
            raise NotRestored(
                f"{journal.name} beside it holds a part of it: it was copied while somebody wrote, and is not whole"
            )
    with TemporaryDirectory(prefix=PREFIX) as folder:
        path = Path(folder) / f"{PREFIX}{secrets.token_hex(4)}.sqlite3"
        size = dump.stat().st_size
        if shutil.disk_usage(folder).free < 2 * size:  # a migration may write a table anew
            raise NotTried(f"{folder!r} has not twice the room of the backup. TMPDIR names another folder.")
        with (
            dump.open("rb") as source,
            path.open("xb") as target,
            bar(size, "bytes") as progress,
            signals.heeded(),
        ):
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                progress.update(len(chunk))
        yield f"sqlite:///{quote(str(path))}"


@contextmanager
def _restored_on(server: str, dump: Path, signals: Stopping, trusted: bool) -> Iterator[str]:
    if not server:
        raise NotTried("This is a dump of PostgreSQL: DRILL_DATABASE_URL has to name a server to restore it on.")
    program = shutil.which("pg_restore")
    if program is None:
        raise NotTried("pg_restore was not found. It comes with PostgreSQL's client programs.")
    try:
        where = parameters(server)
    except NoAddress as error:
        raise NotTried(f"DRILL_DATABASE_URL {error}.") from None
    name = f"{PREFIX}{secrets.token_hex(8)}"
    try:
        with psycopg.connect(server, autocommit=True, connect_timeout=10) as connection:
            if not trusted and connection.execute(_CAN_HARM, [PREFIX]).fetchone() == (True,):
                raise NotTried(_WHY_NOT)
            # From template0: what an installation added to template1 is no part of the dump. Fails where it exists.
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
            )
    except psycopg.Error as error:
        raise NotTried(
            f"No scratch database could be made on the server: {_first_line(error)}; "
            "DRILL_DATABASE_URL names another role or server"
        ) from None
    try:
        _pg_restore(program, where, name, dump, signals)
        yield address_of(name, where)
    finally:
        _drop(server, name)


def _drop(server: str, name: str) -> None:
    try:
        with psycopg.connect(server, autocommit=True, connect_timeout=10) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise NotTried(f"The scratch database {name} is still there, drop it: {_first_line(error)}") from None


def _pg_restore(program: str, server: Mapping[str, str], name: str, dump: Path, signals: Stopping) -> None:
    where = _environment_for(server)
    listed = subprocess.run(  # noqa: S603 - the program is PostgreSQL's, the file an argument of its own
        [program, "--list", "--", str(dump)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if listed.returncode:
        raise NotRestored(_fault_in(listed.stderr.splitlines()) or "pg_restore cannot read it")
    entries = sum(1 for line in listed.stdout.splitlines() if line and not line.startswith(";"))
    command = [program, "--verbose", "--exit-on-error", "--no-owner", "--no-privileges", f"--dbname={name}"]
    with (
        subprocess.Popen(  # noqa: S603 - as above; how to connect is in the environment, which others cannot list
            [*command, "--", str(dump)],
            env=os.environ | where | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as running,
        bar(entries, "entries") as progress,
    ):
        assert running.stderr is not None  # noqa: S101 - a pipe was asked for
        fault = ""
        try:
            with signals.heeded():
                for line in running.stderr:
                    progress.update(line.startswith(("pg_restore: creating", "pg_restore: processing data")))
                    fault = fault or _fault_in([line])
        except BaseException:
            running.terminate()
            raise
    if running.returncode:
        raise NotRestored(fault or f"pg_restore ended with {running.returncode}")


def _environment_for(server: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters as libpq reads them from the environment: in an argument everybody sees the password."""
    names = {
        option.keyword.decode(): option.envvar.decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar
    }
    return {names[keyword]: value for keyword, value in server.items() if keyword in names}


def _fault_in(lines: list[str]) -> str:
    """Return what went wrong: the first line of it, since the ones below show the row."""
    for line in lines:
        for mark in ("error: could not execute query: ERROR:", "error:"):
            if mark in line:
                return redact(line.partition(mark)[2].strip())[:300]
    return ""


def _first_line(error: Exception) -> str:
    return redact(str(error).partition("\n")[0] or type(error).__name__)
