"""Which portals are not asked for a while, because connections to them failed so many times in a row.

A portal that is gone costs each call the whole time that connecting may take, and holds a thread meanwhile. Only
connections count: whatever a portal answers, however late, it is there and is asked.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from installations.errors import PortalUnreached

logger = logging.getLogger(__name__)

# Anybody may ask for portals that are none, and each would be remembered for good.
MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Trouble:
    failures: int = 0  # connections in a row
    again_at: float = 0.0  # when the next call is let through, to see


class PortalBreaker:
    """Counts failed connections by portal. After `failures` in a row (0: never) one call in `pause` seconds goes out.

    The first connection that is made again ends it. A portal without trouble costs a look into a dictionary.
    """

    def __init__(self, failures: int, pause: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._troubled: dict[str, _Trouble] = {}  # in the order of the last failure

    def check(self, portal: str) -> None:
        """Raise PortalUnreached while the portal is not asked."""
        if portal in self._troubled:
            self._admit(portal, as_trial=False)

    def admit(self, portal: str) -> None:
        """Do the same for a call that goes out right after: the one that is let through lets none through beside it."""
        if portal in self._troubled:
            self._admit(portal, as_trial=True)

    def reached(self, portal: str) -> None:
        """Note that a connection was made, or an answer came: nothing is held against the portal any more."""
        if portal not in self._troubled:
            return
        with self._lock:
            trouble = self._troubled.pop(portal, None)
        if trouble is not None and trouble.failures >= self._limit:
            logger.warning("%s is reached again.", portal)

    def failed(self, portal: str) -> None:
        """Note that no connection could be made."""
        if not self._limit:
            return
        with self._lock:
            trouble = self._troubled.pop(portal, None) or _Trouble()
            trouble.failures += 1
            trouble.again_at = self._clock() + self._pause
            self._troubled[portal] = trouble
            if len(self._troubled) > MOST_REMEMBERED:
                del self._troubled[next(iter(self._troubled))]
        if trouble.failures == self._limit:
            logger.warning("%s is not reached: it is asked once in %g seconds until it is.", portal, self._pause)

    def _admit(self, portal: str, *, as_trial: bool) -> None:
        with self._lock:
            trouble = self._troubled.get(portal)
            if trouble is None or trouble.failures < self._limit:
                return
            left = trouble.again_at - self._clock()
            if left > 0:
                raise PortalUnreached(retry_after=math.ceil(left))
            if as_trial:
                # Whatever becomes of it: one that never comes back holds up no later one.
                trouble.again_at = self._clock() + self._pause
