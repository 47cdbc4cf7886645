"""The queue of reviews: approvals whose day has come, and those that nobody uses, each with the evidence of its use.

Nothing here is stored: what is proposed is asked of the use of each scope, so that a proposal is gone with the next
call. The rules are those of `review_rules`, written once more as conditions for the database; a test holds one
against the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import (
    Case,
    Count,
    DateField,
    Exists,
    IntegerField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)

from installations import editions, review_rules, selectors
from installations.catalogue import Catalogue, Risk, ScopeDescription
from installations.errors import ReviewDateRefused
from installations.four_columns import USE_DAYS, utc_today
from installations.models import ApprovedPermission, Installation, ScopeUsage
from installations.review_rules import Life, Proposal
from installations.said import said
from installations.scopes import Level, Scope

RISKS: Final[tuple[Risk, ...]] = ("high", "medium", "low")  # in the order of the queue


def review_days(
    scopes: Iterable[Scope], chosen: date | None = None, known: Catalogue | None = None
) -> dict[Scope, date]:
    """Return by when each scope that is decided about today is to be reviewed: as its risk says, or as was chosen.

    Raises ReviewDateRefused for a chosen day that is not after today, or later than the risk of one of them allows.
    """
    now = utc_today()
    known = known or editions.in_force()
    if chosen is not None and chosen <= now:
        raise ReviewDateRefused(
            said("%(chosen)s is not after today. Choose a later day for the next review, or none.", chosen=chosen)
        )
    found = {}
    for scope in scopes:
        risk = review_rules.risk_of(known, scope)
        latest = review_rules.latest_review(risk, settings.REVIEW_DAYS, now)
        if chosen is not None and chosen > latest:
            raise ReviewDateRefused(
                said(
                    "%(scope)s is of %(risk)s risk, so it is reviewed by %(latest)s at the latest.",
                    scope=scope,
                    risk=risk,
                    latest=latest,
                )
            )
        found[scope] = chosen or latest
    return found


def next_review(scope: Scope, known: Catalogue) -> date:
    """Return the latest day by which a scope is to be reviewed that is decided about today."""
    return review_days([scope], known=known)[scope]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The calls that one approved scope let through in the last `USE_DAYS` days, today included, without probes."""

    accepted: int = 0
    denied: int = 0
    changed: int = 0  # accepted calls that needed the level full
    users: int = 0
    purposes: tuple[str, ...] = ()  # the empty one is the page that the frontend shows


@dataclass(frozen=True, slots=True)
class ReviewLine:
    """One approval as it stands in the queue, or would: why it is there, and what was made of it."""

    approval: ApprovedPermission
    about: ScopeDescription
    risk: Risk
    life: Life
    is_due: bool
    is_overdue: bool
    proposal: Proposal | None
    next_review: date  # if it is kept today
    lower_review: date | None  # if it is lowered today; None where nothing is lower
    evidence: Evidence

    @property
    def waits(self) -> bool:
        """Say whether it is to be decided about."""
        return self.is_due or self.proposal is not None


def seen_as(row: ApprovedPermission) -> str:
    """Return what an approval was when it was looked at: the next decision about it, of whichever kind, changes it."""
    reviewed = row.reviewed_at.strftime("%Y%m%d%H%M%S%f") if row.reviewed_at else "0"
    return f"{row.pk}/{reviewed}"


def in_order(rows: QuerySet[ApprovedPermission]) -> QuerySet[ApprovedPermission]:
    """Return approvals in force of installations that are not gone: the highest risk first, then by day of review."""
    places = {risk: Value(place) for place, risk in enumerate(RISKS)}
    return (
        _of_live(rows)
        .annotate(rank=_by_risk(places, IntegerField(), editions.in_force()))
        .order_by("rank", "review_by", "pk")
    )


def waiting() -> Q:
    """Return what finds the queue among approvals in force: those that are due, and those that nobody uses.

    One statement. Whether an approval is used is asked of the few that have no noted day of use (`active_on`) since.
    """
    # Two lists beside each other: with an OR between them PostgreSQL looks through one for each row of the other.
    both = ApprovedPermission.objects.in_force().filter(due()).order_by().values("pk")
    return Q(pk__in=both.union(_unused(utc_today(), counted_since()).values("pk"), all=True))


def due() -> Q:
    """Return what finds approvals to be reviewed today or before."""
    return Q(review_by__lte=utc_today())


def overdue() -> Q:
    """Return what finds approvals that should have been reviewed before today."""
    return Q(review_by__lt=utc_today())


def proposed() -> Q:
    """Return what finds approvals that are proposed to be lowered or withdrawn. One statement."""
    return Q(pk__in=_unused(utc_today(), counted_since()).values("pk"))


def _of_live(rows: QuerySet[ApprovedPermission]) -> QuerySet[ApprovedPermission]:
    return rows.filter(withdrawn_at__isnull=True).exclude(installation__status=Installation.Status.UNINSTALLED)


def of_risk(risk: Risk, known: Catalogue | None = None) -> Q:
    """Return what finds approvals of a risk, as the catalogue has it today; what it does not name is of high risk."""
    known = known or editions.in_force()
    if risk == "high":
        return ~(of_risk("medium", known) | of_risk("low", known))
    found = Q(pk__in=[])
    for level in Level:
        codes = [entry.code for entry in known.entries if entry.at(level).risk == risk]
        found |= Q(level=level.value, code__in=codes)
    return found


def counted_since() -> date | None:
    """Return the first day of which use is known, or None. One statement."""
    first: date | None = ScopeUsage.objects.aggregate(first=Min("day"))["first"]
    return first


@dataclass(frozen=True, slots=True)
class ReviewsWaiting:
    """What the queue holds, each counted up to `selectors.MOST_COUNTED`: above it the number is one more."""

    due: int
    unused: int  # proposed, and not due yet
    oldest: date | None  # the earliest day of those that are due


def reviews_waiting() -> ReviewsWaiting:
    """Return how many approvals are due, since when the longest, and how many are proposed for less.

    Four statements, none of which goes on beyond what is counted.
    """
    most = selectors.MOST_COUNTED + 1
    in_order = _of_live(ApprovedPermission.objects.filter(due())).order_by("review_by").values("pk", "review_by")
    found = in_order[:most].aggregate(due=Count("pk"), oldest=Min("review_by"))
    proposed = _of_live(_unused(utc_today(), counted_since())).exclude(due()).order_by().values("pk")
    return ReviewsWaiting(**found, unused=proposed[:most].count())


def lines(approvals: Sequence[ApprovedPermission]) -> list[ReviewLine]:
    """Return what the queue says of each approval, in their order. At most six statements, whatever the number.

    The installation of each has to be read with its portal and application.
    """
    now, since = utc_today(), counted_since()
    known = editions.in_force()
    last, evidence = last_days(approvals), _evidence(approvals, now)
    next_review = review_days((Scope(row.code, level) for row in approvals for level in Level), known=known)
    found = []
    for row in approvals:
        scope = Scope(row.code, Level(row.level))
        risk = review_rules.risk_of(known, scope)
        key = (row.installation_id, row.code)
        read_on, changed_on = last[row.pk]
        reviewed_on = _day(row.reviewed_at) if row.reviewed_at else None
        life = Life(scope.level, _day(row.approved_at), reviewed_on, read_on, changed_on)
        idle_since = review_rules.last_idle_day(risk, settings.UNUSED_DAYS, now)
        review_by = row.review_by or now
        found.append(
            ReviewLine(
                approval=row,
                about=known.describe(scope),
                risk=risk,
                life=life,
                is_due=review_rules.is_due(review_by, now),
                is_overdue=review_rules.is_overdue(review_by, now),
                proposal=review_rules.proposal(
                    life, idle_since=idle_since, counted_since=since, stopped=_is_stopped(row.installation)
                ),
                next_review=next_review[scope],
                lower_review=next_review[Scope(row.code, Level.READ)] if scope.level is Level.FULL else None,
                evidence=evidence.get(key, Evidence()),
            )
        )
    return found


def perhaps_unused() -> QuerySet[ApprovedPermission]:
    """Return approvals in force of whose last days nothing is noted: their use has to be looked for."""
    return ApprovedPermission.objects.in_force().filter(_nothing_noted(_idle_since(utc_today()), editions.in_force()))


def _idle_since(now: date) -> dict[Risk, date]:
    return {risk: review_rules.last_idle_day(risk, settings.UNUSED_DAYS, now) for risk in RISKS}


def _nothing_noted(idle_since: Mapping[Risk, date], known: Catalogue) -> Q:
    # The first one is for the index.
    found = Q(active_on__isnull=True)
    for risk, day in idle_since.items():
        found |= of_risk(risk, known) & Q(active_on__lte=day)
    return (Q(active_on__isnull=True) | Q(active_on__lte=max(idle_since.values()))) & found


def _unused(now: date, since: date | None) -> QuerySet[ApprovedPermission]:
    """Return the approvals for which `review_rules.proposal` proposes something."""
    known = editions.in_force()
    idle_since = _idle_since(now)
    long_enough = Q(pk__in=[])
    for risk, day in idle_since.items():
        if since is not None and since <= day:
            next_day = datetime.combine(day + timedelta(days=1), time(), UTC)
            reviewed = Q(reviewed_at__isnull=True) | Q(reviewed_at__lt=next_day)
            long_enough |= of_risk(risk, known) & Q(approved_at__lt=next_day) & reviewed
    used = ScopeUsage.objects.by_callers().filter(
        installation=OuterRef("installation"),
        code=OuterRef("code"),
        level=OuterRef("level"),
        day__gt=OuterRef("idle_since"),
    )
    usable = Q(installation__status=Installation.Status.ACTIVE)
    for path in ("installation", "installation__portal", "installation__application"):
        usable &= Q(**{f"{path}__locked_at__isnull": True})
    days = {risk: Value(day) for risk, day in idle_since.items()}
    noted = _nothing_noted(idle_since, known)
    rows = ApprovedPermission.objects.in_force().filter(noted).filter(usable).filter(long_enough)
    return rows.annotate(idle_since=_by_risk(days, DateField(), known)).filter(~Exists(used))


def _by_risk(values: Mapping[Risk, Value], output: Any, known: Catalogue) -> Case:
    whens = [When(of_risk(risk, known), then=values[risk]) for risk in ("low", "medium")]
    return Case(*whens, default=values["high"], output_field=output)


def last_days(approvals: Sequence[ApprovedPermission]) -> dict[int, tuple[date | None, date | None]]:
    """Return the last day of use of each scope at level read and at level full. One statement."""
    use = (
        ScopeUsage.objects.by_callers()
        .filter(installation=OuterRef("installation"), code=OuterRef("code"))
        .order_by("-day")
    )
    read, full = (Subquery(use.filter(level=level.value).values("day")[:1]) for level in (Level.READ, Level.FULL))
    rows = ApprovedPermission.objects.filter(pk__in=[row.pk for row in approvals])
    return {key: (read_on, changed_on) for key, read_on, changed_on in rows.values_list("pk", read, full)}


def _evidence(approvals: Sequence[ApprovedPermission], now: date) -> dict[tuple[int, str], Evidence]:
    """Return the use of each scope of each installation. Two statements."""
    use = (
        ScopeUsage.objects.by_callers()
        .filter(
            installation__in={row.installation_id for row in approvals},
            code__in={row.code for row in approvals},
            day__gt=now - timedelta(days=USE_DAYS),
        )
        .order_by()
    )
    users = use.values_list("installation", "code").annotate(users=Count("portal_user", distinct=True))
    by_users = {(installation, code): count for installation, code, count in users}
    sums: dict[tuple[int, str], list[tuple[str, str, int, int]]] = defaultdict(list)
    calls = use.values_list("installation", "code", "level", "purpose")
    for installation, code, *counts in calls.annotate(ok=Sum("accepted"), no=Sum("denied")):
        sums[installation, code].append(tuple(counts))
    return {
        key: Evidence(
            accepted=sum(ok for _level, _purpose, ok, _no in rows),
            denied=sum(no for _level, _purpose, _ok, no in rows),
            changed=sum(ok for level, _purpose, ok, _no in rows if level == Level.FULL),
            users=by_users.get(key, 0),
            purposes=tuple(sorted({purpose for _level, purpose, _ok, _no in rows})),
        )
        for key, rows in sums.items()
    }


def _is_stopped(installation: Installation) -> bool:
    places = (installation, installation.portal, installation.application)
    return installation.status != Installation.Status.ACTIVE or any(place.locked_at is not None for place in places)


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
