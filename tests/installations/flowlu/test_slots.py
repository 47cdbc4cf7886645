"""Places of a portal: bounded, given back however a call ends, and nobody else's."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.errors import RateLimited
from installations.flowlu.slots import PortalSlots


def test_places_are_counted_for_each_portal() -> None:
    slots = PortalSlots(2)
    with slots.hold("acme"), slots.hold("acme"), slots.hold("globex"):
        with pytest.raises(RateLimited) as refused, slots.hold("acme"):
            pytest.fail("a third call went out")
        assert refused.value.retry_after == 1
        assert len(slots) == 2
    assert len(slots) == 0


def test_place_is_given_back_when_the_call_fails() -> None:
    slots = PortalSlots(1)
    for _ in range(3):
        with pytest.raises(KeyError), slots.hold("acme"):
            raise KeyError
    with slots.hold("acme"):
        pass


def test_no_limit_takes_any_number() -> None:
    slots = PortalSlots(0)
    with slots.hold("acme"), slots.hold("acme"), slots.hold("acme"):
        assert len(slots) == 1


@given(limit=st.integers(1, 4), callers=st.integers(1, 12))
def test_never_more_than_the_limit_from_many_threads(limit: int, callers: int) -> None:
    slots, inside, most, refused = PortalSlots(limit), [0], [0], [0]
    guard, begin = threading.Lock(), threading.Barrier(callers)

    def call() -> None:
        begin.wait()
        try:
            with slots.hold("acme"):
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                with guard:
                    inside[0] -= 1
        except RateLimited:
            with guard:
                refused[0] += 1

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= limit
    assert refused[0] <= max(0, callers - limit)
    assert len(slots) == 0
