"""Reads of the lower app for the console: what waits, what a manifest asks for and what came of it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import connection
from django.db.models import Count, F, Min, Prefetch, Q, QuerySet, Value
from django.utils import timezone

from installations import editions, evidence, scopes
from installations.catalogue import Catalogue, ScopeDescription
from installations.liveness import Verdict
from installations.manifest_diff import ScopeChange, scope_changes
from installations.models import (
    Application,
    ApprovalRequest,
    ApprovedPermission,
    AuditEvent,
    BreakGlass,
    Evidence,
    Installation,
    Liveness,
    Manifest,
    Portal,
    PortalUser,
)
from installations.scopes import Approval, Level, Scope


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """One scope that a manifest asks for, verbatim, with what it means and what was decided about it."""

    text: str
    requested: Scope | None  # None: not written as a scope
    about: ScopeDescription
    repeats: bool  # an earlier row has the same code
    approval: ApprovedPermission | None
    covers_changed: bool  # the catalogue says something else now than when it was approved
    swallowed_by: str | None  # an approved module that decides instead
    swallowed_in_request: str | None
    beyond_request: bool  # more is approved than is asked for now

    @property
    def code(self) -> str:
        return self.requested.code if self.requested else ""

    def asks_for(self, level: Level) -> bool:
        """Return whether the row asks for this level or a higher one."""
        return self.requested is not None and level <= self.requested.level


@dataclass(frozen=True, slots=True)
class ScopeReview:
    """Everything that is asked for, and what is approved without being asked for any more."""

    rows: Sequence[ScopeRow]
    not_requested: Sequence[ApprovedPermission]

    @property
    def to_decide(self) -> list[ScopeRow]:
        """Return one row for each code that may be approved, with the highest level that is asked for."""
        best: dict[str, ScopeRow] = {}
        for row in self.rows:
            if row.requested is None or not row.about.known:
                continue
            other = best.get(row.code)
            if other is None or (other.requested and row.requested.level > other.requested.level):
                best[row.code] = row
        return list(best.values())

    @property
    def unknown(self) -> list[ScopeRow]:
        return [row for row in self.rows if not row.about.known]

    @property
    def codes(self) -> int:
        return len({row.code or row.text for row in self.rows})

    @property
    def approved(self) -> int:
        return len({row.code for row in self.rows if row.approval})


def review_scopes(
    requested: Sequence[str], in_force: Sequence[ApprovedPermission], known: Catalogue | None = None
) -> ScopeReview:
    """Lay what is asked for beside what is approved. No statement where the catalogue is given, else one."""
    known = known or editions.in_force()
    by_code = {row.code: row for row in in_force}
    parsed = [(text, scopes.read(text)) for text in requested]
    asked_level = scopes.highest(scope for _text, scope in parsed if scope)
    in_request = scopes.swallowed(scope for _text, scope in parsed if scope and known.get(scope.code))
    rows: list[ScopeRow] = []
    seen: set[str] = set()
    for text, scope in parsed:
        code = scope.code if scope else ""
        entry = known.get(code)
        approval = by_code.get(code)
        rows.append(
            ScopeRow(
                text=text,
                requested=scope,
                about=known.describe(text),
                repeats=(code or text) in seen,
                approval=approval,
                covers_changed=bool(approval and entry and approval.as_approval().covers != entry.covers),
                swallowed_by=scopes.swallowed_by(code, by_code) if code else None,
                swallowed_in_request=in_request.get(code),
                beyond_request=approval is not None and Level(approval.level) > asked_level[code],
            )
        )
        seen.add(code or text)
    asked = {row.code for row in rows}
    return ScopeReview(rows, [row for row in in_force if row.code not in asked])


def installations_with_approvals() -> QuerySet[Installation]:
    """Return installations with all that a list shows of them, and the catalogue's edition. Two statements.

    The manifests' documents stay in the database: each may be a megabyte.
    """
    in_force = ApprovedPermission.objects.in_force().defer("reason", "catalogue_entry")
    return (
        editions.with_edition(Installation.objects.all())
        .select_related("portal", "application", "manifest", "decided_manifest", "liveness")
        .defer("manifest__document", "decided_manifest__document")
        .prefetch_related(Prefetch("approved_permissions", queryset=in_force, to_attr="in_force"))
    )


def asked_anew(installation: Installation) -> Sequence[ScopeChange]:
    """Return what an installation's application asks for beyond what was last decided about. No statement where both
    manifests, what is in force and the catalogue's edition were read with it."""
    decided = installation.decided_manifest
    if decided is None or installation.uninstalled_at is not None:
        return ()
    if installation.left_to_operator:
        held = getattr(installation, "in_force", None)
        rows = approvals_in_force(installation) if held is None else held
        texts = tuple(str(row) for row in rows)
        return _escalations(texts, tuple(installation.manifest.requested_scopes), editions.read_with(installation))
    if decided.pk == installation.manifest_id:
        return ()
    asked = (tuple(manifest.requested_scopes) for manifest in (decided, installation.manifest))
    return _escalations(*asked, editions.read_with(installation))


@lru_cache(maxsize=128)
def _escalations(old: tuple[str, ...], new: tuple[str, ...], known: Catalogue) -> tuple[ScopeChange, ...]:
    return tuple(change for change in scope_changes(old, new, known) if change.escalates)


# Of what waits. More is work for a list, whatever the number.
MOST_COUNTED: Final = 1_000


def counted(count: int, most: int = MOST_COUNTED) -> str:
    """Return a number of what waits as people read it: `1,000+` for more than are counted."""
    return f"{most:,}+" if count > most else f"{count:,}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows that wait for somebody, counted up to `MOST_COUNTED`: above it `count` is one more."""

    count: int
    oldest: datetime | None

    @property
    def number(self) -> str:
        """Return how many there are, as people read it."""
        return counted(self.count)


def installations_asking_for_more(among: QuerySet[Installation] | None = None) -> QuerySet[Installation]:
    """Return live installations, of these or of all, whose application asks for more than was last decided about, and
    those of which a policy approved a part only.

    One statement for the pairs of manifests, of which there are few, and one for their scopes.
    """
    rows: Any = Installation.objects.all() if among is None else among
    found: QuerySet[Installation] = rows.live().filter(_escalating(_escalating_pairs()) | Q(left_to_operator=True))
    return found


def asking_for_more() -> Waiting:
    """Return how many installations those are, and since when the longest: since the manifest was imported that asks.

    Three statements beside those for the pairs; none reads more installations than are counted, but for those of which
    a policy left something to operators.
    """
    pairs = _escalating_pairs()
    # Each by its own index: no index has both.
    more = Installation.objects.asking_anew().filter(_escalating(pairs))
    left = Installation.objects.live().filter(left_to_operator=True)
    parts = (more, left.exclude(pk__in=more.values("pk")))
    count = sum(rows.order_by().values("pk")[: MOST_COUNTED + 1].count() for rows in parts)
    newer = Q(pk__in={new for _old, new in pairs}) | Q(pk__in=left.order_by().values("manifest"))
    oldest = Manifest.objects.filter(newer).aggregate(oldest=Min("imported_at"))["oldest"]
    return Waiting(min(count, MOST_COUNTED + 1), oldest)


def _escalating(pairs: Collection[tuple[int, int]]) -> Q:
    found = Q(pk__in=[])
    for old, new in pairs:
        found |= Q(decided_manifest=old, manifest=new)
    return found


def _escalating_pairs() -> set[tuple[int, int]]:
    """Return the manifests that were decided about with those that ask for more, of live installations."""
    asking = Installation.objects.asking_anew()
    found = asking.order_by().values_list("decided_manifest", "manifest", editions.newest())
    pairs = set(found.distinct())
    named = {key for old, new, _edition in pairs for key in (old, new)}
    scopes_of = dict(Manifest.objects.filter(pk__in=named).values_list("pk", "requested_scopes"))
    return {
        (old, new)
        for old, new, edition in pairs
        if _escalations(tuple(scopes_of[old]), tuple(scopes_of[new]), editions.at(edition))
    }


def needs_decision(installation: Installation) -> bool:
    """Return whether an operator has to decide about scopes that the installation asks for since, or that a policy
    left to them. Costs what `asked_anew` does."""
    return (installation.left_to_operator and installation.uninstalled_at is None) or bool(asked_anew(installation))


@dataclass(frozen=True, slots=True)
class ObservedLiveness:
    """What the evidence of an installation says now, what lists say of it, and the newest evidence."""

    verdict: Verdict
    kept: Liveness | None
    evidence: Sequence[Evidence]


def liveness_of(installation: Installation, *, count: int = 10) -> ObservedLiveness:
    """Judge an installation by its evidence as it is now. Three statements where the kept verdict was read with it."""
    found = evidence.observations_of([installation.pk]).get(installation.pk, ())
    return ObservedLiveness(
        evidence.verdict_on(found, now=timezone.now()),
        getattr(installation, "liveness", None),
        list(installation.evidence.order_by("-observed_at", "-pk")[:count]),
    )


def suspected_removals() -> Waiting:
    """Return how many installations are suspected to be removed, as they were judged last, and since when the longest.
    One statement."""
    suspected = Liveness.objects.filter(state=Liveness.State.SUSPECTED)
    return waiting(suspected, "since")


def approvals_in_force(installation: Installation) -> list[ApprovedPermission]:
    """Return what is approved now, by code. One statement."""
    return list(installation.approved_permissions.in_force().select_related("manifest").order_by("code"))


def waiting_requests(installation: Installation) -> list[ApprovalRequest]:
    """Return the approvals that wait for a second operator here, oldest first. One statement."""
    return list(ApprovalRequest.objects.waiting().filter(items__installation=installation).order_by("pk"))


def approvals_by_copy(codes: Sequence[str]) -> dict[str, list[tuple[Approval, int]]]:
    """Return approvals in force of live installations by code, each kind of copy with how many there are. One
    statement: the copies are as many as there were catalogues, not as there are approvals."""
    found: dict[str, list[tuple[Approval, int]]] = {}
    in_force = ApprovedPermission.objects.in_force().filter(code__in=codes)
    kinds = in_force.exclude(installation__status=Installation.Status.UNINSTALLED).order_by()
    for kind in kinds.values("code", "level", "catalogue_entry").annotate(count=Count("pk")):
        row = ApprovedPermission(code=kind["code"], level=kind["level"], catalogue_entry=kind["catalogue_entry"])
        found.setdefault(row.code, []).append((row.as_approval(), kind["count"]))
    return found


def approvals_by_code() -> dict[str, int]:
    """Return how many approvals of each code are in force at live installations. One statement."""
    in_force = ApprovedPermission.objects.in_force().exclude(installation__status=Installation.Status.UNINSTALLED)
    return dict(in_force.order_by().values_list("code").annotate(count=Count("pk")))


def latest_events(installation_id: int | None = None, *, count: int = 15) -> list[AuditEvent]:
    """Return the last audit events, of one installation or of all. One statement."""
    found = AuditEvent.objects.order_by("-sequence")
    if installation_id is not None:
        found = found.filter(installation_id=installation_id)
    return list(found[:count])


def waiting(rows: QuerySet[Any], at: str) -> Waiting:
    """Return how many rows there are, and the earliest time in their column `at`.

    One statement, which reads no more rows than are counted where an index has them by that time.
    """
    found = rows.order_by(at).values("pk", at)[: MOST_COUNTED + 1].aggregate(count=Count("pk"), oldest=Min(at))
    return Waiting(found["count"], found["oldest"])


def pending_installations() -> Waiting:
    """Return how many installations wait for approval, and since when the longest. One statement."""
    return waiting(Installation.objects.pending(), "first_seen_at")


def waiting_for_second_operator() -> Waiting:
    """Return how many approvals wait for a second operator, and since when the oldest. One statement."""
    return waiting(ApprovalRequest.objects.waiting(), "requested_at")


def unseen_break_glass() -> Waiting:
    """Return how many approvals of one operator alone nobody else looked at yet. One statement."""
    unseen = BreakGlass.objects.filter(reviewed_at__isnull=True)
    return waiting(unseen, "requested_at")


@dataclass(frozen=True, slots=True)
class LocksInForce:
    portals: Waiting
    applications: Waiting
    installations: Waiting
    portal_users: Waiting


def locks_in_force() -> LocksInForce:
    """Return how many rows of each kind are locked, and since when the longest. Four statements."""
    return LocksInForce(
        _locked(Portal.objects.all()),
        _locked(Application.objects.all()),
        _locked(Installation.objects.live()),
        _locked(PortalUser.objects.all()),
    )


def _locked(rows: QuerySet[Any]) -> Waiting:
    return waiting(rows.filter(locked_at__isnull=False), "locked_at")


def portal_users_named(text: str) -> QuerySet[PortalUser]:
    """Return portal users of whose names each word of the text begins one; on SQLite, stands in one. Last seen first.

    PostgreSQL answers by the index that a migration made for exactly this expression. It does so because no index has
    the order: by one that has, it would walk a million rows after a name that nobody has.
    """
    words = re.findall(r"\w+", text)
    if not words:
        return PortalUser.objects.none()
    if connection.vendor == "postgresql":
        wanted = SearchQuery(" & ".join(f"'{word}':*" for word in words), config="simple", search_type="raw")
        return (
            PortalUser.objects.alias(words=SearchVector("name", config="simple"))
            .filter(words=wanted)
            # As an expression: in the order of the column itself an index would be walked instead.
            .order_by((F("last_seen_at") + Value(timedelta(0))).desc(), "-pk")
        )
    named = PortalUser.objects.order_by("-last_seen_at", "-pk")
    for word in words:
        # SQLite knows capitals of ASCII only.
        named = named.filter(Q(name__icontains=word) | Q(name__contains=word.capitalize()))
    return named
