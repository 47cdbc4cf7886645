"""Redis gone: each process counts for itself and says so, and nothing else is different."""

import pytest

from tests.chaos.parts import Redis, wait_for
from tests.chaos.service import PORTALS, Load, Service

pytestmark = pytest.mark.xdist_group("chaos")
OK = (200, "")
GONE = "each process counts rates for itself until it does."
BACK = "Redis answers again: rates are counted for all processes together."


def take_away(service: Service, redis: Redis, *, processes: int) -> None:
    """Take Redis away and give it back under load; nobody is told anything else meanwhile."""
    sessions = [service.open(portal) for portal in PORTALS] * 2
    said = service.log.count(GONE), service.log.count(BACK)

    def all_say(text: str, before: int) -> bool:
        # Over a connection of its own each time: in the end it comes to every process.
        assert service.call(sessions[0]).told == OK
        return service.log.count(text) - before >= processes

    with Load(service, sessions).going_on() as load:
        load.wait_for_more(OK)
        redis.stop()
        try:
            wait_for(lambda: all_say(GONE, said[0]), "each process says that Redis is gone")
            load.wait_for_more(OK)
            assert service.launch(PORTALS[0]).told == (201, "")
        finally:
            redis.start()
        wait_for(lambda: all_say(BACK, said[1]), "each process says that it is back")
        load.wait_for_more(OK)
    assert (set(load.told), load.unanswered) == ({OK}, 0)
    # Once, and not for each request; once more where a try failed just before another one did not.
    assert service.log.count(GONE) - said[0] <= 2 * processes
    service.look_for_secrets()


def test_without_redis_calls_go_on(small: Service, redis_here: Redis) -> None:
    take_away(small, redis_here, processes=1)


@pytest.mark.chaos
def test_without_redis_calls_of_several_processes_go_on(large: Service, redis_here: Redis) -> None:
    take_away(large, redis_here, processes=2)
