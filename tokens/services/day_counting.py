"""Count from their own rows what the charts show of refreshes, revocations and installations."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Aggregate, Count, Max, QuerySet, Sum
from django.db.models.functions import TruncDate

from installations.four_columns import utc_today
from installations.models import Installation
from tokens import day_counts
from tokens.models import DayCount, RefreshAttempt, Revocation

_BACK = timedelta(days=90)  # as far as the charts show
_CORRECTED = timedelta(days=1)  # a refresh that was counted as lost may turn out to have ended otherwise

_Subject = DayCount.Subject


def count_days() -> int:
    """Bring the counts up to date and return how many of them changed, a subject and a day each. Safe to run twice.

    Days of refreshes and revocations that passed without a sweep are counted then. How many installations there were on
    such a day nobody can tell afterwards: it has no count.
    """
    today = utc_today()
    statuses = Installation.objects.order_by().values_list("status").annotate(number=Count("pk"))
    changed = int(day_counts.put(today, _Subject.INSTALLATION, dict(statuses)))
    ended = RefreshAttempt.objects.exclude(outcome=RefreshAttempt.Outcome.STARTED)
    changed += _count_again(_Subject.REFRESH, ended, "started_at", "outcome", Count("pk"), today)
    return changed + _count_again(_Subject.CUT, Revocation.objects.all(), "cut_at", "scope", Sum("tokens_cut"), today)


def _count_again(
    subject: DayCount.Subject, rows: QuerySet[Any], at: str, outcome: str, number: Aggregate, today: date
) -> int:
    """Put the counts of the days since the last count and return how many changed. Three statements and two a day."""
    last = DayCount.objects.filter(subject=subject).aggregate(day=Max("day"))["day"]
    first = max(last - _CORRECTED, today - _BACK) if last else today - _BACK
    since = datetime.combine(first, time.min, UTC)
    found: defaultdict[date, dict[str, int]] = defaultdict(dict)
    days = rows.filter(**{f"{at}__gte": since}).annotate(day=TruncDate(at, tzinfo=UTC)).order_by()
    for day, name, count in days.values_list("day", outcome).annotate(number=number):
        found[day][name] = count
    return sum(day_counts.put(day, subject, found[day]) for day in {*found, *_counted_days(subject, first)})


def _counted_days(subject: DayCount.Subject, first: date) -> QuerySet[Any]:
    """Return the days whose counts may be more than is true now."""
    return DayCount.objects.filter(subject=subject, day__gte=first).values_list("day", flat=True).distinct()
