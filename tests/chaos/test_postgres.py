"""PostgreSQL restarted, crashed, away and out of connections: nothing is lost, and all goes on by itself."""

import signal
import time

import psycopg
import pytest

from tests.chaos.parts import Postgres, wait_for
from tests.chaos.service import PORTALS, Load, Service

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.chaos]
OK, OPENED, FAILED = (200, ""), (201, ""), (500, "server_error")


def accepted(postgres: Postgres) -> int:
    with psycopg.connect(postgres.url) as link:
        row = link.execute("SELECT coalesce(sum(accepted), 0) FROM installations_scopeusage").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_restart_under_load_loses_nothing_that_was_told(
    large: Service, postgres_here: Postgres, how: signal.Signals
) -> None:
    before = accepted(postgres_here)
    sessions = [large.open(portal) for portal in PORTALS for _ in range(4)]
    opened: list[str] = []
    with Load(large, sessions).going_on() as load:
        for _round in range(3):
            load.wait_for_more(OK, 50)
            answer = large.launch(PORTALS[0])
            assert answer.told == OPENED
            opened.append(answer.body["session_token"])  # told, and the server ends at once
            postgres_here.stop(how)
            postgres_here.start()
            load.wait_for_more(OK, 50)
    assert set(load.told) <= {OK, FAILED}
    assert load.unanswered == 0

    assert [large.call(session).told for session in opened] == [OK] * len(opened)
    large.stop()  # which writes what was counted
    assert accepted(postgres_here) >= before + load.count(OK) + len(opened)
    large.manage("verify_audit")
    large.start()
    large.look_for_secrets(postgres_here.log)


def test_idle_connections_over_a_restart_fail_no_call(large: Service, postgres_here: Postgres) -> None:
    session = large.open(PORTALS[0])
    with Load(large, [session] * 16).going_on() as load:
        load.wait_for_more(OK, 200)

    postgres_here.stop()
    postgres_here.start()

    assert [large.call(session).told for _ in range(30)] == [OK] * 30


def test_postgresql_that_was_away_for_long_is_used_again_by_itself(large: Service, postgres_here: Postgres) -> None:
    session = large.open(PORTALS[0])
    with Load(large, [session] * 8).going_on() as load:
        load.wait_for_more(OK)
        postgres_here.stop()
        load.wait_for_more(FAILED, 8)
        assert large.ask("GET", "/healthz").status == 200
        assert large.ask("GET", "/readyz").status == 503
        time.sleep(20)
        postgres_here.start()
        load.wait_for_more(OK)
    assert set(load.told) == {OK, FAILED}
    assert large.ask("GET", "/readyz").status == 200
    large.look_for_secrets(postgres_here.log)


def test_pool_that_is_exhausted_fails_who_waits_too_long_and_nobody_after(
    large: Service, postgres_here: Postgres
) -> None:
    """Every connection waits for a table that somebody holds, and so does everybody who finds none."""
    session = large.open(PORTALS[0])
    with psycopg.connect(postgres_here.url) as holder:
        holder.execute("LOCK TABLE tokens_embedsession IN ACCESS EXCLUSIVE MODE")
        with Load(large, [session] * 28).going_on() as load:  # 16 connections, 32 threads
            load.wait_for_more(FAILED, 4)
            assert large.ask("GET", "/healthz").status == 200
            holder.rollback()
            load.wait_for_more(OK, 50)
    assert (set(load.told), load.unanswered) == ({OK, FAILED}, 0)
    wait_for(lambda: "PoolTimeout" in large.log, "the log says why")
    assert {large.call(session).told for _ in range(20)} == {OK}
    large.look_for_secrets(postgres_here.log)
