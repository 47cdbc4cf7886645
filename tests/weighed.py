"""How much memory a piece of work takes at its height, counted by what it allocates and not by a clock."""

import tracemalloc
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
MIB = 1024 * 1024


def weighed(work: Callable[[], Result]) -> tuple[Result, int]:
    """Do the work; return its result and the bytes that it held at once, at most."""
    tracemalloc.start()
    try:
        result = work()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
