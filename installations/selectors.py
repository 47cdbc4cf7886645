"""Reads of the lower app for the console: what waits, what a manifest asks for and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import Count, Min, Prefetch, Q, QuerySet

from installations import editions, scopes
from installations.catalogue import Catalogue, ScopeDescription
from installations.manifest_diff import ScopeChange, scope_changes
from installations.models import (
    Application,
    ApprovedPermission,
    AuditEvent,
    Installation,
    Manifest,
    Portal,
    PortalUser,
)
from installations.scopes import Approval, Level, Scope, ScopeSyntaxError


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
    parsed = [(text, _scope(text)) for text in requested]
    asked_level: dict[str, Level] = {}
    for _text, scope in parsed:
        if scope:
            asked_level[scope.code] = max(scope.level, asked_level.get(scope.code, scope.level))
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
        .select_related("portal", "application", "manifest", "decided_manifest")
        .defer("manifest__document", "decided_manifest__document")
        .prefetch_related(Prefetch("approved_permissions", queryset=in_force, to_attr="in_force"))
    )


def asked_anew(installation: Installation) -> Sequence[ScopeChange]:
    """Return what an installation's application asks for beyond what was last decided about. No statement where both
    manifests and the catalogue's edition were read with it."""
    decided = installation.decided_manifest
    if decided is None or decided.pk == installation.manifest_id or installation.uninstalled_at is not None:
        return ()
    asked = (tuple(manifest.requested_scopes) for manifest in (decided, installation.manifest))
    return _escalations(*asked, editions.read_with(installation))


@lru_cache(maxsize=128)
def _escalations(old: tuple[str, ...], new: tuple[str, ...], known: Catalogue) -> tuple[ScopeChange, ...]:
    return tuple(change for change in scope_changes(old, new, known) if change.escalates)


def installations_asking_for_more() -> QuerySet[Installation]:
    """Return live installations whose application asks for more than was last decided about.

    One statement for the pairs of manifests, of which there are few, and one for their scopes.
    """
    asking = Installation.objects.asking_anew()
    found = asking.order_by().values_list("decided_manifest", "manifest", editions.newest())
    pairs = set(found.distinct())
    named = {key for old, new, _edition in pairs for key in (old, new)}
    scopes_of = dict(Manifest.objects.filter(pk__in=named).values_list("pk", "requested_scopes"))
    escalating = Q(pk__in=[])
    for old, new, edition in pairs:
        if _escalations(tuple(scopes_of[old]), tuple(scopes_of[new]), editions.at(edition)):
            escalating |= Q(decided_manifest=old, manifest=new)
    return asking.filter(escalating)


def approvals_in_force(installation: Installation) -> list[ApprovedPermission]:
    """Return what is approved now, by code. One statement."""
    return list(installation.approved_permissions.in_force().select_related("manifest").order_by("code"))


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


@dataclass(frozen=True, slots=True)
class Waiting:
    """Installations that wait for a decision."""

    count: int
    oldest: datetime | None


def pending_installations() -> Waiting:
    """Return how many installations wait for approval, and since when the longest. One statement."""
    found = Installation.objects.pending().aggregate(count=Count("pk"), oldest=Min("first_seen_at"))
    return Waiting(found["count"], found["oldest"])


@dataclass(frozen=True, slots=True)
class LocksInForce:
    portals: int
    applications: int
    installations: int
    portal_users: int


def locks_in_force() -> LocksInForce:
    """Return how many rows of each kind are locked. Four statements."""
    locked = Q(locked_at__isnull=False)
    return LocksInForce(
        Portal.objects.filter(locked).count(),
        Application.objects.filter(locked).count(),
        Installation.objects.live().filter(locked).count(),
        PortalUser.objects.filter(locked).count(),
    )


def _scope(text: str) -> Scope | None:
    try:
        return scopes.parse(text)
    except ScopeSyntaxError:
        return None
