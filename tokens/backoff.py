"""When to try again. Pure."""

from random import Random, SystemRandom

LONGEST = 3600.0

_random = SystemRandom()


def wait_seconds(tries: int, base: float, *, retry_after: int | None = None, random: Random = _random) -> float:
    """Return how long to wait after the given number of failed tries: doubled each time, with half as much jitter.

    What the other side asked for counts where it is longer. Nothing waits longer than an hour and a half.
    """
    doubled = min(base * 2.0 ** min(tries - 1, 20), LONGEST)
    wait: float = doubled * random.uniform(0.5, 1.5)
    return max(wait, float(retry_after or 0))
