"""The clock of a call: what is left for its next step."""

import time

import pytest

from installations.flowlu.pool import CallClock


def test_step_is_as_long_as_allowed_and_never_past_the_deadline() -> None:
    assert CallClock(deadline=time.monotonic() + 60, step=20).left() == 20
    assert 9 < CallClock(deadline=time.monotonic() + 10, step=20).left() <= 10


def test_no_step_begins_after_the_deadline() -> None:
    with pytest.raises(TimeoutError, match="deadline passed"):
        CallClock(deadline=time.monotonic(), step=20).left()
