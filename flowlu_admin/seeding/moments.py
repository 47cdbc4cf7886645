"""When things happened. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

YEARS = timedelta(days=720)  # since when the service has been running


@dataclass(frozen=True, slots=True)
class Clock:
    """The time at which the world is looked at: nothing in it happened later."""

    now: datetime

    def at(self, share: float) -> datetime:
        """Return the time at which this share of all that is there was there."""
        return self.now - YEARS * (1 - share)

    def after(self, moment: datetime, span: timedelta) -> datetime:
        return min(moment + span, self.now)

    @property
    def today(self) -> date:
        return self.now.date()


def days(rng: Random, mean: float) -> timedelta:
    """Return a span that is short as a rule and sometimes long."""
    return timedelta(days=rng.expovariate(1 / mean))
