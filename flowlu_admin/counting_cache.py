"""Where rates are counted: in this process, or for all processes in Redis.

While Redis does not answer each process counts for itself, so that nobody is kept out and a limit is that many times as
high at most. It is tried again after a while, not by every request.
"""

import logging
import time
from functools import wraps
from typing import Any, Final

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.utils.functional import cached_property
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

_SECONDS_AWAY: Final = 5.0  # between two tries of a Redis that did not answer
# The default of 300 entries evicts counters at random: a rate limit must not forget.
_OWN: Final = {"OPTIONS": {"MAX_ENTRIES": 100_000}}
# Both or neither: no count without an end.
_COUNT: Final = "local count = redis.call('INCR', KEYS[1]) redis.call('EXPIRE', KEYS[1], ARGV[1]) return count"
# When Redis may be tried again, by its address: instances are one for each thread.
_away_until: dict[str, float] = {}


class LocalCache(LocMemCache):
    """Counts in this process."""

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, {**params, **_OWN})

    def count(self, key: str, timeout: int) -> int:
        """Count one under `key`, which is forgotten so many seconds after its first; returns how many there are."""
        self.add(key, 0, timeout)
        try:
            return self.incr(key)
        except ValueError:  # evicted in between
            self.set(key, 1, timeout)
            return 1


def _or_own(ask: Any) -> Any:
    """Ask Redis, or this process's own memory where Redis does not answer."""

    @wraps(ask)
    def asking(self: "SharedCache", *args: Any, **kwargs: Any) -> Any:
        until = _away_until.get(self.server)
        if until is not None and time.monotonic() < until:
            return getattr(self.own, ask.__name__)(*args, **kwargs)
        try:
            answer = ask(self, *args, **kwargs)
        except RedisError as error:
            _away_until[self.server] = time.monotonic() + _SECONDS_AWAY
            if until is None:
                logger.warning(
                    "Redis does not answer (%s): each process counts rates for itself until it does.",
                    type(error).__name__,
                )
            return getattr(self.own, ask.__name__)(*args, **kwargs)
        if until is not None and _away_until.pop(self.server, None) is not None:
            logger.warning("Redis answers again: rates are counted for all processes together.")
        return answer

    return asking


class SharedCache(RedisCache):
    """Counts for all processes. `LOCATION` is the address of a Redis."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        # A connection that broke while it lay idle is made anew at once; one that hangs is no reason to wait.
        options = {"socket_connect_timeout": 0.5, "socket_timeout": 1.0, "retry": Retry(NoBackoff(), 1)}
        super().__init__(server, {**params, "OPTIONS": options})
        self.server = server
        self.own = LocalCache(f"instead-of-{server}", params)

    @_or_own
    def count(self, key: str, timeout: int) -> int:
        """Count one as LocalCache does, in one round trip. The seconds begin again with each count."""
        found: int = self._count(keys=[self.make_and_validate_key(key)], args=[timeout])
        return found

    @cached_property
    def _count(self) -> Script:
        # Django's cache makes a client for each command, which takes as long as the command.
        return self._cache.get_client(None, write=True).register_script(_COUNT)

    add = _or_own(RedisCache.add)
    get = _or_own(RedisCache.get)
    set = _or_own(RedisCache.set)
    touch = _or_own(RedisCache.touch)
    delete = _or_own(RedisCache.delete)
    get_many = _or_own(RedisCache.get_many)
    has_key = _or_own(RedisCache.has_key)
    incr = _or_own(RedisCache.incr)
    set_many = _or_own(RedisCache.set_many)
    delete_many = _or_own(RedisCache.delete_many)
    clear = _or_own(RedisCache.clear)
