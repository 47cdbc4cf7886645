"""`restore_drill`: says of a backup whether it is good, leaves nothing behind, and never opens the service's database.

No test here may use the tests' own database, and so neither may the command.
"""

import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command

from flowlu_admin.restoring import inspection
from flowlu_admin.restoring.__main__ import main as look_through
from flowlu_admin.restoring.server import address_of, parameters
from flowlu_admin.restoring.steps import PREFIX
from installations.audit import audit_keys
from installations.audit_chain import Link
from installations.audit_files import anchor_line
from tests.flowlu_admin.restoring.test_pg_restore import program
from tests.migrations import released
from tests.migrations.trying import ROOT, environment, migrate_to, server_database

DAY = "2026-04-01T00:00:00.000000Z"


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for scratch databases, which is as empty after the test as it is now."""
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / "backup.sqlite3"
    released.load_into_file(released.read(released.releases()[-1]), path)
    return path


def change(path: Path, *statements: str) -> None:
    """Write into the database past everything that would refuse it."""
    with closing(sqlite3.connect(path)) as database, database:
        database.create_function("REGEXP", 2, lambda _pattern, _text: True)
        database.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            database.execute(statement)


def head_of(path: Path) -> Link:
    with closing(sqlite3.connect(path)) as database:
        return Link(*database.execute("SELECT sequence, hash FROM installations_audithead").fetchone())


def damaged(sealed: str) -> str:
    """Return the sealed value with its last bit turned over."""
    content = b64decode(sealed)
    return b64encode(content[:-1] + bytes([content[-1] ^ 1])).decode()


def drill(*line: str | Path) -> tuple[int, list[str]]:
    """Return the exit code and every line."""
    out = StringIO()
    try:
        call_command("restore_drill", *map(str, line), stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, [*out.getvalue().splitlines(), str(error)]
    return 0, out.getvalue().splitlines()


def started(dump: Path, preexec_fn: Callable[[], Any] | None = None, **settings: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-u", "manage.py", "restore_drill", str(dump), "--trust-dump"]
    own = environment("sqlite://") | settings
    return subprocess.Popen(line, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True, preexec_fn=preexec_fn)


def ask_until_it_ends(running: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while running.poll() is None:
        assert time.monotonic() < until
        running.send_signal(signal.SIGTERM)
        time.sleep(0.005)


def looked_through(address: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "flowlu_admin.restoring", ""]
    return subprocess.run(line, cwd=ROOT, env=environment(address), capture_output=True, text=True)


def bad(lines: list[str]) -> list[str]:
    return [line.partition(" s  ")[2] for line in lines if line.startswith("BAD ")]


def words(lines: list[str], name: str) -> str:
    (found,) = [rest for line in lines if (rest := line.partition(f" s  {name}: ")[2])]
    return found


def test_good_backup_is_told_step_by_step_and_left_as_it_is(backup: Path, room: Path) -> None:
    before = backup.read_bytes()

    code, lines = drill(backup)

    assert (code, bad(lines)) == (0, [])
    assert [line.partition(" s  ")[2].partition(":")[0] for line in lines[:-1]] == [
        "restore",
        "file",
        "made by",
        "migrations",
        "audit trail",
        "keys",
        "tokens",
        "API keys",
        "revoked tokens that Flowlu is told about",
        "second factors",
        "operators' sessions",
        "contents",
    ]
    with closing(sqlite3.connect(backup)) as database:
        (events,) = database.execute("SELECT count(*) FROM installations_auditevent").fetchone()
    assert words(lines, "audit trail").startswith(f"intact: {events} events up to ")
    assert words(lines, "API keys") == "1 row unseals"
    assert words(lines, "second factors") == "6 rows unseal"
    assert words(lines, "operators' sessions") == "1 row unseals"
    assert words(lines, "contents").startswith("9 portals, 13 installations, ")
    assert lines[-1].startswith("GOOD: restored, migrated and looked through in ")
    assert backup.read_bytes() == before
    assert list(room.iterdir()) == []


def test_everything_that_is_wrong_is_told_beside_the_rest(backup: Path, room: Path) -> None:
    with closing(sqlite3.connect(backup)) as database:
        (session,) = database.execute("SELECT session_data FROM django_session").fetchone()
        (factor,) = database.execute("SELECT data FROM mfa_authenticator WHERE id = 1").fetchone()
    factor = json.dumps({"secret": damaged(json.loads(factor)["secret"])})
    live = "sealed_access_token IS NOT NULL"
    change(
        backup,
        "UPDATE installations_auditevent SET reason = 'another' WHERE sequence BETWEEN 20 AND 25",
        # The value of another row; and a row whose fingerprint is that of another value.
        f"UPDATE tokens_oauthtoken SET sealed_access_token = (SELECT sealed_access_token FROM tokens_oauthtoken"
        f" WHERE {live} ORDER BY id DESC LIMIT 1) WHERE id = (SELECT min(id) FROM tokens_oauthtoken WHERE {live})",
        "UPDATE tokens_apikey SET fingerprint = replace(fingerprint, substr(fingerprint, 1, 1), 'e') || ''"
        " WHERE sealed_key IS NOT NULL",
        f"UPDATE mfa_authenticator SET data = '{factor}' WHERE id = 1",
        f"UPDATE django_session SET session_data = '{damaged(session)}'",
    )

    code, lines = drill(backup)

    assert code == 1
    assert [line.partition(":")[0] for line in bad(lines)] == ["audit trail", "tokens", "API keys", "second factors"]
    assert words(lines, "audit trail").startswith("BROKEN: ")
    assert "event 20: edited" in words(lines, "audit trail")
    assert words(lines, "audit trail").endswith(" and 3 more")
    assert words(lines, "tokens").startswith("1 of ")
    assert "(tampered" in words(lines, "tokens")
    assert "its fingerprint is that of another value" in words(lines, "API keys")
    # A lost session loses nothing: its operator signs in again.
    assert words(lines, "operators' sessions").endswith("nothing is lost with them")
    assert lines[-1].startswith("NOT good: audit trail, tokens, API keys, second factors.")
    assert list(room.iterdir()) == []


def test_empty_database_is_not_good(backup: Path) -> None:
    tables = [
        table.name for table in released.read(released.releases()[-1]).tables if table.name != "django_migrations"
    ]
    change(backup, *(f"DELETE FROM {name}" for name in tables))

    code, lines = drill(backup)

    assert code == 1
    assert bad(lines)[-1].endswith(", and nothing ever happened: this is an empty database")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(59, "less than a minute"), (60, "1 minute"), (7199, "1 hour"), (86400, "1 day"), (259200, "3 days")],
)
def test_age_of_a_backup_is_told_in_its_largest_unit(seconds: float, said: str) -> None:
    assert inspection._in_words(seconds) == said


def test_ring_that_is_no_ring_and_anchors_that_are_not_there_are_told(
    backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_KEYS", f"k9:{b64encode(bytes(32)).decode()}")

    code, lines = drill(backup, "--anchor", "/nowhere/anchors.jsonl")

    assert code == 1
    assert bad(lines)[:2] == [
        "audit trail: '/nowhere/anchors.jsonl' cannot be read: No such file or directory.",
        "keys: a key ring is not usable: Key 1 is not random: it repeats a few bytes.",
    ]


def test_backup_of_which_a_key_is_gone_is_not_good(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_KEYS", f"k9:{b64encode(bytes(range(100, 132))).decode()}")

    code, lines = drill(backup)

    assert code == 1
    assert words(lines, "keys") == "missing key 'k1' of TOKEN_KEYS: key_status says what needs it"
    assert words(lines, "tokens").endswith("more")
    assert {line.partition(":")[0] for line in bad(lines)} >= {"keys", "tokens", "API keys", "second factors"}


def test_earlier_release_is_migrated_in_the_scratch_only(backup: Path) -> None:
    applied = released.read(released.releases()[-1]).applied
    earlier = [step for step in applied if step != ("tokens", "0017_moving_tokens_in")]
    migrate_to(f"sqlite:///{backup}", earlier)

    code, lines = drill(backup)

    assert code == 0
    assert words(lines, "made by").startswith("an earlier release, ")
    assert words(lines, "migrations").endswith(" applied")
    with closing(sqlite3.connect(backup)) as database:
        found = database.execute("SELECT 1 FROM django_migrations WHERE name = '0017_moving_tokens_in'").fetchall()
    assert found == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "INSERT INTO django_migrations (app, name, applied) VALUES ('tokens', '9999_later', '2026-01-01')",
            "made by: a newer release, with tokens.9999_later: look at it with that one",
        ),
        (
            "INSERT INTO django_migrations (app, name, applied) VALUES ('tokens', '9\u202e\u001b]0;', '2026-01-01')",
            "made by: a newer release, with tokens.9\\u202E\\u001B]0;: look at it with that one",
        ),
        (
            "DELETE FROM django_migrations WHERE app = 'tokens' AND name = '0001_initial'",
            "migrations: it failed with InconsistentMigrationHistory",
        ),
        ("UPDATE tokens_oauthtoken SET revoked_at = '2026-01-01'", "file: SQLite finds it damaged"),
        ("DELETE FROM django_migrations", "made by: no database of this service: it holds none of its tables"),
        (
            "UPDATE tokens_oauthtoken SET installation_id = 99999",
            "file: a row of tokens_oauthtoken refers to one that is not there",
        ),
    ],
)
def test_what_cannot_be_migrated_is_not_looked_at_further(backup: Path, statement: str, said: str) -> None:
    change(backup, statement)

    code, lines = drill(backup)

    assert code == 1
    assert bad(lines) == [said]
    assert lines[-2].endswith(said)


def test_migration_that_fails_is_told(backup: Path) -> None:
    change(backup, "DELETE FROM django_migrations WHERE app = 'tokens' AND name > '0016'")

    code, lines = drill(backup)

    assert code == 1
    assert [line.partition(":")[0] for line in bad(lines)] == ["migrations"]
    assert lines[-1].startswith("NOT good: migrations.")


def test_damaged_file_is_not_good(backup: Path) -> None:
    content = backup.read_bytes()
    backup.write_bytes(content[: len(content) // 2])

    code, lines = drill(backup)

    assert code == 1
    assert bad(lines)[0].startswith("file: ")


def test_anchors_up_to_the_backup_are_asked_and_younger_ones_told(backup: Path, tmp_path: Path) -> None:
    head, key, anchors = head_of(backup), audit_keys().newest, tmp_path / "anchors.jsonl"
    anchors.write_text(anchor_line(head, DAY, key) + anchor_line(Link(head.sequence + 9, "e" * 64), DAY, key))

    code, lines = drill(backup, "--anchor", anchors)

    assert code == 0
    assert words(lines, "audit trail").endswith(", and 1 anchor; 1 anchor is younger than the backup")

    anchors.write_text(anchor_line(Link(head.sequence, "e" * 64), DAY, key))
    code, lines = drill(backup, "--anchor", anchors)
    assert code == 1
    assert "differs from an anchor" in bad(lines)[0]


def _no_backup(backup: Path, settings: Any) -> None:
    backup.write_bytes(b"CREATE TABLE a (b text);")


def _gone(backup: Path, settings: Any) -> None:
    backup.unlink()


def _no_server(backup: Path, settings: Any) -> None:
    backup.write_bytes(b"PGDMP\x01\x0e")
    settings.DRILL_DATABASE_URL = ""


def _no_program(backup: Path, settings: Any) -> None:
    _no_server(backup, settings)
    settings.DRILL_DATABASE_URL = "postgres://nobody@127.0.0.1:1/nothing"
    os.environ["PATH"] = "/nowhere"


def _no_answer(backup: Path, settings: Any) -> None:
    _no_program(backup, settings)
    program = backup.with_name("pg_restore")
    program.touch(mode=0o700)
    os.environ["PATH"] = str(backup.parent)


def _no_room(backup: Path, settings: Any) -> None:
    os.truncate(backup, shutil.disk_usage(backup.parent).total)  # sparse: it takes no room


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (_no_backup, "is neither a dump of pg_dump --format=custom nor a file of SQLite"),
        (_gone, "cannot be read: No such file or directory"),
        (_no_server, "DRILL_DATABASE_URL has to name a server"),
        (_no_program, "pg_restore was not found"),
        (_no_answer, "No scratch database could be made on the server: connection failed"),
        (_no_room, "has not twice the room of the backup"),
    ],
)
def test_what_cannot_be_tried_ends_with_2(
    backup: Path, room: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, case: Callable[..., None], said: str
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    case(backup, settings)

    code, lines = drill(backup)

    assert code == 2
    assert len(lines) == 1
    assert said in lines[0]
    assert list(room.iterdir()) == []


def test_database_of_the_service_itself_is_refused(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = configured.DATABASES["default"]
    monkeypatch.setitem(own, "ENGINE", "django.db.backends.sqlite3")
    monkeypatch.setitem(own, "NAME", str(backup))

    assert drill(backup) == (2, [f"'{backup}' is the database of the service itself, and no backup of it."])


def test_empty_file_and_copy_of_a_database_in_use_are_no_good_backups(backup: Path, room: Path) -> None:
    journal = backup.with_name(f"{backup.name}-wal")
    journal.write_bytes(b"what was written last")

    code, lines = drill(backup)

    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith(f"NOT good: it cannot be restored: {journal.name} beside it holds a part of it")

    backup.write_bytes(b"")
    assert drill(backup) == (1, ["NOT good: it cannot be restored: the file is empty."])
    assert list(room.iterdir()) == []


def test_what_looks_refuses_a_database_that_is_no_scratch_one(backup: Path) -> None:
    before = backup.read_bytes()

    with pytest.raises(SystemExit, match="is for the scratch database of restore_drill only"):
        look_through("")  # that of the tests
    ended = looked_through(f"sqlite:///{backup}")

    assert ended.returncode == 1
    assert "is for the scratch database of restore_drill only" in ended.stderr
    assert backup.read_bytes() == before


def test_what_looks_asks_the_database_that_an_option_of_its_address_led_to(backup: Path, tmp_path: Path) -> None:
    change(backup, "DELETE FROM django_migrations WHERE app = 'tokens' AND name > '0016'")
    before = backup.read_bytes()
    address = f"sqlite:///{tmp_path}/{PREFIX}1.sqlite3?database={backup}"

    ended = looked_through(address)

    assert ended.returncode == 1
    assert "is for the scratch database of restore_drill only" in ended.stderr
    assert backup.read_bytes() == before


@pytest.mark.postgresql
def test_what_looks_asks_it_on_a_server_as_well() -> None:
    with server_database() as live:
        name = urlsplit(live).path[1:]

        ended = looked_through(f"{urlsplit(live)._replace(path=f'/{PREFIX}1').geturl()}?dbname={name}")

        assert ended.returncode == 1
        assert "is for the scratch database of restore_drill only" in ended.stderr
        with psycopg.connect(live) as connection:
            assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_code_that_lies_in_the_folder_of_the_caller_is_not_run(backup: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("dj_database_url", "django", "flowlu_admin", "json"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'a').write({name!r})\n")
    # A path of the caller's is still read from there.
    (here / "anchors").write_text(anchor_line(head_of(backup), DAY, audit_keys().newest))
    line = [sys.executable, str(ROOT / "manage.py"), "restore_drill", str(backup), "--anchor", "anchors"]

    ended = subprocess.run(line, cwd=here, env=environment("sqlite://"), capture_output=True, text=True)

    assert (tmp_path / "run").exists() is False
    assert ended.returncode == 0, ended.stderr


def test_inspection_that_ends_early_is_not_good(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALL_RATE", "1/h")
    monkeypatch.setenv("EMBED_SESSION_MAX", "no number")

    code, lines = drill(backup)

    assert code == 1
    assert bad(lines) == ["inspection: it ended early, with 1; the reason is in the lines above"]


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_drill_leaves_nothing(backup: Path, room: Path, asked: signal.Signals) -> None:
    with started(backup, TMPDIR=str(room)) as running:
        assert running.stdout is not None
        assert "restore: " in running.stdout.readline()
        assert "file: " in running.stdout.readline()
        assert len(list(room.glob(f"{PREFIX}*"))) == 1

        running.send_signal(asked)

        assert "GOOD" not in running.stdout.read()
    assert running.returncode == 128 + asked
    assert list(room.glob(f"{PREFIX}*")) == []


def test_drill_that_is_asked_to_stop_again_and_again_leaves_nothing(backup: Path, room: Path) -> None:
    with started(backup, TMPDIR=str(room)) as running:
        assert running.stdout is not None
        assert "restore: " in running.stdout.readline()

        ask_until_it_ends(running)

    assert running.returncode != 0
    assert list(room.glob(f"{PREFIX}*")) == []


@pytest.mark.postgresql
def test_nor_does_it_on_a_server(tmp_path: Path) -> None:
    dump, called = tmp_path / "backup.dump", tmp_path / "called"
    dump.write_bytes(b"PGDMP\x01\x0e")
    program(tmp_path, f'echo "$@" > {called}.new; mv {called}.new {called}; exec sleep 60')
    path = f"{tmp_path}:{os.environ['PATH']}"
    with started(dump, PATH=path, DRILL_DATABASE_URL=os.environ["DATABASE_URL"]) as running:
        while not called.exists():
            assert running.poll() is None
            time.sleep(0.01)

        ask_until_it_ends(running)

    (name,) = re.findall(rf"--dbname=({PREFIX}\w+)", called.read_text())
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname = %s", [name]).fetchall()
    assert found == []


def test_signal_that_was_ignored_before_is_ignored_still(backup: Path, room: Path) -> None:
    """As under nohup, whose terminal goes away."""
    ignoring = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    with started(backup, preexec_fn=ignoring, TMPDIR=str(room)) as running:
        assert running.stdout is not None
        assert "restore: " in running.stdout.readline()

        running.send_signal(signal.SIGHUP)

        assert "GOOD: " in running.stdout.read()
    assert running.returncode == 0


@pytest.mark.postgresql
def test_dump_that_is_cut_short_is_not_good_and_leaves_nothing(tmp_path: Path, settings: Any) -> None:
    settings.DRILL_DATABASE_URL = os.environ["DATABASE_URL"]
    dump = tmp_path / "backup.dump"
    subprocess.run(
        ["pg_dump", "--format=custom", f"--file={dump}", f"--dbname={os.environ['DATABASE_URL']}"], check=True
    )
    dump.write_bytes(dump.read_bytes()[:200])

    code, lines = drill(dump, "--trust-dump")

    assert code == 1
    assert lines[-1].startswith("NOT good: it cannot be restored: ")


@pytest.fixture
def plain_role() -> Iterator[str]:
    """Make a role that may make databases and nothing else, and return its address on the server of the tests."""
    name, server = f"flowlu_plain_{secrets.token_hex(6)}", parameters(os.environ["DATABASE_URL"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'a password'")
        try:
            yield address_of("postgres", server | {"user": name, "password": "a password"})
        finally:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


@pytest.mark.postgresql
def test_role_that_could_harm_more_than_the_scratch_is_refused(tmp_path: Path, settings: Any, plain_role: str) -> None:
    settings.DRILL_DATABASE_URL = plain_role
    name = parameters(plain_role)["user"]
    dump = tmp_path / "backup.dump"
    with server_database() as url, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        migrate_to(url, released.read(released.releases()[-1]).applied)
        subprocess.run(["pg_dump", "--format=custom", f"--file={dump}", f"--dbname={url}"], check=True)

        for more, less in (
            (f"GRANT pg_execute_server_program TO {name}", f"REVOKE pg_execute_server_program FROM {name}"),
            (f"ALTER ROLE {name} SUPERUSER", f"ALTER ROLE {name} NOSUPERUSER"),
            (
                f"ALTER DATABASE {urlsplit(url).path[1:]} OWNER TO {name}",
                f"ALTER DATABASE {urlsplit(url).path[1:]} OWNER TO CURRENT_USER",
            ),
        ):
            connection.execute(more)
            code, lines = drill(dump)
            connection.execute(less)
            assert (code, len(lines)) == (2, 1)
            assert lines[0].startswith("A dump is a program that runs as the role of DRILL_DATABASE_URL")

        code, lines = drill(dump)

    assert code == 1
    assert words(lines, "restore") == "restored into a scratch database"
    # Nothing ever happened in it.
    assert [line.partition(":")[0] for line in bad(lines)] == ["contents"]
