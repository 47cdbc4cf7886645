"""When an approval is to be looked at again, and when what was approved is not used.

Pure. Days are those of UTC. What counts as use is a call that Flowlu accepted or denied: somebody tried. Nothing is
proposed for days before use was counted, nor while the installation is stopped; days of a stop that is over count as
any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from installations.catalogue import Catalogue, Risk
from installations.scopes import Level, Scope


class Proposal(StrEnum):
    """What is proposed for an approval, derived anew each time it is looked at."""

    LOWER = "lower"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of one approval: when it was decided about, and when it let calls through."""

    level: Level
    approved_on: date
    reviewed_on: date | None = None
    read_on: date | None = None  # the last day of a call that needed the level read
    changed_on: date | None = None  # the last day of a call that needed the level full

    @property
    def decided_on(self) -> date:
        """Give the day of the last decision about it."""
        return max(self.approved_on, self.reviewed_on or self.approved_on)

    @property
    def used_on(self) -> date | None:
        """Give the last day on which it let a call through.

        One at level read lets no call through that needs full: such a call is of an earlier approval, before it was
        lowered.
        """
        days = [self.read_on, self.changed_on] if self.level is Level.FULL else [self.read_on]
        return max((day for day in days if day is not None), default=None)


def quiet_since(life: Life, proposed: Proposal) -> date:
    """Return the day since when nothing was made of what would be taken away."""
    last = life.used_on if proposed is Proposal.WITHDRAW else life.changed_on
    return max(life.decided_on, last or life.decided_on)


def risk_of(known: Catalogue, scope: Scope) -> Risk:
    """Return the risk as the catalogue has it today; what it does not describe may be anything, so it is high."""
    entry = known.described(scope.code)
    return entry.at(scope.level).risk if entry else "high"


def latest_review(risk: Risk, days: Mapping[str, int], today: date) -> date:
    """Return the latest day by which what is decided today has to be looked at again."""
    return today + timedelta(days=days[risk])


def is_due(review_by: date, today: date) -> bool:
    """Say whether it is to be reviewed now: on the day that is named and ever after."""
    return review_by <= today


def is_overdue(review_by: date, today: date) -> bool:
    """Say whether it should have been reviewed before today."""
    return review_by < today


def last_idle_day(risk: Risk, days: Mapping[str, int], today: date) -> date:
    """Return the day after which some use is expected: what was last used then, or before, counts as unused."""
    return today - timedelta(days=days[risk])


def proposal(life: Life, *, idle_since: date, counted_since: date | None, stopped: bool) -> Proposal | None:
    """Return what is proposed for an approval, or None.

    `idle_since` is the `last_idle_day` of its risk. Nothing is proposed before the last decision, and the counting of
    use (`counted_since`, None for never), are as long ago; and nothing while the installation is suspended or
    locked, when nobody could use it.
    """
    if stopped or counted_since is None or max(life.decided_on, counted_since) > idle_since:
        return None
    if _idle(life.used_on, idle_since):
        return Proposal.WITHDRAW
    if life.level is Level.FULL and _idle(life.changed_on, idle_since):
        return Proposal.LOWER
    return None


def _idle(used_on: date | None, idle_since: date) -> bool:
    return used_on is None or used_on <= idle_since
