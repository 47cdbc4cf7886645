"""How many calls one portal may have under way at once in a process.

A call waits for its portal while it holds one of the worker's threads. Without a bound, a portal that answers
slowly, by accident or on purpose, would in time hold every thread, and nobody on any other portal would get through.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from installations.errors import RateLimited

RETRY_AFTER = 1  # second; a place is free as soon as one of the calls under way ends


class PortalSlots:
    """Counts calls under way by portal; `limit` 0 is no limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def hold(self, portal: str) -> Iterator[None]:
        """Hold a place of the portal during the block; raises RateLimited at once when none is free."""
        with self._lock:
            if self._limit and self._under_way[portal] >= self._limit:
                raise RateLimited(retry_after=RETRY_AFTER, reason="portal_busy")
            self._under_way[portal] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[portal] -= 1
                if not self._under_way[portal]:
                    del self._under_way[portal]  # portals come and go; those that are idle take no memory

    def __len__(self) -> int:
        """Return how many portals have calls under way."""
        return len(self._under_way)
