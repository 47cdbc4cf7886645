"""How long portals took to answer: counted by steps, as calls are counted by how they ended."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from tokens import day_counts
from tokens.models import DayCount

# In seconds. The longest is FLOWLU_TOTAL_SECONDS as it comes.
STEPS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)
_NAMES: Final = (*map(str, STEPS), "+Inf")
_MILLISECONDS: Final = "milliseconds"
NOT_ASKED: Final = "not_asked"


def note(seconds: float) -> None:
    """Count one answer that took so long. No statement; written with the counts of calls."""
    step = _NAMES[bisect_left(STEPS, seconds)]
    day_counts.note_all(DayCount.Subject.UPSTREAM, {step: 1, _MILLISECONDS: round(seconds * 1000)})


def note_not_asked() -> None:
    """Count one question that was not put to its portal, because connections to it had failed. No statement."""
    day_counts.note(DayCount.Subject.UPSTREAM, NOT_ASKED)


def up_to(counts: Mapping[str, int]) -> tuple[Sequence[tuple[str, int]], float]:
    """Return how many answers took up to each step, and the seconds of all together."""
    found, number = [], 0
    for name in _NAMES:
        number += counts.get(name, 0)
        found.append((name, number))
    return found, counts.get(_MILLISECONDS, 0) / 1000
