"""A portal that is gone, silent, somebody else's, slow, endless or talks nonsense: its own callers are told, and nobody
else notices."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import Portals
from tests.chaos.parts import wait_for
from tests.chaos.service import PORTALS, Load, Service, Told

pytestmark = pytest.mark.xdist_group("chaos")
ACME, GLOBEX = PORTALS
OK, UNAVAILABLE = (200, ""), (503, "flowlu_unavailable")
LIMITED, ERROR, TIMED_OUT = (429, "rate_limited"), (502, "flowlu_error"), (504, "flowlu_timeout")


@pytest.fixture
def mended(portals: Portals, small: Service) -> Iterator[Portals]:
    """The portals, of which each is back after the test, and asked."""
    yield portals
    portals.mend(ACME)
    wait_for(lambda: small.launch(ACME).status == 201, "the portal is asked again")


@pytest.mark.parametrize("fault", ["kill", "silence", "replace"])
def test_portal_that_is_not_reached_is_given_up_and_taken_up_again(small: Service, mended: Portals, fault: str) -> None:
    """By itself, while another one is called all the time."""
    session, other = small.open(ACME), small.open(GLOBEX)
    assert small.call(session).told == OK
    with Load(small, [other] * 3).going_on() as others:
        getattr(mended, fault)(ACME)
        with Load(small, [session] * 3).going_on() as callers:
            callers.wait_for_more(UNAVAILABLE, 10)
            others.wait_for_more(OK)
        tries = mended.ways[ACME].taken
        refusal = small.call(session)
        mended.mend(ACME)
        wait_for(lambda: small.call(session).told == OK, "the portal is asked again")

    # One of the pool may be cut in the midst of an answer.
    assert set(callers.told) <= {UNAVAILABLE, OK}
    assert refusal.told == UNAVAILABLE
    assert tries < callers.count(UNAVAILABLE)
    assert (set(others.told), others.unanswered) == ({OK}, 0)
    assert f"{ACME} is not reached: it is asked once in 1 seconds until it is." in small.log
    assert f"{ACME} is reached again." in small.log
    small.look_for_secrets()


@pytest.mark.parametrize(
    ("fault", "how", "told"),
    [
        ("reset", {}, UNAVAILABLE),
        ("malformed", {}, ERROR),
        ("html", {}, ERROR),
        pytest.param("delay", {"delay_seconds": 60}, TIMED_OUT, marks=pytest.mark.chaos),
        pytest.param("drip", {"delay_seconds": 0.5}, TIMED_OUT, marks=pytest.mark.chaos),
    ],
    ids=["resetting", "garbage", "another page", "slow", "dripping"],
)
def test_portal_that_answers_badly_holds_up_its_own_callers_and_nobody_else(
    small: Service, mended: Portals, fault: str, how: dict[str, Any], told: Told
) -> None:
    """More of them call than there are threads; their places are half of these, and who finds none is told at once."""
    session, other = small.open(ACME), small.open(GLOBEX)
    small.sandbox.state.add_fault("acme", fault, **how)
    try:
        with (
            Load(small, [other] * 2).going_on() as others,
            Load(small, [session] * 12).going_on() as callers,
        ):
            if told == TIMED_OUT:
                callers.wait_for_more(LIMITED)
                others.wait_for_more(OK)
            callers.wait_for_more(told, 4)
            others.wait_for_more(OK)
    finally:
        small.sandbox.state.clear_faults()

    assert (set(callers.told) - {LIMITED}, callers.unanswered) == ({told}, 0)
    assert (set(others.told), others.unanswered) == ({OK}, 0)
    # It was reached, whatever it answered: it is not given up.
    assert {small.call(session).told for _ in range(3)} == {OK}
    small.look_for_secrets()


def test_redirect_to_itself_is_not_followed(small: Service, mended: Portals) -> None:
    session = small.open(ACME)
    small.sandbox.state.clear_requests()
    assert small.call(session).told == OK
    (asked,) = small.sandbox.state.requests()
    small.sandbox.state.add_fault("acme", "redirect", location=asked.path)
    try:
        assert small.call(session).told == ERROR
    finally:
        small.sandbox.state.clear_faults()

    assert [entry.status for entry in small.sandbox.state.requests()] == [200, 302]
    assert small.call(session).told == OK


def test_refusal_says_when_to_come_again(small: Service, mended: Portals) -> None:
    session = small.open(ACME)
    mended.kill(ACME)
    for _ in range(5):
        assert small.call(session).told == UNAVAILABLE

    assert any(small.call(session).headers.get("Retry-After") == "1" for _ in range(3))


def test_answer_of_two_gigabytes_is_cut_off_and_takes_no_memory(small: Service, mended: Portals) -> None:
    session = small.open(ACME)
    before = peak_mib(small)
    mended._sandbox.state.add_fault("acme", "oversized", size=2 * 1024**3)
    try:
        assert small.call(session).told == (502, "flowlu_error")
    finally:
        mended._sandbox.state.clear_faults()

    assert small.call(session).told == OK
    assert peak_mib(small) - before < 100


def peak_mib(service: Service) -> int:
    (worker,) = service.workers
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    assert found
    return int(found[1]) // 1024
