"""From each release the way leads here, and back: no row is lost, the trail verifies and everything sealed unseals."""

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command

from tests.migrations import released
from tests.migrations.trying import ROOT, manage, migrate_to, server_database

RELEASES = [pytest.param(released.read(path), id=path.stem) for path in released.releases()]
OURS = ("flowlu_admin", "installations", "tokens")
# What a migration changes on purpose, as `table` or `table.column`, and why.
CHANGED: dict[str, str] = {}
# From which release on the way back is closed, and by which migration.
CLOSED: dict[str, str] = {}
# What each `migrate` writes anew from the code.
FROM_CODE = {"auth_group_permissions", "django_migrations"}
Rows = dict[str, list[dict[str, Any]]]


def lost(before: Rows, after: Rows) -> list[str]:
    """Return what is gone or is another than it was, by table, primary key and column."""
    found = []
    for table in sorted(before.keys() - FROM_CODE - CHANGED.keys()):
        if table not in after:
            found.append(table)
            continue
        now = {next(iter(row.values())): row for row in after[table]}
        for row in before[table]:
            key = next(iter(row.values()))
            if key not in now:
                found.append(f"{table} {key}")
                continue
            columns = (name for name in row if f"{table}.{name}" not in CHANGED)
            found += [f"{table} {key} {name}" for name in columns if now[key].get(name, "gone") != row[name]]
    return found


def drill(*line: str) -> str:
    out = StringIO()
    call_command("restore_drill", *line, stdout=out)
    return out.getvalue()


def assert_it_leads_here_and_back(release: released.Release, url: str, rows: Callable[[], Rows]) -> None:
    before = rows()
    assert sum(map(len, before.values())) > 300

    manage(url, "migrate", "--verbosity=0")
    assert lost(before, rows()) == []

    if release.version not in CLOSED:
        migrate_to(url, release.applied)
        assert lost(before, rows()) == []
        manage(url, "migrate", "--verbosity=0")
        assert lost(before, rows()) == []
    assert manage(url, "verify_audit").startswith("intact: ")
    assert "every key that rows need is there" in manage(url, "key_status")


@pytest.mark.parametrize("release", RELEASES)
def test_upgrade_loses_nothing_and_can_be_taken_back(release: released.Release, tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    released.load_into_file(release, path)

    assert_it_leads_here_and_back(release, f"sqlite:///{path}", lambda: released.rows_of_file(path))


@pytest.mark.parametrize("release", RELEASES)
def test_backup_of_the_release_is_a_good_one_today(release: released.Release, tmp_path: Path) -> None:
    path = tmp_path / "backup.sqlite3"
    released.load_into_file(release, path)

    said = drill(str(path))

    assert said.splitlines()[-1].startswith("GOOD: ")


@pytest.mark.postgresql
@pytest.mark.parametrize("release", RELEASES)
def test_upgrade_on_postgresql(release: released.Release, tmp_path: Path, settings: Any) -> None:
    """The same there; and its dump is restored, migrated and looked through before."""
    settings.DRILL_DATABASE_URL = os.environ["DATABASE_URL"]
    with server_database() as url:
        migrate_to(url, release.applied)
        released.load_into_server(release, url)
        dump = tmp_path / "backup.dump"
        subprocess.run(["pg_dump", "--format=custom", f"--file={dump}", f"--dbname={url}"], check=True)

        assert drill(str(dump), "--trust-dump").splitlines()[-1].startswith("GOOD: ")

        assert_it_leads_here_and_back(release, url, lambda: released.rows_of_server(url))


def test_what_is_lost_is_found() -> None:
    rows: Rows = {"a": [{"id": 1, "x": "1", "y": None}, {"id": 2, "x": "2", "y": None}], "b": []}

    assert lost(rows, rows) == []
    assert lost(rows, {"a": [{"id": 1, "x": "9", "new": 0}]}) == ["a 1 x", "a 1 y", "a 2", "b"]


def test_newest_release_has_a_row_in_every_table_that_it_has() -> None:
    """What has no row is not tried."""
    newest = released.read(released.releases()[-1])
    tables = {model._meta.db_table for app in OURS for model in apps.get_app_config(app).get_models()}

    assert {table.name for table in newest.tables if table.name in tables and not table.rows} == set()


def test_every_release_has_its_database_and_its_note() -> None:
    changelog, notes = ((ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "docs/upgrading.md"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    heading = re.compile(r"^## (\d+\.\d+\.\d+)", re.MULTILINE)

    assert {*heading.findall(changelog), version} == {path.stem for path in released.releases()}
    assert set(heading.findall(notes)) == {path.stem for path in released.releases()}
