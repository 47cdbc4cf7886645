"""The statement of a call is planned once for a connection, and goes on after a migration altered what it reads."""

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import NotSupportedError, OperationalError, connection, transaction
from django.utils import timezone

from installations.models import Application
from tests import factories
from tests.security.races.workers import database_url
from tokens import prepared, selectors
from tokens.models import EmbedSession

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

PLANNED = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%tokens_embedsession%%'"
# Of a table of the test's own: what a failed test leaves altered would be altered for the others.
READ = "SELECT name FROM prepared_here WHERE name <> %s"


@pytest.fixture
def table() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS prepared_here")
        cursor.execute("CREATE TABLE prepared_here (name varchar(20))")
        cursor.execute("INSERT INTO prepared_here VALUES ('here')")
    yield
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE prepared_here")


def alter() -> None:
    """As another process does that migrates: this connection does not know."""
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("ALTER TABLE prepared_here ALTER COLUMN name TYPE varchar(40)")
    other.close()


def test_statement_of_a_call_is_planned_once(application: Application) -> None:
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    EmbedSession.objects.create(
        token_hash=selectors.hash_session_token("s"),
        oauth_token=token,
        expires_at=timezone.now() + timedelta(hours=1),
    )

    found = [selectors.caller_of("s") for _ in range(6)]

    assert all(caller is not None and caller.token_id == token.pk for caller in found)
    assert prepared.rows_of(PLANNED, []) == [(1,)]


def test_statement_is_planned_anew_after_a_column_was_altered(table: Any) -> None:
    before = [prepared.rows_of(READ, ["x"]) for _ in range(6)]
    alter()

    assert [prepared.rows_of(READ, ["x"]) for _ in range(2)] == [[("here",)]] * 2
    assert before == [[("here",)]] * 6


def test_nothing_is_tried_again_inside_a_transaction(table: Any) -> None:
    for _ in range(6):
        prepared.rows_of(READ, ["x"])
    alter()

    with pytest.raises(NotSupportedError), transaction.atomic():
        prepared.rows_of(READ, ["x"])


def pid_of(link: Any) -> int:
    with link.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
        return pid


def end(pids: list[int], *, by: Any) -> None:
    """End these connections as a restart of the server does: nobody tells whoever holds them."""
    with by.cursor() as cursor:
        cursor.execute("SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM unnest(%s) AS pid", [pids])
        assert cursor.fetchone() == (True,)
    by.close()


def test_connections_that_the_server_ended_fail_nobody(table: Any) -> None:
    """All that lay in the pool, one after the other."""
    connection.close()
    last, *others = [connection.copy() for _ in range(6)]
    pids = [pid_of(each) for each in (last, *others)]
    for each in others:
        each.close()  # gives it back to the pool
    end(pids[1:], by=last)

    assert prepared.rows_of(READ, ["x"]) == [("here",)]


def test_connection_that_the_server_ended_fails_what_is_in_a_transaction(table: Any) -> None:
    with transaction.atomic():
        end([pid_of(connection)], by=connection.copy())
        with pytest.raises(OperationalError):
            prepared.rows_of(READ, ["x"])
        transaction.set_rollback(True)
    connection.close()


def test_nothing_is_prepared_where_that_is_switched_off(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)

    found = [prepared.rows_of(READ, ["x"]) for _ in range(6)]

    assert found == [[("here",)]] * 6
    assert prepared.rows_of("SELECT count(*) FROM pg_prepared_statements", []) == [(0,)]


@pytest.mark.parametrize(("given", "threshold"), [("1", 2), ("0", None)])
def test_setting_says_whether_statements_are_prepared(given: str, threshold: int | None) -> None:
    code = "from django.conf import settings; print(settings.DATABASES['default']['OPTIONS']['prepare_threshold'])"
    environment = {**os.environ, "DATABASE_URL": database_url(), "DATABASE_PREPARES": given}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(threshold)
