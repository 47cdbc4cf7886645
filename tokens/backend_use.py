"""How backend code used what it may: by day, by purpose and person, and what nobody uses."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from installations.four_columns import utc_today
from tokens.models import Purpose, ServiceCall, ServiceClient

USE_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Use:
    """How often something was used in the last days."""

    key: Any
    ok: int
    refused: int
    people: int
    last_at: datetime


def use_by(calls: QuerySet[ServiceCall], field: str, *, count: int = 50) -> list[Use]:
    """Return how often each value of `field` was used in the last 30 days, most first. One statement."""
    since = timezone.now() - timedelta(days=USE_DAYS)
    ok = Q(outcome=ServiceCall.OK)
    rows = (
        calls.filter(at__gte=since)
        .order_by()
        .values(field)
        .annotate(
            ok=Count("pk", filter=ok),
            refused=Count("pk", filter=~ok),
            people=Count("portal_user", distinct=True),
            last_at=Max("at"),
        )
        .order_by("-ok", "-refused", field)[:count]
    )
    return [Use(row[field], row["ok"], row["refused"], row["people"], row["last_at"]) for row in rows]


def use_by_day(calls: QuerySet[ServiceCall]) -> tuple[list[date], list[int], list[int]]:
    """Return the last 30 days (UTC), and for each how many calls were answered and refused. One statement."""
    today = utc_today()
    days = [today - timedelta(days=back) for back in reversed(range(USE_DAYS))]
    ok = Q(outcome=ServiceCall.OK)
    rows = (
        calls.filter(at__gte=datetime.combine(days[0], time.min, UTC))
        .order_by()
        .annotate(day=TruncDate("at", tzinfo=UTC))
        .values_list("day")
        .annotate(ok=Count("pk", filter=ok), refused=Count("pk", filter=~ok))
    )
    found = {day: (answered, refused) for day, answered, refused in rows}
    counts = [found.get(day, (0, 0)) for day in days]
    return days, [answered for answered, _ in counts], [refused for _, refused in counts]


def unused_purposes() -> QuerySet[Purpose]:
    """Return purposes that are on and for which nothing was called since the day of `unused_since`."""
    since = unused_since()
    called = ServiceCall.objects.filter(purpose=OuterRef("pk"), at__gte=since)
    return Purpose.objects.filter(~Exists(called), enabled=True, created_at__lt=since)


def unused_clients() -> QuerySet[ServiceClient]:
    """Return service clients that are on, whose key is older than that day and was not used since."""
    since = unused_since()
    idle = Q(last_used_at__isnull=True) | Q(last_used_at__lt=since)
    return ServiceClient.objects.filter(idle, enabled=True, created_at__lt=since, key_made_at__lt=since)


def unused_since() -> datetime:
    """Return since when something has to be unused to be proposed for removal: as an approval of medium risk."""
    return timezone.now() - timedelta(days=settings.UNUSED_DAYS["medium"])


def calls_with_names(calls: QuerySet[ServiceCall]) -> QuerySet[ServiceCall]:
    """Return calls with client, purpose, place and person, newest first. One statement."""
    return calls.select_related(
        "service_client", "purpose", "installation__portal", "installation__application", "portal_user__portal"
    ).order_by("-at", "-pk")
