"""A hundred thousand sessions that are open at once: each is known, none costs memory, and a cut holds for all."""

import itertools
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.chaos.parts import Postgres
from tests.chaos.service import PORTALS, ROOT, Load, Service

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.chaos]
OK, LOCKED = (200, ""), (403, "installation_locked")
SESSIONS = int(os.environ.get("CHAOS_SESSIONS", "100000"))
CALLED = 3_000
SESSION = "/api/v1/session"


@pytest.fixture
def sessions(large: Service, postgres_here: Postgres) -> list[str]:
    """Tokens of so many sessions on one portal, ten of each user."""
    large.launch(PORTALS[0])
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.crowd", PORTALS[0], str(SESSIONS)],
        cwd=ROOT, env=large.environment, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    found = done.stdout.split()
    with psycopg.connect(postgres_here.url) as link:
        row = link.execute("SELECT count(*) FROM tokens_embedsession WHERE ended_at IS NULL").fetchone()
        assert row is not None
        assert row[0] >= len(found) == SESSIONS
    return found


def test_each_of_them_is_served_and_a_lock_holds_for_all(large: Service, sessions: list[str]) -> None:
    chosen = random.Random(4711).sample(sessions, CALLED)
    before = memory_mib(large)
    groups = [chosen[number::8] for number in range(8)]

    with Load(large, groups, SESSION).going_on() as load:
        load.wait_for_more(OK, CALLED)
    assert (set(load.told), load.unanswered) == ({OK}, 0)
    assert memory_mib(large) - before < 200

    large.manage("lock", "--portal", PORTALS[0], "--operator", "root", "--reason", "A test.")
    try:
        assert {large.call(session).told for session in itertools.islice(chosen, 50)} == {LOCKED}
    finally:
        large.manage("unlock", "--portal", PORTALS[0], "--operator", "root", "--reason", "A test.")
    assert large.ask("GET", SESSION, headers={"X-Session-Token": chosen[0]}).told == OK
    large.canaries.add("a session's token", chosen[0])
    large.look_for_secrets()


def memory_mib(service: Service) -> int:
    used = 0
    for worker in service.workers:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
        assert found
        used += int(found[1])
    return used // 1024
