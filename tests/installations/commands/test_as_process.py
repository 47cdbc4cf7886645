"""Commands as a shell sees them: exit code 0 when done, 1 when refused, one line, and no traceback."""

import os
import subprocess
import sys

import pytest

from tests.factories import PASSWORD, manifest


@pytest.fixture
def shell(tmp_path, project_root):
    """Run `manage.py` on a database file of its own."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings_test",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
    }

    def run(*arguments, stdin="", **more):
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=project_root,
            env=environment | more,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("migrate", "--verbosity", "0").returncode == 0
    return run


def test_exit_codes_and_lines_of_the_first_steps(shell, tmp_path):
    # given
    path = tmp_path / "manifest.json"
    path.write_text(manifest())

    # when a manifest is imported
    imported = shell("import_manifest", str(path))
    assert (imported.returncode, imported.stderr) == (0, "")
    assert imported.stdout.startswith("com.example.desk 1.0.0 (")
    assert imported.stdout.endswith("): registered\n")

    # when an operator is made, and once more
    made = shell("create_operator", "ana", "--group", "Responder", stdin=f"{PASSWORD}\n")
    again = shell("create_operator", "ana", stdin=f"{PASSWORD}\n")
    assert (made.returncode, made.stdout) == (0, "operator ana created, in group Responder\n")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "CommandError: There is an operator named 'ana' already.\n"

    # when the operator locks, without a reason, and something unknown
    reason = ("--operator", "ana", "--reason", "An incident.")
    locked = shell("lock", "--app", "com.example.desk", *reason)
    unknown = shell("lock", "--app", "com.example.nothing", *reason)
    assert (locked.returncode, locked.stdout) == (0, "Desk (com.example.desk): locked\n")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "No application 'com.example.nothing' is registered" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    empty = shell("unlock", "--app", "com.example.desk", "--operator", "ana", "--reason=")
    assert (empty.returncode, empty.stdout) == (1, "")
    assert PASSWORD not in "".join(run.stdout + run.stderr for run in (imported, made, again, locked, unknown, empty))


@pytest.mark.parametrize("address", ["sqlite:////nowhere/db.sqlite3", "postgres://nobody@127.0.0.1:1/nothing"])
def test_database_that_is_away_is_said_in_one_line(shell, address):
    refused = shell("key_status", DATABASE_URL=address)

    assert (refused.returncode, refused.stdout) == (1, "")
    # The pool gives up after as long, and writes so to the log, before it or after it.
    (told,) = [line for line in refused.stderr.splitlines() if " psycopg.pool " not in line]
    assert told.startswith("CommandError: The database was not reached: ")
    assert "Traceback" not in refused.stderr
