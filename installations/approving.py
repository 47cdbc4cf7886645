"""Steps of deciding about scopes, inside the transaction of a verb and behind the lock of the installation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils import timezone

from installations import audit, catalogue, editions, four_eyes, reviews, scopes
from installations.catalogue import Catalogue, CatalogueEntry
from installations.errors import ScopeNotRequested, StateConflict, UnknownScope
from installations.four_columns import utc_today
from installations.four_eyes import Bound
from installations.models import ApprovedPermission, Installation, Manifest
from installations.risks import guarded_risk
from installations.said import said
from installations.scopes import Approval, Level, Scope, ScopeSyntaxError


@dataclass(frozen=True, slots=True)
class ApprovalResult:
    approved: Sequence[str]  # newly in force, as `code.level`
    unchanged: Sequence[str]  # were already approved so
    activated: bool
    review_by: Mapping[str, date] = field(default_factory=dict)  # of each that is newly in force


@dataclass(frozen=True, slots=True)
class Seen:
    """What an operator looked at: a decision counts only for that. What is None is not compared."""

    manifest: str | None = None  # SHA-256
    in_force: str | None = None  # `in_force_digest` of the approvals
    catalogue: str | None = None  # the version


NOTHING_SAID = Seen()


def locked_installation(installation_id: int) -> Installation:
    """Return a live installation, locked until the transaction ends; raises StateConflict when there is none."""
    # No join: PostgreSQL would join a row that changed while it waited against what it saw before.
    installation = Installation.objects.select_for_update(no_key=True).filter(pk=installation_id).first()
    if installation is None:
        raise StateConflict(said("There is no such installation."))
    if installation.status == Installation.Status.UNINSTALLED:
        raise StateConflict(
            said("This installation is uninstalled. A new launch makes a new one, with nothing approved.")
        )
    return installation


def parse_all(texts: Iterable[str]) -> list[Scope]:
    """Return the scopes that are named, each code once; raises UnknownScope, or StateConflict for none or for two
    levels of one code."""
    parsed: dict[str, Scope] = {}
    for text in texts:
        scope = parse(text)
        other = parsed.setdefault(scope.code, scope)
        if other.level != scope.level:
            raise StateConflict(said("%(code)s is named with two levels. Choose one.", code=scope.code))
    if not parsed:
        raise StateConflict(said("Choose at least one scope to approve."))
    return list(parsed.values())


def parse(text: str) -> Scope:
    """Return a scope; raises UnknownScope for a text that is none."""
    try:
        return scopes.parse(text)
    except ScopeSyntaxError:
        raise UnknownScope(said("%(text)s is not a scope that can be approved.", text=f"{text[:100]!r}")) from None


def check_seen(manifest: Manifest, seen: str | None) -> None:
    """Raise StateConflict unless the manifest is the one that was seen. None: nobody says what they saw."""
    if seen is not None and seen != manifest.sha256:
        raise StateConflict(
            said("The application's manifest was replaced while you were reading it. Read the new one and decide anew.")
        )


def in_force_digest(rows: Iterable[ApprovedPermission]) -> str:
    """Return what stands for the approvals in force when an operator looked."""
    return four_eyes.in_force_digest((row.pk, row.code, row.level) for row in rows)


def usable(known: Catalogue) -> Catalogue:
    """Return the catalogue; raises StateConflict for one that is damaged."""
    if known.damage:
        raise StateConflict(
            said(
                "Edition %(edition)s of the scope catalogue is damaged: nobody can say what a scope allows. Import "
                "the catalogue first.",
                edition=known.edition,
            )
        )
    return known


@dataclass(frozen=True, slots=True)
class Plan:
    """An approval that may be made: every scope is asked for at least so, and in the catalogue."""

    installation: Installation  # locked
    manifest: Manifest
    wanted: Sequence[Scope]
    entries: Mapping[str, CatalogueEntry]
    in_force: Mapping[str, ApprovedPermission]
    catalogue: Catalogue

    @property
    def new(self) -> list[Scope]:
        """Return what is not in force yet, at this level and with what it covers today."""
        return [scope for scope in self.wanted if not self._holds(scope)]

    @property
    def high_risk(self) -> list[Scope]:
        """Return what a second operator has to confirm where four eyes are asked for."""
        held = {code: row.as_approval() for code, row in self.in_force.items()}
        return four_eyes.high_risk(self.wanted, held, self.catalogue, catalogue.load())

    @property
    def bound(self) -> Bound:
        """Return what a request for exactly this is bound to."""
        return Bound(
            status=self.installation.status,
            manifest=self.manifest.sha256,
            in_force=in_force_digest(self.in_force.values()),
            covers=four_eyes.covers_digest({code: entry.covers for code, entry in self.entries.items()}),
        )

    def _holds(self, scope: Scope) -> bool:
        row = self.in_force.get(scope.code)
        return row is not None and row.as_approval() == Approval(
            scope.code, scope.level, self.entries[scope.code].covers
        )


def plan_locked(installation: Installation, wanted: Sequence[Scope]) -> Plan:
    """Check what is wanted against the manifest and the catalogue, which stays as it is until the transaction ends.

    Raises UnknownScope, ScopeNotRequested, and StateConflict where the catalogue is damaged.
    """
    known = usable(editions.held_in_force())
    return _plan(installation, installation.manifest, wanted, installation.approved_permissions.in_force(), known)


def plan_all_locked(installations: Sequence[Installation], wanted: Sequence[Scope]) -> list[Plan]:
    """Return a plan for each installation. As many statements for any number. Raises as `plan_locked`."""
    known = usable(editions.held_in_force())
    manifests = Manifest.objects.in_bulk({row.manifest_id for row in installations})
    in_force: dict[int, list[ApprovedPermission]] = {row.pk: [] for row in installations}
    for row in ApprovedPermission.objects.in_force().filter(installation__in=in_force):
        in_force[row.installation_id].append(row)
    return [_plan(row, manifests[row.manifest_id], wanted, in_force[row.pk], known) for row in installations]


def check_still_so(plan: Plan, seen: Seen) -> None:
    """Raise StateConflict unless approvals and catalogue are those that were seen.

    Where nothing would change by the plan, as by the second of two submits, there is nothing to refuse.
    """
    if not plan.new:
        return
    if seen.in_force is not None and seen.in_force != in_force_digest(plan.in_force.values()):
        raise StateConflict(
            said(
                "Somebody else decided about this installation while you were reading it: other scopes are approved "
                "now. Look at what is approved and decide anew."
            )
        )
    if seen.catalogue is not None and seen.catalogue != plan.catalogue.version:
        raise StateConflict(
            said(
                "The scope catalogue was edited while you were reading. Read again what the scopes cover, and decide "
                "anew."
            )
        )


def _plan(
    installation: Installation,
    manifest: Manifest,
    wanted: Sequence[Scope],
    in_force: Iterable[ApprovedPermission],
    known: Catalogue,
) -> Plan:
    entries = _check_requested(wanted, manifest, known)
    return Plan(installation, manifest, wanted, entries, {row.code: row for row in in_force}, known)


def put_in_force_locked(
    plan: Plan,
    *,
    why: str,
    approved_by: str,
    confirmed_by: str = "",
    source: str = ApprovedPermission.Source.OPERATOR,
    verb: str = "scopes.approved",
    told: Mapping[str, object] | None = None,
    review_by: date | None = None,
) -> tuple[ApprovalResult, list[audit.Event]]:
    """Approve what the plan says; the first approval makes a pending installation active. All of the manifest counts
    as decided about.

    Each is to be reviewed by the day that its risk gives, or by `review_by` where that is earlier.

    Returns what it did and the event to append last, with `told` among its details; none where nothing changed. Raises
    ReviewDateRefused.
    """
    installation, new = plan.installation, plan.new
    days = reviews.review_days(plan.wanted, review_by, plan.catalogue)
    now = timezone.now()
    for scope in new:
        old = plan.in_force.get(scope.code)
        if old is not None:
            withdraw_row(old, approved_by, f"Replaced by {scope}: {why}"[:1000])
    ApprovedPermission.objects.bulk_create(
        ApprovedPermission(
            installation=installation,
            code=scope.code,
            level=scope.level.value,
            catalogue_entry={
                "catalogue": plan.catalogue.version,
                "covers": scopes.to_json(plan.entries[scope.code].covers),
            },
            manifest=plan.manifest,
            approved_at=now,
            reason=why,
            review_by=days[scope],
            active_on=utc_today(),
            **(
                _as_consented(plan, scope, approved_by, why, now)
                if source == ApprovedPermission.Source.OPERATOR and not confirmed_by
                else {"source": source, "approved_by": approved_by, "confirmed_by": confirmed_by}
            ),
        )
        for scope in new
    )
    activated = bool(new) and installation.status == Installation.Status.PENDING_APPROVAL
    if activated:
        installation.status = Installation.Status.ACTIVE
    installation.decided_manifest = plan.manifest
    installation.left_to_operator = False
    installation.save(update_fields=["status", "decided_manifest", "left_to_operator"])
    approved = [str(scope) for scope in new]
    unchanged = [str(scope) for scope in plan.wanted if scope not in new]
    result = ApprovalResult(approved, unchanged, activated, {str(scope): days[scope] for scope in new})
    if not new:
        return result, []
    details = {
        "approved": approved,
        "manifest": plan.manifest.sha256,
        "catalogue": plan.catalogue.version,
        "in_force_before": sorted(str(row) for row in plan.in_force.values()),
        "activated": activated,
        "review_by": {scope: day.isoformat() for scope, day in result.review_by.items()},
        **(told or {}),
    }
    target = str(installation.pk)
    return result, [audit.Event(verb, "installation", target, installation.pk, why, details)]


def _as_consented(plan: Plan, scope: Scope, by: str, why: str, now: datetime) -> dict[str, object]:
    """Return who stands for a scope that one operator approves in the usual way.

    Where it is of high risk, that is possible since more was approved before: by two operators, or by one alone. That
    stays said of it, and the operator of today reviewed it.
    """
    old = plan.in_force.get(scope.code)
    entry = plan.entries[scope.code]
    of_high_risk = guarded_risk(entry, scope.level, catalogue.load()) == "high"
    if old is None or not of_high_risk or (old.source != ApprovedPermission.Source.ALONE and not old.confirmed_by):
        return {"source": ApprovedPermission.Source.OPERATOR, "approved_by": by}
    if Level(old.level) < scope.level or not set(entry.covers) <= set(old.as_approval().covers):
        return {"source": ApprovedPermission.Source.OPERATOR, "approved_by": by}
    return {
        "source": old.source,
        "approved_by": old.approved_by,
        "confirmed_by": old.confirmed_by,
        "reviewed_at": now,
        "reviewed_by": by,
        "reviewed_why": f"{scope} instead of {old}: {why}"[:1000],
    }


def withdraw_row(row: ApprovedPermission, by: str, why: str) -> None:
    """Take an approval out of force."""
    row.withdrawn_at = timezone.now()
    row.withdrawn_by = by
    row.withdrawn_why = why
    row.save(update_fields=["withdrawn_at", "withdrawn_by", "withdrawn_why"])


def _check_requested(wanted: Iterable[Scope], manifest: Manifest, known: Catalogue) -> dict[str, CatalogueEntry]:
    """Return the catalogue entry of each wanted scope; raises unless the manifest asks for it at least so."""
    asked = scopes.highest(scope for text in manifest.requested_scopes if (scope := scopes.read(text)))
    entries = {}
    for scope in wanted:
        entry = known.get(scope.code)
        if entry is None:
            raise UnknownScope(
                said("%(code)s is not in the scope catalogue, so it cannot be approved.", code=scope.code)
            )
        if scope.code not in asked or asked[scope.code] < scope.level:
            raise ScopeNotRequested(said("The manifest does not ask for %(scope)s.", scope=scope))
        entries[scope.code] = entry
    return entries
