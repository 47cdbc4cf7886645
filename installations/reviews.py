"""The queue of reviews: approvals whose day has come, and those that nobody uses, each with the evidence of its use.

Nothing here is stored: what is proposed is asked of the use of each scope, so that a proposal is gone with the next
call. The rules are those of `review_rules`, written once more as conditions for the database; a test holds one
against the other.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Final

from django.conf import settings
from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import LessThanOrEqual

from installations import editions, review_rules, scopes, selectors
from installations.catalogue import Catalogue, Risk, ScopeDescription
from installations.errors import ReviewDateRefused
from installations.four_columns import USE_DAYS, utc_today
from installations.models import ApprovedPermission, Installation, Manifest, ScopeUsage
from installations.review_rules import Life, Proposal
from installations.said import said
from installations.scopes import Level, Scope

MOST_UNUSED: Final = 100  # counted for the first page: each one is worked out
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


class Asked(StrEnum):
    """What can be asked of the queue."""

    TO_DECIDE = "to_decide"
    DUE = "due"
    OVERDUE = "overdue"
    UNUSED = "unused"
    ALL = "all"  # every approval in force

    @property
    def proposes(self) -> bool:
        """Say whether it asks for what nobody uses."""
        return self in (Asked.TO_DECIDE, Asked.UNUSED)


def queue(
    rows: QuerySet[ApprovedPermission],
    asked: Asked = Asked.TO_DECIDE,
    risks: Sequence[Risk] = RISKS,
    codes: Mapping[Risk, Collection[str]] | None = None,
) -> list[QuerySet[ApprovedPermission]]:
    """Return those of `rows` that are asked for, in force and of installations that are not gone, in parts that follow
    one another. Two statements at most; the rows are left to the caller, who may know which codes can be among them.

    The highest risk comes first. Of each risk, those that are due come by their day; then those that nobody uses, by
    the last noted day of a decision or of use. An index has each part in its order, so that its beginning costs the
    same however long it is.
    """
    known, live = editions.in_force(), in_review(rows)
    by_day = live.filter({Asked.DUE: due(), Asked.OVERDUE: overdue(), Asked.TO_DECIDE: due()}.get(asked, Q()))
    by_use = live.exclude(due()) if asked is Asked.TO_DECIDE else live
    unused = _unused(known) if asked.proposes else {}
    found = []
    for risk in risks:
        there = Q() if codes is None else Q(code__in=sorted(codes[risk]))
        if asked is not Asked.UNUSED:
            found.append(by_day.filter(there, of_risk(risk, known)).order_by("review_by", "pk"))
        if unused:
            found.append(by_use.filter(there, unused[risk]).order_by("active_on", "pk"))
    return found


def waiting() -> Q:
    """Return what finds all of the queue among approvals in force. Two statements, and one when it is asked for."""
    # Lists beside each other: with an OR between them PostgreSQL looks through one for each row of the other.
    rows = ApprovedPermission.objects.in_force()
    return _in_any(rows.filter(condition) for condition in (due(), *_unused(editions.in_force()).values()))


def due() -> Q:
    """Return what finds approvals to be reviewed today or before."""
    return Q(review_by__lte=utc_today())


def overdue() -> Q:
    """Return what finds approvals that should have been reviewed before today."""
    return Q(review_by__lt=utc_today())


def proposed() -> Q:
    """Return what finds approvals that are proposed to be lowered or withdrawn. As many statements as `waiting`."""
    rows = ApprovedPermission.objects.in_force()
    return _in_any(rows.filter(condition) for condition in _unused(editions.in_force()).values())


def _in_any(sets: Iterable[QuerySet[ApprovedPermission]]) -> Q:
    first, *others = (rows.order_by().values("pk") for rows in sets)
    return Q(pk__in=first.union(*others, all=True))


def in_review(rows: QuerySet[ApprovedPermission]) -> QuerySet[ApprovedPermission]:
    """Return those that are reviewed: approvals in force, of installations that are not gone."""
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


def codes_of(application_ids: Iterable[str]) -> dict[Risk, set[str]]:
    """Return by risk the codes that approvals of these applications can be of: what their manifests ever asked for, at
    either level. Two statements."""
    known = editions.in_force()
    # One by one: as a list, a number that is too large for a column is an error of the database.
    of_any = reduce(or_, (Q(application__id__exact=pk) for pk in application_ids))
    asked = Manifest.objects.filter(of_any).values_list("requested_scopes", flat=True)
    found: dict[Risk, set[str]] = {risk: set() for risk in RISKS}
    for code in {scope.code for texts in asked for scope in map(scopes.read, texts) if scope is not None}:
        for level in Level:
            found[review_rules.risk_of(known, Scope(code, level))].add(code)
    return found


def counted_since() -> date | None:
    """Return the first day of which use is known, or None. One statement."""
    first: date | None = ScopeUsage.objects.aggregate(first=Min("day"))["first"]
    return first


@dataclass(frozen=True, slots=True)
class ReviewsWaiting:
    """What the queue holds, counted up to a bound: above it the number is one more."""

    due: int  # up to selectors.MOST_COUNTED
    unused: int  # proposed, and not due yet; up to MOST_UNUSED
    oldest: date | None  # the earliest day of those that are due


def reviews_waiting() -> ReviewsWaiting:
    """Return how many approvals are due, since when the longest, and how many are proposed for less.

    Six statements at most, none of which goes on beyond what is counted.
    """
    most, fewer = selectors.MOST_COUNTED + 1, MOST_UNUSED + 1
    in_order = in_review(ApprovedPermission.objects.filter(due())).order_by("review_by").values("pk", "review_by")
    found = in_order[:most].aggregate(due=Count("pk"), oldest=Min("review_by"))
    unused = 0
    for part in queue(ApprovedPermission.objects.exclude(due()), Asked.UNUSED):
        if unused < fewer:
            unused += part.order_by().values("pk")[: fewer - unused].count()
    return ReviewsWaiting(**found, unused=unused)


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
    known, idle_since = editions.in_force(), _idle_since()
    noted = Q()
    for risk, day in idle_since.items():
        noted |= of_risk(risk, known) & Q(active_on__lte=day)
    # The first one is for the index.
    return ApprovedPermission.objects.in_force().filter(Q(active_on__lte=max(idle_since.values())) & noted)


def _idle_since() -> dict[Risk, date]:
    now = utc_today()
    return {risk: review_rules.last_idle_day(risk, settings.UNUSED_DAYS, now) for risk in RISKS}


def _unused(known: Catalogue) -> dict[Risk, Q]:
    """Return for each risk what finds the approvals for which `review_rules.proposal` proposes something. One
    statement."""
    since = counted_since()
    return {risk: _unused_since(day, since) & of_risk(risk, known) for risk, day in _idle_since().items()}


def _unused_since(day: date, counted: date | None) -> Q:
    if counted is None or counted > day:
        return Q(pk__in=[])
    next_day = datetime.combine(day + timedelta(days=1), time(), UTC)
    decided = Q(approved_at__lt=next_day) & (Q(reviewed_at__isnull=True) | Q(reviewed_at__lt=next_day))
    usable = Q(installation__status=Installation.Status.ACTIVE)
    for path in ("installation", "installation__portal", "installation__application"):
        usable &= Q(**{f"{path}__locked_at__isnull": True})
    use = ScopeUsage.objects.by_callers().filter(
        installation=OuterRef("installation"), code=OuterRef("code"), level=OuterRef("level")
    )
    # Not as "no such row exists": PostgreSQL makes a join of that, believes that next to nothing is left of it, and
    # sorts what an index has in order.
    last = Coalesce(Subquery(use.order_by("-day").values("day")[:1]), Value(date.min))
    return Q(active_on__lte=day) & decided & usable & Q(LessThanOrEqual(last, day))


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
