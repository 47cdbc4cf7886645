"""What a look at the deployment finds, and what a trial of an assumption shows. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. Errors and warnings are findings; the other two are not."""

    ERROR = "error"  # the service does not work, or is not safe
    WARNING = "warning"  # something is missing, late, or will fail
    NOTE = "note"  # somebody may want to know
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, what there is to say, and what mends it."""

    level: Level
    words: str
    fix: str = ""
    check: str = ""


class Verdict(StrEnum):
    """What a trial says of an assumption. Only DIFFERS is a finding."""

    HOLDS = "holds"
    DIFFERS = "differs"
    UNCLEAR = "unclear"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Point:
    """An open point of Flowlu's platform: what its documentation says, and what this deployment takes for granted."""

    name: str
    documented: str
    assumed: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A point with what a portal showed of it. `change` is the setting to make, or what else there is to do."""

    point: Point
    verdict: Verdict
    observed: str
    change: str = ""


def summary_of(findings: Sequence[Finding]) -> str:
    """Return how many findings of each level there are, in words."""
    counts = Counter(finding.level for finding in findings)
    return ", ".join(_number(counts[level], level) for level in (Level.ERROR, Level.WARNING, Level.NOTE))


def summary_of_trial(shown: Iterable[Shown]) -> str:
    """Return how many points there are of each verdict, in words."""
    counts = Counter(row.verdict for row in shown)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)


def _number(count: int, level: Level) -> str:
    return f"{count} {level}" + ("" if count == 1 else "s")
