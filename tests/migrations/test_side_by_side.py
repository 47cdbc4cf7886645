"""While a new release is deployed the old one goes on: its processes read and write tables that are migrated already.

So a migration adds, and takes away only what no release before it uses any more (expand, later contract). Code of an
earlier release is not at hand here. What it knew is: its models, as its migrations left them, and rows that it wrote.
"""

import inspect
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import current_app
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.migrations import released
from tests.migrations.test_upgrades import OURS, RELEASES, drill
from tests.migrations.trying import manage, server_database

# What a migration takes from the code of a release that may still run, as `unlike` says it, and why that does no harm.
TAKEN: dict[str, dict[str, str]] = {}
# What processes of a release may leave in the queue, with how many arguments: the new worker is the one to do it.
QUEUED = {"0.1.0": {"tokens.tell_upstream": 1, "tokens.sweep": 0, "notices.deliver": 0}}


def unlike(before: ProjectState, after: ProjectState) -> Iterator[str]:
    """Yield what statements of code that knows the tables of before could not do on those of after."""
    now = {model._meta.db_table: model for model in _tables(after)}
    for model in _tables(before):
        table = model._meta.db_table
        if table not in now:
            yield f"{table} is gone"
            continue
        known = {field.column: field for field in model._meta.local_concrete_fields}
        fields = {field.column: field for field in now[table]._meta.local_concrete_fields}
        for column, field in known.items():
            name = f"{table}.{column}"
            if column not in fields:
                yield f"{name} is gone"
                continue
            new = fields[column]
            if _type(new) != _type(field) or (new.max_length or 0) < (field.max_length or 0):
                yield f"{name} takes other values"
            if field.null and not new.null:
                yield f"{name} has to be given"
            if new.unique and not field.unique:
                yield f"{name} has to be unique"
        for column, field in fields.items():
            if column not in known and not field.null and not field.has_db_default():
                yield f"{table}.{column} has to be given"
        rules = {rule.name for rule in model._meta.constraints}
        yield from (f"{rule.name} has to be kept to" for rule in now[table]._meta.constraints if rule.name not in rules)


def _tables(state: ProjectState) -> list[Any]:
    every = state.apps.get_models(include_auto_created=True)
    return [model for model in every if model._meta.app_label in OURS and not model._meta.proxy]


def _type(field: Any) -> str:
    # That it may be longer than it was is no other type.
    return str(field.db_type(connection)).partition("(")[0]


def state_at(*leaves: tuple[str, str]) -> ProjectState:
    """Return the models as these migrations left them; as they are, where none is named."""
    return MigrationLoader(None).project_state(list(leaves) or None)


@pytest.fixture(scope="module")
def newest() -> ProjectState:
    return state_at()


def written_by(release: released.Release) -> released.Release:
    """Return the rows that the code of a release writes, which leaves it to `migrate` what was applied."""
    return replace(release, tables=[table for table in release.tables if table.name != "django_migrations"])


@pytest.mark.parametrize("release", RELEASES)
def test_all_that_a_release_knows_is_there_and_nothing_more_is_asked_of_it(
    release: released.Release, newest: ProjectState
) -> None:
    before = state_at(*dict(release.applied).items())

    assert sorted(unlike(before, newest)) == sorted(TAKEN.get(release.version, {}))


OPERATIONS = [
    (migrations.DeleteModel("SweepRun"), ["tokens_sweeprun is gone"]),
    (migrations.RemoveField("oauthtoken", "stale_at"), ["tokens_oauthtoken.stale_at is gone"]),
    (
        migrations.RenameField("sweeprun", "done", "did"),
        ["tokens_sweeprun.did has to be given", "tokens_sweeprun.done is gone"],
    ),
    (migrations.AlterModelTable("sweeprun", "runs"), ["tokens_sweeprun is gone"]),
    (migrations.AddField("sweeprun", "by", models.CharField(default="x")), ["tokens_sweeprun.by has to be given"]),
    (migrations.AddField("sweeprun", "by", models.CharField(db_default="x")), []),
    (migrations.AddField("sweeprun", "by", models.CharField(null=True)), []),
    (
        migrations.AlterField("sweeprun", "failing_since", models.DateTimeField()),
        ["tokens_sweeprun.failing_since has to be given"],
    ),
    (
        migrations.AlterField("sweeprun", "done", models.CharField(max_length=9)),
        ["tokens_sweeprun.done takes other values"],
    ),
    (
        migrations.AlterField("sweeprun", "name", models.CharField(max_length=5, unique=True)),
        ["tokens_sweeprun.name takes other values"],
    ),
    (migrations.AlterField("sweeprun", "name", models.CharField(max_length=500, unique=True)), []),
    (
        migrations.AlterField("daycount", "outcome", models.CharField(max_length=500, unique=True)),
        ["tokens_daycount.outcome has to be unique"],
    ),
    (
        migrations.AddConstraint("sweeprun", models.CheckConstraint(condition=models.Q(done__gt=0), name="did_some")),
        ["did_some has to be kept to"],
    ),
    (migrations.AddIndex("sweeprun", models.Index(fields=["done"], name="by_done")), []),
    (migrations.CreateModel("Made", [("id", models.BigAutoField(primary_key=True))]), []),
]


@pytest.mark.parametrize(("operation", "found"), OPERATIONS, ids=lambda value: getattr(type(value), "__name__", ""))
def test_what_would_be_taken_is_found(newest: ProjectState, operation: Any, found: list[str]) -> None:
    after = newest.clone()
    operation.state_forwards("tokens", after)

    assert sorted(unlike(newest, after)) == found


def test_what_was_taken_before_there_was_a_release_is_found(newest: ProjectState) -> None:
    """In the history as it is: then nobody had code of before."""
    before = state_at(("installations", "0018_catalogue_editions_append_only"), ("tokens", "0013_lists_in_their_order"))

    assert set(unlike(before, newest)) == {
        "installations_approvedpermission.active_on has to be given",
        "tokens_revocation_background_runs has to be kept to",
    }


@pytest.mark.skipif(connection.vendor == "postgresql", reason="NOT RUN with PostgreSQL, where the next one is")
@pytest.mark.parametrize("release", RELEASES)
def test_rows_that_a_release_writes_after_the_migration_are_good_ones(
    release: released.Release, tmp_path: Path
) -> None:
    """Data that a migration fills in is not there in rows that come later: the new code reads them all the same."""
    path = tmp_path / "db.sqlite3"
    manage(f"sqlite:///{path}", "migrate", "--verbosity=0")
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE tokens_oauthtoken RENAME COLUMN stale_at TO stale_since")
        with pytest.raises(sqlite3.OperationalError, match="stale_at"):
            released.insert_into_file(written_by(release), path)
        database.execute("ALTER TABLE tokens_oauthtoken RENAME COLUMN stale_since TO stale_at")

    released.insert_into_file(written_by(release), path)

    assert drill(str(path)).splitlines()[-1].startswith("GOOD: ")


@pytest.mark.postgresql
@pytest.mark.parametrize("release", RELEASES)
def test_rows_that_a_release_writes_after_the_migration_on_postgresql(release: released.Release) -> None:
    table = "tokens_oauthtoken"
    breaks = [
        (f"ALTER TABLE {table} ADD made_up integer NOT NULL", f"ALTER TABLE {table} DROP made_up"),
        (f"ALTER TABLE {table} RENAME stale_at TO since", f"ALTER TABLE {table} RENAME since TO stale_at"),
        (
            f"ALTER TABLE {table} ADD CONSTRAINT made_up CHECK (state <> 'revoked')",
            f"ALTER TABLE {table} DROP CONSTRAINT made_up",
        ),
    ]
    with server_database() as url:
        manage(url, "migrate", "--verbosity=0")
        with psycopg.connect(url, autocommit=True) as database:
            for breaking, mending in breaks:
                database.execute(breaking)
                with pytest.raises(psycopg.Error):
                    released.load_into_server(written_by(release), url)
                database.execute(mending)

        released.load_into_server(written_by(release), url)

        assert manage(url, "verify_audit").startswith("intact: ")
        assert "every key that rows need is there" in manage(url, "key_status")


@pytest.mark.parametrize("release", RELEASES)
def test_tasks_that_a_release_queued_are_known(release: released.Release) -> None:
    for name, arguments in QUEUED[release.version].items():
        inspect.signature(current_app.tasks[name].run).bind(*range(arguments))


def test_tasks_of_this_release_are_those_of_the_newest_one() -> None:
    """One that comes later is known to old workers no sooner than they are gone: then the sweep has to do it too."""
    ours = {name for name in current_app.tasks if name.partition(".")[0] in ("tokens", "notices")}

    assert ours == QUEUED[released.read(released.releases()[-1]).version].keys()
