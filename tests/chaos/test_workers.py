"""A process that is killed again and again under load: what was told is there, and another one is there at once."""

import os
import signal

import pytest

from tests.chaos.parts import wait_for
from tests.chaos.service import PORTALS, Load, Service

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.chaos]
OK, OPENED = (200, ""), (201, "")
KILLS = 6


def test_worker_that_is_killed_under_load_loses_nothing_that_was_told(large: Service) -> None:
    sessions = [large.open(portal) for portal in PORTALS for _ in range(4)]
    opened, killed = [], set()
    with Load(large, sessions).going_on() as load:
        for number in range(KILLS):
            load.wait_for_more(OK, 50)
            answer = large.launch(PORTALS[number % 2])
            assert answer.told == OPENED
            opened.append(answer.body["session_token"])  # told, and half of the processes end at once
            victim = large.workers[0]
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
            wait_for(lambda: len(set(large.workers) - killed) == 2, "another process is started")
        load.wait_for_more(OK, 50)
    # Whoever was cut was told nothing; everybody else the truth.
    assert set(load.told) == {OK}
    assert len(killed) == KILLS

    assert [large.call(session).told for session in opened] == [OK] * KILLS
    large.manage("verify_audit")
    large.look_for_secrets()
