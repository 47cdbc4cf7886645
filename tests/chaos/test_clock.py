"""The clock of the machine jumps, forwards and back: sessions end or do not, and nothing is told that is no answer."""

import os
from contextlib import suppress

import pytest

from tests.chaos.conftest import HERE
from tests.chaos.parts import wait_for
from tests.chaos.service import PORTALS, Service

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.chaos]
OK, OVER = (200, ""), (401, "invalid_session")
HOUR, DAY = 3600.0, 86400.0


class Clock:
    """The clock of the service, by its difference from that of PostgreSQL, Redis and the portals."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._file = service.folder / "clock"
        self._file.write_text("0.0")
        service.settings |= {"CLOCK_FILE": str(self._file), "PYTHONPATH": str(HERE / "surroundings")}

    def jump(self, by: float) -> None:
        """Return when the clock of each worker is wrong by so many seconds."""
        written = self._file.with_suffix(".new")
        written.write_text(str(by))
        os.replace(written, self._file)
        wait_for(lambda: {self._of(worker) for worker in self._service.workers} == {str(by)}, f"the clock is at {by}")

    def _of(self, worker: int) -> str:
        with suppress(FileNotFoundError):
            return self._file.with_name(f"clock-{worker}").read_text()
        return ""


@pytest.fixture
def clock(large: Service) -> Clock:
    large.stop()
    made = Clock(large)
    large.settings["CALL_RATE"] = "600/m"
    large.start()
    made.jump(0.0)
    return made


def test_clock_that_jumps_ends_sessions_early_or_late_and_breaks_nothing(large: Service, clock: Clock) -> None:
    session = large.open(PORTALS[0])
    assert large.call(session).told == OK

    clock.jump(-HOUR)
    assert {large.call(session).told for _ in range(10)} == {OK}
    early = large.open(PORTALS[0])
    assert large.call(early).told == OK

    clock.jump(0.0)
    assert large.call(session).told == OK
    assert large.call(early).told in {OK, OVER}  # by this clock it lay idle for an hour

    clock.jump(2 * HOUR)
    assert large.call(session).told == OVER
    late = large.open(PORTALS[1])
    assert {large.call(late).told for _ in range(10)} == {OK}

    clock.jump(0.0)
    assert large.call(late).told == OK
    assert large.call(large.open(PORTALS[0])).told == OK
    large.manage("verify_audit")
    large.look_for_secrets()


def test_nobody_is_kept_out_by_a_clock_that_jumped(large: Service, clock: Clock) -> None:
    """Rates and the pauses of a portal are counted, whatever the clock says."""
    for by in (-DAY, DAY, -10 * HOUR, 10 * HOUR, 0.0):
        clock.jump(by)
        session = large.open(PORTALS[0])
        assert {large.call(session).told for _ in range(5)} == {OK}
    large.look_for_secrets()
