"""Migrate databases that are not the tests' own, in processes whose only database they are."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

ROOT = Path(__file__).resolve().parents[2]
_MIGRATE = """
import django, json, sys
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
MigrationExecutor(connection).migrate([tuple(target) for target in json.load(sys.stdin)])
"""


def environment(url: str) -> dict[str, str]:
    own = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings_test"}
    return {name: value for name, value in os.environ.items() if name != "DATABASE_URL_FILE"} | own


def manage(url: str, *line: str) -> str:
    """Run a command on the database and return what it said."""
    command = [sys.executable, "manage.py", *line]
    ended = subprocess.run(command, cwd=ROOT, env=environment(url), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def migrate_to(url: str, applied: Sequence[tuple[str, str]]) -> None:
    """Leave exactly these migrations applied, whether that is forwards or back."""
    targets = list(dict(applied).items())  # the last one of each app
    command = [sys.executable, "-c", _MIGRATE]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(url), input=json.dumps(targets), capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


@contextmanager
def server_database() -> Iterator[str]:
    """Make an empty database beside that of the tests on PostgreSQL, and drop it."""
    server, name = os.environ["DATABASE_URL"], f"flowlu_upgrade_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
