"""Verbs of the lower app: import manifests, approve and withdraw scopes, suspend, resume, lock and unlock.

Every public verb asks its actor first, checks the state again behind a row lock, and appends its audit event in
the same transaction. Repeating a verb whose effect already holds changes nothing and records nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone, translation

from installations import audit, catalogue, editions, evidence, manifests, scopes
from installations.actors import Actor, clean_reason
from installations.approving import (
    NOTHING_SAID,
    ApprovalResult,
    Seen,
    check_seen,
    check_still_so,
    locked_installation,
    parse,
    parse_all,
    plan_locked,
    put_in_force_locked,
    usable,
    withdraw_row,
)
from installations.catalogue import Catalogue
from installations.errors import SecondOperatorNeeded, StateConflict
from installations.liveness import Kind, State
from installations.manifest_diff import scope_changes
from installations.models import (
    Application,
    ApprovedPermission,
    Installation,
    Manifest,
    Portal,
    PortalUser,
)
from installations.risks import guarded_risk
from installations.said import said
from installations.scopes import Approval, Level
from installations.trust import known_scopes, trusted_scopes

_MOST_TOLD = 100  # of withheld scopes in one audit event
_SOME = 10_000  # numbers of installations in memory at a time

APPROVE = "installations.approve_scopes"

Lockable = Portal | Application | Installation | PortalUser


@dataclass(frozen=True, slots=True)
class ImportResult:
    application: Application
    manifest: Manifest
    changed: bool  # False: this very content is already the current manifest
    is_new_application: bool
    notices: Sequence[manifests.ManifestNotice]
    installations_affected: int


def import_manifest(*, document: str | bytes, kind: str | None, actor: Actor) -> ImportResult:
    """Register the application that a manifest describes, or make its content the application's current one.

    Live installations ask for the new scopes from now on; what is approved stays as it is. The same content
    again is a no-op. `kind` None keeps the kind of a known application and makes a new one private.

    Raises ManifestInvalid with every error in the document, and NotPermitted, also where the application's policy would
    approve more by itself from now on and the actor may not approve.
    """
    actor.require("installations.import_manifest")
    known = editions.in_force()
    parsed = manifests.parse(document, catalogue=known)
    with transaction.atomic(durable=True):
        application, is_new = Application.objects.get_or_create(
            app_id=parsed.app_id,
            defaults={"name": parsed.name, "kind": kind or Application.Kind.PRIVATE},
        )
        application = Application.objects.select_for_update(no_key=True).get(pk=application.pk)
        manifest, _ = Manifest.objects.get_or_create(
            application=application,
            sha256=parsed.sha256,
            defaults={
                "version": parsed.version,
                "document": parsed.document,
                "requested_scopes": list(parsed.permissions),
            },
        )
        kind_changes = kind is not None and application.kind != kind
        if application.current_manifest_id == manifest.pk and not kind_changes:
            return ImportResult(application, manifest, False, False, parsed.notices, 0)
        previous = application.current_manifest
        if _trusts_more(application.approval_policy, previous, parsed.permissions, known):
            actor.require(APPROVE)
        application.current_manifest = manifest
        application.name = parsed.name
        application.kind = kind or application.kind
        application.save(update_fields=["current_manifest", "name", "kind"])
        live = Installation.objects.live().filter(application=application)
        _hold_in_order(live)
        affected = live.update(manifest=manifest)
        audit.append(
            actor,
            audit.Event(
                "application.registered" if is_new else "manifest.imported",
                "application",
                application.app_id,
                details={
                    "version": manifest.version,
                    "sha256": manifest.sha256,
                    "previous_sha256": previous.sha256 if previous else None,
                    "kind": application.kind,
                    "requested": len(parsed.permissions),
                    "installations": affected,
                },
            ),
        )
    return ImportResult(application, manifest, True, is_new, parsed.notices, affected)


def _trusts_more(policy: str, previous: Manifest | None, requested: Iterable[str], known: Catalogue) -> bool:
    """Return whether a policy would approve more of a new installation than it does now."""
    shipped = catalogue.load()
    before = previous.requested_scopes if previous else ()
    now = {scope.code: scope.level for scope in trusted_scopes(policy, before, known, shipped)}
    then = trusted_scopes(policy, requested, known, shipped)
    return any(now.get(scope.code) not in (scope.level, Level.FULL) for scope in then)


def _hold_in_order(rows: QuerySet[Installation]) -> None:
    """Hold the rows by number, as whoever holds several does: an UPDATE alone takes them as they lie in the table."""
    held = rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)
    for _pk in held.iterator(chunk_size=_SOME):  # one statement, and never all numbers in memory
        pass


def approve_scopes(
    *,
    installation_id: int,
    requested: Iterable[str],
    actor: Actor,
    reason: str,
    seen: Seen = NOTHING_SAID,
    review_by: date | None = None,
) -> ApprovalResult:
    """Approve scopes of one installation; the first approval makes a pending installation active.

    What else the manifest asks for counts as decided about too. Each is to be reviewed by the day that its risk gives,
    or by `review_by` where that is earlier; one that is approved so already keeps its day.

    Each must be asked for by the manifest at this level or a higher one, and be in the catalogue. Approving a code
    at another level replaces the approval in force. All or nothing. The decision counts only for
    what was `seen`: the manifest, the approvals beside it and what the scopes meant. What is kept of the catalogue is
    what is in force when this commits.

    Raises NotPermitted, ReasonRequired, UnknownScope, ScopeNotRequested, StateConflict, ReviewDateRefused, and
    SecondOperatorNeeded where FOUR_EYES is on and a scope of high risk would come into force:
    `approval_requests.request_approval` asks for it.
    """
    actor.require(APPROVE)
    why = clean_reason(reason)
    wanted = parse_all(requested)
    with transaction.atomic(durable=True):
        installation = locked_installation(installation_id)
        check_seen(installation.manifest, seen.manifest)
        plan = plan_locked(installation, wanted)
        check_still_so(plan, seen)
        if settings.FOUR_EYES == "on" and plan.high_risk:
            raise SecondOperatorNeeded(installation=installation.pk, scopes=len(plan.high_risk))
        result, events = put_in_force_locked(plan, why=why, approved_by=actor.name, review_by=review_by)
        audit.append(actor, *events)
    return result


def withhold_scopes(*, installation_id: int, actor: Actor, reason: str, seen_manifest: str | None = None) -> list[str]:
    """Decide to approve nothing of what the manifest asks for since the last decision; what is approved goes on.

    The installation needs no decision any more until another manifest asks for more. Returns what is withheld, as the
    change of each scope in words; nothing when it was decided about already.

    Raises NotPermitted, ReasonRequired, StateConflict for an installation about which nothing was decided yet.
    """
    actor.require(APPROVE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        installation = locked_installation(installation_id)
        decided, manifest = installation.decided_manifest, installation.manifest
        check_seen(manifest, seen_manifest)
        if decided is None:
            raise StateConflict(
                said(
                    "Nothing was approved here yet, so every call is refused anyway. Suspend it, or mark it as "
                    "uninstalled."
                )
            )
        before = decided.requested_scopes
        if installation.left_to_operator:  # what the policy did not approve was never decided about
            before = [str(row) for row in installation.approved_permissions.in_force()]
        changes = scope_changes(before, manifest.requested_scopes, usable(editions.held_in_force()))
        withheld = [f"{change.code}: {change.words}" for change in changes if change.escalates]
        if not withheld and not installation.left_to_operator:
            return []
        installation.decided_manifest = manifest
        installation.left_to_operator = False
        installation.save(update_fields=["decided_manifest", "left_to_operator"])
        audit.append(
            actor,
            audit.Event(
                "scopes.withheld",
                "installation",
                str(installation.pk),
                installation.pk,
                why,
                {"withheld": withheld[:_MOST_TOLD], "count": len(withheld), "manifest": manifest.sha256},
            ),
        )
    return withheld


@dataclass(frozen=True, slots=True)
class WithdrawalResult:
    withdrawn: Sequence[str]
    also_withdrawn: Sequence[str]  # had been swallowed by a withdrawn one and would have woken
    kept: Sequence[str]


def withdraw_scopes(
    *, installation_id: int, codes: Iterable[str], actor: Actor, reason: str, keep: Iterable[str] = ()
) -> WithdrawalResult:
    """Withdraw approved scopes, by code or `code.level`; it holds from the next call on.

    A level that is named is the one that was seen: where another is in force, nothing is withdrawn or kept.

    A scope that a withdrawn one had swallowed is withdrawn with it, unless its code is in `keep`: it would otherwise
    come into force by itself (design rule: nothing widens). To keep one is as good as to approve it: it takes the same
    permission and, where FOUR_EYES is on and it is of high risk, is refused. The installation stays active.

    Raises NotPermitted, ReasonRequired, StateConflict when a named scope is not approved, or not at the named level.
    """
    actor.require("installations.withdraw_scopes")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        result, event = withdraw_locked(locked_installation(installation_id), codes, keep=keep, actor=actor, why=why)
        audit.append(actor, event)
    return result


def suspend_installation(*, installation_id: int, actor: Actor, reason: str) -> bool:
    """Suspend a pending or active installation: no call starts after the commit. Returns whether it changed.

    Raises NotPermitted, ReasonRequired, StateConflict for an uninstalled one.
    """
    return _set_suspended(installation_id, actor, reason, suspended=True)


def resume_installation(*, installation_id: int, actor: Actor, reason: str) -> bool:
    """Resume a suspended installation to where it was: active, or pending when nothing was ever approved.

    Raises NotPermitted, ReasonRequired, StateConflict for an uninstalled one.
    """
    return _set_suspended(installation_id, actor, reason, suspended=False)


def _set_suspended(installation_id: int, actor: Actor, reason: str, *, suspended: bool) -> bool:
    actor.require("installations.suspend_installation")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        installation = locked_installation(installation_id)
        before = installation.status
        if (before == Installation.Status.SUSPENDED) == suspended:
            return False
        if suspended:
            installation.status = Installation.Status.SUSPENDED
        elif installation.approved_permissions.exists():
            installation.status = Installation.Status.ACTIVE
        else:
            installation.status = Installation.Status.PENDING_APPROVAL
        installation.save(update_fields=["status"])
        audit.append(
            actor,
            audit.Event(
                "installation.suspended" if suspended else "installation.resumed",
                "installation",
                str(installation.pk),
                installation.pk,
                why,
                {"from": before, "to": installation.status},
            ),
        )
    return True


def state_present(*, installation_id: int, actor: Actor, reason: str) -> bool:
    """Record an operator's statement that an installation which is suspected to be removed is still there.

    It is evidence like any other: what is observed later counts anew. Returns whether it was suspected; of one that is
    not, nothing is recorded.

    Raises NotPermitted, ReasonRequired, StateConflict for an uninstalled one.
    """
    actor.require("installations.uninstall_installation")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        installation = locked_installation(installation_id)
        found = evidence.observations_of([installation.pk]).get(installation.pk, ())
        verdict = evidence.verdict_on(found, now=timezone.now())
        if verdict.state is not State.SUSPECTED:
            return False
        evidence.observe_locked(installation, Kind.STATED_PRESENT)
        audit.append(
            actor,
            audit.Event(
                "installation.stated_present",
                "installation",
                str(installation.pk),
                installation.pk,
                why,
                {"suspected_with_confidence": verdict.confidence.value},
            ),
        )
    return True


def lock(*, target: Lockable, actor: Actor, reason: str) -> bool:
    """Lock a portal, application, installation or portal user with one row; it holds at its commit.

    Returns whether it changed. Raises NotPermitted, ReasonRequired.
    """
    return _set_lock(target, actor, reason, locked=True)


def unlock(*, target: Lockable, actor: Actor, reason: str) -> bool:
    """Take a lock away. Approvals, tokens and sessions are as they were, if they still hold by themselves."""
    return _set_lock(target, actor, reason, locked=False)


def _set_lock(target: Lockable, actor: Actor, reason: str, *, locked: bool) -> bool:
    actor.require("installations.lock_portal")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = type(target)._default_manager.select_for_update(no_key=True).get(pk=target.pk)
        if (row.locked_at is not None) == locked:
            return False
        row.locked_at = timezone.now() if locked else None
        row.save(update_fields=["locked_at"])
        kind = target._meta.model_name or ""
        audit.append(
            actor,
            audit.Event(
                f"{kind}.{'locked' if locked else 'unlocked'}",
                kind,
                public_id(target),
                target.pk if isinstance(target, Installation) else None,
                why,
            ),
        )
    target.locked_at = row.locked_at
    return True


# --- Steps of verbs of other modules, inside their transaction -------------------------------------------------


def check_in_force(named: Mapping[str, str], in_force: Mapping[str, ApprovedPermission]) -> None:
    """Return when each text, which names the code that it maps to, names what is in force.

    Raises StateConflict: a code that is not approved, or not at the level that the text names.
    """
    if missing := sorted(set(named.values()) - in_force.keys()):
        raise StateConflict(
            said("Not approved at present: %(missing)s. Look at the installation again.", missing=", ".join(missing))
        )
    if moved := sorted(
        {str(in_force[code]) for text, code in named.items() if text not in (code, str(in_force[code]))}
    ):
        raise StateConflict(
            said("Approved at another level: %(moved)s. Look at the installation again.", moved=", ".join(moved))
        )


def codes_of(texts: Iterable[str]) -> dict[str, str]:
    """Map each text to the code that it names, with a level or without. Raises UnknownScope."""
    return {text: parse(text).code for text in texts}


def withdraw_locked(
    installation: Installation, codes: Iterable[str], *, actor: Actor, why: str, keep: Iterable[str] = ()
) -> tuple[WithdrawalResult, audit.Event]:
    """Withdraw scopes of a locked installation as `withdraw_scopes` says. The event is the caller's to append."""
    to_withdraw, to_keep = codes_of(codes), codes_of(keep)
    wanted = set(to_withdraw.values())
    in_force = {row.code: row for row in installation.approved_permissions.in_force()}
    if not wanted:
        raise StateConflict(said("Choose at least one approved scope to withdraw."))
    seen_to_keep = {
        text: code for text, code in to_keep.items() if code in in_force
    }  # another one is not there to wake
    check_in_force(to_withdraw | seen_to_keep, in_force)
    swallowed = scopes.swallowed(row.as_approval().scope for row in in_force.values())
    waking = {code for code, by in swallowed.items() if by in wanted} - wanted
    kept = waking & set(to_keep.values())
    if kept:
        _check_may_wake([in_force[code].as_approval() for code in sorted(kept)], actor)
    for code in sorted(wanted):
        withdraw_row(in_force[code], actor.name, why)
    for code in sorted(waking - kept):
        withdraw_row(
            in_force[code],
            actor.name,
            f"Withdrawn with {swallowed[code]}, which had swallowed it: {why}"[:1000],
        )
    result = WithdrawalResult(
        [str(in_force[code]) for code in sorted(wanted)],
        [str(in_force[code]) for code in sorted(waking - kept)],
        [str(in_force[code]) for code in sorted(kept)],
    )
    details = {
        "withdrawn": list(result.withdrawn),
        "withdrawn_with_them": list(result.also_withdrawn),
        "kept": list(result.kept),
    }
    event = audit.Event("scopes.withdrawn", "installation", str(installation.pk), installation.pk, why, details)
    return result, event


def _check_may_wake(kept: Sequence[Approval], actor: Actor) -> None:
    """Return when the operator may let these come into force again, which is as good as to approve them."""
    actor.require(APPROVE)
    known, shipped = editions.in_force(), catalogue.load()
    entries = [(approval, known.get(approval.code)) for approval in kept]
    high = [
        str(approval.scope)
        for approval, entry in entries
        if entry is not None and guarded_risk(entry, approval.level, shipped) == "high"
    ]
    if high and settings.FOUR_EYES == "on":
        raise StateConflict(
            said(
                "%(high)s would come into force again, which is of high risk and needs a second operator. Withdraw "
                "without keeping it, and then ask for its approval.",
                high=", ".join(high),
            )
        )


# --- Steps of verbs of the upper app, inside its transaction ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    installation: Installation  # locked until the transaction ends
    portal_user: PortalUser
    events: Sequence[audit.Event]  # for the caller to append, last of all


def record_launch_locked(
    *,
    portal: str,
    application: Application,
    flowlu_user_id: str,
    user_name: str,
    is_portal_admin: bool,
    reported_version: str,
    integration_point: str,
) -> LaunchRecord:
    """Record that a proven user launched the application on a portal, and return the locked live installation.

    Makes portal, user and installation on first sight; after an uninstallation it makes the next generation, pending
    and without approvals, which keeps the lock of the one before. Two first launches at once agree on one row.
    """
    now = timezone.now()
    events: list[audit.Event] = []
    portal_row, _ = Portal.objects.get_or_create(domain=portal)
    installation = _live_installation_locked(portal_row, application, events)
    installation.last_seen_at = now
    installation.reported_version = reported_version
    installation.save(update_fields=["last_seen_at", "reported_version"])
    user, _ = PortalUser.objects.get_or_create(portal=portal_row, flowlu_user_id=flowlu_user_id)
    user = PortalUser.objects.select_for_update(no_key=True).get(pk=user.pk)
    user.name, user.is_portal_admin, user.last_seen_at = user_name, is_portal_admin, now
    user.erased_at = None  # a new visit is new data (docs/adr/0015)
    user.save(update_fields=["name", "is_portal_admin", "last_seen_at", "erased_at"])
    evidence.observe_locked(installation, Kind.LAUNCH, integration_point=integration_point)
    if events and installation.generation == 1:
        # Only where nobody ever decided: a reinstall must not bring back what an operator withdrew.
        events += _trust_locked(installation)
    return LaunchRecord(installation, user, events)


def _live_installation_locked(portal: Portal, application: Application, events: list[audit.Event]) -> Installation:
    live = Installation.objects.live().filter(portal=portal, application=application).select_for_update(no_key=True)
    found = live.first()
    if found is not None:
        return found
    # The portal's row is the lock for what does not exist yet: the second of two first launches waits here.
    Portal.objects.select_for_update(no_key=True).get(pk=portal.pk)
    # An import that is under way finishes first, or the new installation would keep the manifest before it.
    application = Application.objects.select_for_update(no_key=True).get(pk=application.pk)
    found = live.all().first()
    if found is not None:
        return found
    last = Installation.objects.filter(portal=portal, application=application).order_by("-generation").first()
    manifest = application.current_manifest
    if manifest is None:
        raise StateConflict(said("The application has no manifest. Import one before it is used."))
    installation = Installation.objects.create(
        portal=portal,
        application=application,
        generation=last.generation + 1 if last else 1,
        manifest=manifest,
        locked_at=last.locked_at if last else None,
    )
    events.append(
        audit.Event(
            "installation.first_seen",
            "installation",
            str(installation.pk),
            installation.pk,
            details={
                "portal": portal.domain,
                "app_id": application.app_id,
                "generation": installation.generation,
            },
        )
    )
    return installation


def _trust_locked(installation: Installation) -> list[audit.Event]:
    """Approve what the application's policy trusts the portal's administrator for, of a new installation.

    What needs a second operator needs both of them.
    """
    application = Application.objects.get(pk=installation.application_id)  # held since the installation was made
    if application.approval_policy == Application.ApprovalPolicy.MANUAL:
        return []
    known = editions.held_in_force()
    requested = installation.manifest.requested_scopes
    if known.damage:
        return []  # nobody can say what that would be: the installation waits for an operator, as any other
    four_eyes = settings.FOUR_EYES == "on"
    plan = plan_locked(installation, trusted_scopes(application.approval_policy, requested, known, catalogue.load()))
    wanted = [scope for scope in plan.wanted if not (four_eyes and scope in plan.high_risk)]
    if not wanted:
        return []
    with translation.override("en"):  # what is kept is in the language of nobody who looks
        policy = application.get_approval_policy_display()
    _result, events = put_in_force_locked(
        replace(plan, wanted=wanted),
        why=f"The policy of the application: {policy}.",
        approved_by="",
        source=ApprovedPermission.Source.PORTAL_ADMIN,
        verb="scopes.trusted",
        told={"policy": application.approval_policy},
    )
    effective = scopes.normalise(known_scopes(requested, known))
    installation.left_to_operator = len(wanted) < len(effective)
    installation.save(update_fields=["left_to_operator"])
    return events


def mark_uninstalled_locked(installation: Installation) -> None:
    """Set a locked installation to uninstalled. Its credentials are the caller's to revoke in the same transaction."""
    installation.status = Installation.Status.UNINSTALLED
    installation.uninstalled_at = timezone.now()
    installation.save(update_fields=["status", "uninstalled_at"])
    evidence.observe_locked(installation, Kind.STATED_REMOVED)


def public_id(target: Lockable) -> str:
    """Return how the audit trail names a row: by what it is called outside, where it has such a name."""
    if isinstance(target, Portal):
        return target.domain
    if isinstance(target, Application):
        return target.app_id
    if isinstance(target, PortalUser):
        return f"{target.portal.domain}/{target.flowlu_user_id}"
    return str(target.pk)
