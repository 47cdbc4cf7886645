"""What `DayCount` says of the last days."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Min

from installations.four_columns import utc_today
from tokens.models import DayCount


@dataclass(frozen=True, slots=True)
class Trend:
    """The counts of one subject, one number for each day and outcome."""

    days: Sequence[date]  # oldest first; the last one is today and not over
    since: date | None  # the first day that was ever counted; None: none was
    counts: dict[tuple[date, str], int]

    def of(self, *outcomes: str) -> list[int]:
        """Return the sum of these outcomes for each day."""
        return [sum(self.counts.get((day, outcome), 0) for outcome in outcomes) for day in self.days]

    def totals(self) -> dict[str, int]:
        """Return how many there were of each outcome in all these days, the most frequent first."""
        found: dict[str, int] = {}
        for (_day, outcome), number in self.counts.items():
            found[outcome] = found.get(outcome, 0) + number
        return dict(sorted((pair for pair in found.items() if pair[1]), key=lambda pair: (-pair[1], pair[0])))


def trends(subjects: Collection[DayCount.Subject], days: int) -> dict[DayCount.Subject, Trend]:
    """Return the trend of each subject over so many days up to today. Two statements over a few rows for each day."""
    today = utc_today()
    shown = [today - timedelta(days=back) for back in reversed(range(days))]
    rows = DayCount.objects.filter(subject__in=subjects)
    since = dict(rows.order_by().values_list("subject").annotate(first=Min("day")))
    counts: dict[str, dict[tuple[date, str], int]] = {subject: {} for subject in subjects}
    for day, subject, outcome, number in rows.filter(day__gte=shown[0]).values_list(
        "day", "subject", "outcome", "number"
    ):
        counts[subject][day, outcome] = number
    return {subject: Trend(shown, since.get(subject), counts[subject]) for subject in subjects}
