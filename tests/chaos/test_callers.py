"""One caller that does not stop: told to wait, while nobody else is."""

import time

import pytest

from tests.chaos.service import PORTALS, Load, Service

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.chaos]
OK, LIMITED = (200, ""), (429, "rate_limited")
RATE = 600
SESSION = "/api/v1/session"  # what it asks does not matter to the rate, and needs no portal


def test_ten_thousand_requests_of_one_session_are_counted_by_all_processes_together(large: Service) -> None:
    large.stop()
    large.settings["CALL_RATE"] = f"{RATE}/m"
    large.start()
    session, other = large.open(PORTALS[0]), large.open(PORTALS[1])
    answered = 0
    began = time.time()
    with Load(large, [session] * 8, SESSION).going_on() as one:
        while one.count(LIMITED) + one.count(OK) < 10_000:
            assert large.ask("GET", SESSION, headers={"X-Session-Token": other}).told == OK
            answered += 1
            time.sleep(0.2)  # five a second are half of its rate
        refusal = large.ask("GET", SESSION, headers={"X-Session-Token": session})
    minutes = int(time.time() // 60 - began // 60) + 1

    assert (set(one.told), one.unanswered) == ({OK, LIMITED}, 0)
    assert RATE <= one.count(OK) <= minutes * RATE
    assert answered > 3
    if refusal.told == LIMITED:  # else another minute began just now
        assert 1 <= int(refusal.headers["Retry-After"]) <= 60
    large.look_for_secrets()
