"""How pg_restore is called: no password in an argument, no row of the dump in what is said. A script plays it."""

import os
import signal
from pathlib import Path

import pytest

from flowlu_admin.restoring.scratch import NotRestored, NotTried, _drop, _pg_restore
from flowlu_admin.restoring.server import parameters
from flowlu_admin.restoring.stopping import Stopping, stopping

SERVER = parameters("postgres://ana:a%20password@db.example.com:5433/postgres?sslmode=require")


def program(folder: Path, restoring: str, listing: str = "echo '; head'; echo '1; TABLE a'; echo '2; TABLE b'") -> str:
    path = folder / "pg_restore"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --list ]; then {listing}; exit; fi\ncd {folder}\n{restoring}\n')
    path.chmod(0o700)
    return str(path)


def test_password_is_in_the_environment_and_in_no_argument(tmp_path: Path) -> None:
    _pg_restore(
        program(tmp_path, 'echo "$@" > line; env > given'), SERVER, "flowlu_drill_1", Path("/backup"), Stopping()
    )

    line, given = (tmp_path / "line").read_text(), (tmp_path / "given").read_text().splitlines()
    options = "--verbose --exit-on-error --no-owner --no-privileges"
    assert line == f"{options} --dbname=flowlu_drill_1 -- /backup\n"
    assert {
        "PGHOST=db.example.com",
        "PGPORT=5433",
        "PGUSER=ana",
        "PGPASSWORD=a password",
        "PGSSLMODE=require",
    } <= set(given)


def test_of_what_failed_the_first_line_is_said_and_no_row(tmp_path: Path) -> None:
    lines = (
        "pg_restore: creating TABLE a",
        "pg_restore: error: could not execute query: ERROR:  invalid input syntax, password=hunter2",
        "DETAIL:  Key (name)=(a person) is there twice.",
        "pg_restore: error: another",
    )
    said = "; ".join(f"echo '{line}' >&2" for line in lines)

    with pytest.raises(NotRestored) as caught:
        _pg_restore(program(tmp_path, f"{said}; exit 1"), SERVER, "flowlu_drill_1", Path("/backup"), Stopping())

    assert str(caught.value) == "invalid input syntax, password=[redacted]"


@pytest.mark.parametrize(
    ("listing", "restoring", "said"),
    [
        ("echo 'pg_restore: error: did not find magic string' >&2; exit 1", "", "did not find magic string"),
        ("exit 1", "", "pg_restore cannot read it"),
        ("true", "exit 3", "pg_restore ended with 3"),
    ],
)
def test_what_is_no_dump_is_said(tmp_path: Path, listing: str, restoring: str, said: str) -> None:
    with pytest.raises(NotRestored) as caught:
        _pg_restore(program(tmp_path, restoring, listing), SERVER, "flowlu_drill_1", Path("/backup"), Stopping())

    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_signal_ends_it_at_once(tmp_path: Path, name: str) -> None:
    own = program(tmp_path, f"echo $$ > number; kill -{name} {os.getpid()}; exec sleep 60 >/dev/null")

    with pytest.raises(SystemExit) as ended, stopping() as signals:
        _pg_restore(own, SERVER, "flowlu_drill_1", Path("/backup"), signals)

    assert ended.value.code == 128 + signal.Signals[f"SIG{name}"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "number").read_text()), 0)


def test_scratch_database_that_could_not_be_dropped_is_named() -> None:
    with pytest.raises(
        NotTried, match="^The scratch database flowlu_drill_1 is still there, drop it: connection failed"
    ):
        _drop("postgres://nobody@127.0.0.1:1/nothing", "flowlu_drill_1")
