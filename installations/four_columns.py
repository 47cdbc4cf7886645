"""What an installation asks for, what is approved, what of it is effective and what is used, side by side.

Each line carries its evidence: who approved it and when, the sentence why something is or is not effective, and what
Flowlu has answered. Use is that of the last `USE_DAYS` days, today included, by UTC; the probes of the sweep are none.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from django.db.models import Count, DateField, DateTimeField, Max, Q, Sum, Value
from django.utils import timezone

from installations import editions, scopes
from installations.catalogue import Catalogue, ScopeDescription
from installations.models import ApprovedPermission, ScopeUsage
from installations.said import said
from installations.scopes import Level
from installations.selectors import ScopeRow, review_scopes

USE_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Use:
    """The calls under one scope in the last `USE_DAYS` days; only `last_at` is of all time."""

    accepted: int = 0
    denied: int = 0
    writes: int = 0  # accepted calls that needed the level full
    per_day: tuple[int, ...] = (0,) * USE_DAYS  # oldest first; accepted and denied
    purposes: tuple[str, ...] = ()  # the empty one is the page that the frontend shows
    users: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What Flowlu has answered one portal user under one scope, of all time."""

    accepted: int = 0
    denied: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CodeUse:
    """What is known of one code: its use by everybody, and what one portal user was answered."""

    use: Use
    answers: Answers


_UNUSED: Final = CodeUse(Use(), Answers())


@dataclass(frozen=True, slots=True)
class Line:
    """One scope code; of an unknown scope, its text."""

    text: str
    about: ScopeDescription
    declared: bool  # in the current manifest
    requested: Level | None  # None also for a text that is not written as a scope
    approval: ApprovedPermission | None
    effective: Level | None  # as long as nothing stops the installation as a whole
    why: str
    use: Use
    answers: Answers
    differences: Sequence[str] = field(default=())


def four_columns(
    requested: Sequence[str],
    in_force: Sequence[ApprovedPermission],
    use: Mapping[str, CodeUse],
    *,
    now: datetime,
    known: Catalogue | None = None,
) -> list[Line]:
    """Lay the four columns side by side: what is asked for in its order, then what is approved without that, then what
    was only used. No statement where the catalogue is given, else one."""
    known = known or editions.in_force()
    review = review_scopes(requested, in_force, known)
    effects = _Effects(in_force, known)
    lines = [
        _line(row.text, row.about, True, row.requested.level if row.requested else None, row.approval, effects)
        for row in _one_for_each_code(review.rows)
    ]
    lines += [_line(str(row), known.describe(str(row)), False, None, row, effects) for row in review.not_requested]
    shown = {_code(line) for line in lines}
    lines += [_line(code, known.describe(code), False, None, None, effects) for code in sorted(use.keys() - shown)]
    return [_with_use(line, use.get(_code(line), _UNUSED), now=now) for line in lines]


def _one_for_each_code(rows: Iterable[ScopeRow]) -> list[ScopeRow]:
    """Return one row for each code, with the highest level that is asked for."""
    best: dict[str, ScopeRow] = {}
    for row in rows:
        key = row.code or row.text
        other = best.get(key)
        if other is None or (row.requested and other.requested and row.requested.level > other.requested.level):
            best[key] = row
    return list(best.values())


class _Effects:
    """What approvals add up to, each with the sentence why."""

    def __init__(self, in_force: Sequence[ApprovedPermission], known: Catalogue) -> None:
        self._known = known
        self._codes = {row.code for row in in_force}

    def of(self, row: ApprovedPermission) -> tuple[Level | None, str]:
        module = scopes.swallowed_by(row.code, self._codes)
        if module is not None:
            return None, said(
                "%(module)s is approved too, and decides with its own level. This one grants nothing beside it.",
                module=module,
            )
        today = self._known.coverage.get(row.code)
        if today is None:
            return None, said("The catalogue does not know it any more. What nobody can explain grants nothing.")
        approval = row.as_approval()
        level = scopes.effective_level(approval, self._codes, self._known)
        if level is None:
            return None, said("Nothing is left that the approval and today's catalogue both cover.")
        if approval.covers != today:
            return level, said("The catalogue changed since it was approved: only what both cover counts.")
        if level != row.level:
            return level, said("It covers no action that needs the level %(level)s.", level=row.level)
        return level, said("As approved.")


def _line(
    text: str,
    about: ScopeDescription,
    declared: bool,
    requested: Level | None,
    approval: ApprovedPermission | None,
    effects: _Effects,
) -> Line:
    effective: Level | None = None
    if approval is not None:
        effective, why = effects.of(approval)
    elif not about.known:
        why = said("It cannot be approved: nobody can say what it would allow.")
    elif not declared:
        why = said("It is not approved any more.")
    else:
        why = said("Nobody approved it.")
    return Line(text, about, declared, requested, approval, effective, why, Use(), Answers())


def _code(line: Line) -> str:
    if line.approval is not None:
        return line.approval.code
    try:
        return scopes.parse(line.text).code
    except scopes.ScopeSyntaxError:
        return line.text


def _with_use(line: Line, found: CodeUse, *, now: datetime) -> Line:
    differences = _differences(line, found.use, now=now)
    return replace(line, use=found.use, answers=found.answers, differences=tuple(differences))


def _differences(line: Line, use: Use, *, now: datetime) -> Iterable[str]:
    approval = line.approval
    if approval is None:
        if line.declared:
            yield said("requested, not approved") if line.about.known else said("requested, unknown")
        return
    if line.requested is None:
        yield said("approved, not requested any more")
    elif Level(approval.level) > line.requested:
        yield said("more approved than requested")
    elif Level(approval.level) < line.requested:
        yield said("less approved than requested")
    if line.effective is None:
        yield said("approved, not effective")
    if use.denied and not use.accepted:
        yield said("Flowlu denies it")
    elif not use.accepted:
        if (now - approval.approved_at).days >= USE_DAYS:
            yield "unused"
    elif approval.level == Level.FULL and not use.writes:
        yield said("only read was used")


# --- Reads -----------------------------------------------------------------------------------------------------


_NO_DAY = Value(None, output_field=DateField())
_NO_TIME = Value(None, output_field=DateTimeField())


def use_of(installation_id: int, *, today: date, portal_user_id: int | None = None) -> dict[str, CodeUse]:
    """Return the use of every scope of an installation by code, with the answers to one of its users.

    One statement, whatever the number of users and days: the sums of each day, and below them those of each code.
    """
    first_day = today - timedelta(days=USE_DAYS - 1)
    rows = ScopeUsage.objects.by_callers().filter(installation=installation_id)
    recent = Q(day__gte=first_day)
    theirs = Q(portal_user=portal_user_id or 0)  # no row has that key
    by_day = (
        rows.filter(recent)
        .values_list("code", "level", "purpose", "day")
        .annotate(
            ok=Sum("accepted"), no=Sum("denied"), users=Value(0), last=_NO_TIME,
            their_ok=Value(0), their_no=Value(0), their_last=_NO_TIME,
        )
    )  # fmt: skip
    by_code = rows.values_list("code", Value(""), Value(""), _NO_DAY).annotate(
        ok=Value(0), no=Value(0), users=Count("portal_user", distinct=True, filter=recent), last=Max("last_at"),
        their_ok=Sum("accepted", filter=theirs, default=0), their_no=Sum("denied", filter=theirs, default=0),
        their_last=Max("last_at", filter=theirs),
    )  # fmt: skip
    sums: dict[str, _Sums] = defaultdict(_Sums)
    codes: dict[str, tuple[int, datetime, Answers]] = {}
    for code, level, purpose, day, ok, no, users, last, their_ok, their_no, their_last in by_day.union(
        by_code, all=True
    ):
        if day is None:
            codes[code] = users, last, Answers(their_ok, their_no, their_last)
        else:
            sums[code].add(level, (day - first_day).days, purpose, ok, no)
    return {code: CodeUse(sums[code].as_use(users, last), answers) for code, (users, last, answers) in codes.items()}


class _Sums:
    """Adds up what the statement returns for the days of one code."""

    def __init__(self) -> None:
        self.accepted = self.denied = self.writes = 0
        self.per_day = [0] * USE_DAYS
        self.purposes: set[str] = set()

    def add(self, level: str, day: int, purpose: str, accepted: int, denied: int) -> None:
        self.accepted += accepted
        self.denied += denied
        if level == Level.FULL:
            self.writes += accepted
        if 0 <= day < USE_DAYS:  # a clock that runs ahead writes tomorrow's day
            self.per_day[day] += accepted + denied
        self.purposes.add(purpose)

    def as_use(self, users: int, last_at: datetime) -> Use:
        return Use(
            self.accepted, self.denied, self.writes, tuple(self.per_day), tuple(sorted(self.purposes)), users, last_at
        )


def utc_today() -> date:
    return timezone.now().astimezone(UTC).date()
