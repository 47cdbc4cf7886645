"""Rate limits: how often something may be done in a time. A limit of one key never holds back another.

Counted in fixed windows, atomically, so that parallel requests cannot share one place. `count` is what the caches of
this service have beside what Django's have.
"""

import re
import time
from hashlib import sha256
from typing import Any, cast

from django.core.cache import cache

from installations.errors import RateLimited

_RATE = re.compile(r"([0-9]{1,9})/(?:(s)|(m)|(h)|(d))[a-z]*")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_rate(text: str) -> tuple[int, int] | None:
    """Return (calls, seconds) of a rate such as `120/m`, or None for `0`, which switches it off.

    Raises ValueError for anything else: a mistyped limit must not mean none.
    """
    if text.strip() == "0":
        return None
    match = _RATE.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a rate.")
    unit = next(part for part in match.groups()[1:] if part)
    return int(match[1]), _SECONDS[unit]


def take(rate: str, *key: str, times: int = 1) -> None:
    """Count one use under `key`; raises RateLimited, with the seconds until the window ends, when it is spent."""
    limit = parse_rate(rate)
    if limit is None:
        return
    allowed, seconds = limit
    now = time.time()
    window = int(now // seconds)
    # Hashed: parts come from outside and may be long or hold what a cache key must not.
    name = "rate:" + sha256("\x00".join((*key, str(window), str(seconds))).encode()).hexdigest()
    used: int = cast(Any, cache).count(name, timeout=seconds + 5)
    if used > allowed * times:
        raise RateLimited(retry_after=max(1, int((window + 1) * seconds - now)))
