"""Where rates are counted: in this process, or for all processes in Redis.

While Redis does not answer each process counts for itself, so that nobody is kept out and a limit is that many times as
high at most. It is tried again after a while, not by every request.
"""

import logging
import os
import time
from functools import wraps
from hashlib import sha1
from typing import Any, Final

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

_SECONDS_AWAY: Final = 5.0  # between two tries of a Redis that did not answer
# The default of 300 entries evicts counters at random: a rate limit must not forget.
_OWN: Final = {"OPTIONS": {"MAX_ENTRIES": 100_000}}
# Both or neither: no count without an end.
_COUNT: Final = "local count = redis.call('INCR', KEYS[1]) redis.call('EXPIRE', KEYS[1], ARGV[1]) return count"
_COUNT_SHA: Final = sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()  # as Redis names a script
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
            again_at = time.monotonic() + _SECONDS_AWAY
            if _away_until.setdefault(self.server, again_at) is again_at:  # of threads that fail together the first
                logger.warning(
                    "Redis does not answer (%s): each process counts rates for itself until it does.",
                    type(error).__name__,
                )
            _away_until[self.server] = again_at
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
        self._line_of_process: tuple[int, ConnectionInterface] | None = None

    @_or_own
    def count(self, key: str, timeout: int) -> int:
        """Count one as LocalCache does, in one round trip. The seconds begin again with each count."""
        name = self.make_and_validate_key(key)
        line = self._line()
        was_idle = line.is_connected
        try:
            return self._counted(line, name, timeout)
        except RedisConnectionError:
            if not was_idle:
                raise
            return self._counted(line, name, timeout)  # which connects anew

    def _line(self) -> ConnectionInterface:
        """Return this thread's own connection. To borrow one for each count takes four times as long as to count."""
        if self._line_of_process is None or self._line_of_process[0] != os.getpid():
            # A fork has one of its own: on one connection two processes would read each other's answers.
            pool = self._cache.get_client(None, write=True).connection_pool
            self._line_of_process = os.getpid(), pool.make_connection()
        return self._line_of_process[1]

    def _counted(self, line: ConnectionInterface, name: str, timeout: int) -> int:
        try:
            return _answer(line, "EVALSHA", _COUNT_SHA, 1, name, timeout)
        except NoScriptError:  # a Redis that was started again
            return _answer(line, "EVAL", _COUNT, 1, name, timeout)

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


def _answer(line: ConnectionInterface, *command: Any) -> int:
    line.send_command(*command)  # type: ignore[no-untyped-call]  # redis does not type it
    found: int = line.read_response()
    return found
