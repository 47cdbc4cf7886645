"""How requests of the last days ended, in proportion to how many installations there were."""

from collections.abc import Mapping
from datetime import date, timedelta
from random import Random
from typing import Final

from django.db.models import Count, DateField
from django.db.models.functions import Cast

from installations.four_columns import utc_today
from installations.models import Installation
from tokens import day_counts
from tokens.models import DayCount
from tokens.services.day_counting import count_days

_DAYS: Final = 90
# For each installation on a working day: requests, and which share of them ends otherwise than well.
_ENDS: Final[Mapping[DayCount.Subject, tuple[float, Mapping[str, float]]]] = {
    DayCount.Subject.HANDSHAKE: (2.0, {"token_revoked": 0.002, "portal_not_allowed": 0.01, "invalid_token": 0.02}),
    DayCount.Subject.CALL: (
        30.0,
        {
            "insufficient_scope": 0.03,
            "token_stale": 0.02,
            "flowlu_denied": 0.01,
            "rate_limited": 0.004,
            "flowlu_timeout": 0.006,
            "flowlu_unavailable": 0.002,
        },
    ),
    DayCount.Subject.SERVICE_CALL: (4.0, {"no_credential": 0.01, "scope_not_in_purpose": 0.005, "flowlu_error": 0.002}),
}


def count_made_up_days(rng: Random) -> None:
    """Make up how requests ended day by day, and count refreshes, cut tokens and installations as the sweep does."""
    today = utc_today()
    statuses = dict(Installation.objects.order_by().values_list("status").annotate(number=Count("pk")))
    for day, installations in _installations(today).items():
        # Which of them were suspended or waited on a day before, the rows do not tell: as many of a hundred as today.
        share = installations / max(1, sum(statuses.values()))
        day_counts.put(
            day, DayCount.Subject.INSTALLATION, {status: round(number * share) for status, number in statuses.items()}
        )
        busy = (0.35 if day.weekday() > 4 else 1.0) * rng.uniform(0.8, 1.2) * (0.5 if day == today else 1.0)
        for subject, (requests, ends) in _ENDS.items():
            number = round(installations * requests * busy)
            counts = {outcome: round(number * share * rng.uniform(0.3, 1.7)) for outcome, share in ends.items()}
            day_counts.put(day, subject, {**counts, day_counts.OK: max(0, number - sum(counts.values()))})
    count_days()


def _installations(today: date) -> dict[date, int]:
    """Return how many installations had been seen at the end of each of the last days. One statement."""
    rows = Installation.objects.order_by()
    begun = rows.annotate(day=Cast("first_seen_at", DateField())).values_list("day").annotate(number=Count("pk"))
    found = list(begun)
    days = [today - timedelta(days=back) for back in range(_DAYS)]
    return {day: sum(number for when, number in found if when <= day) for day in days}
