"""What the two processes of a drill agree on: how a scratch database is called, and what is said of each step."""

import json
from dataclasses import asdict, dataclass
from typing import Final

# The process that looks at a database, and migrates it, refuses any that is not called so.
PREFIX: Final = "flowlu_drill_"


@dataclass(frozen=True, slots=True)
class Step:
    """What was done or looked at, how long that took, and whether the backup is good so far."""

    name: str
    good: bool
    words: str
    seconds: float = 0.0


def as_line(step: Step) -> str:
    return json.dumps(asdict(step))


def from_line(line: str) -> Step:
    return Step(**json.loads(line))
