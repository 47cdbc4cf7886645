"""What came of one try to send a message. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sent, where there is no problem. `final`: to try again is of no use. `unreached`: nothing gets through there."""

    problem: str = ""
    final: bool = False
    unreached: bool = False
