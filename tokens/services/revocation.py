"""Verbs that cut: revoke tokens, uninstall an installation, change what an application may keep.

Each is set-based, holds the installations that it cuts in and puts every fingerprint on the deny list in the same
transaction, so that a token can be stored before a revocation or refused after it, never slip through beside it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason, portal_user_actor, system_actor
from installations.errors import InvalidRequest, PortalNotAllowed, StateConflict
from installations.flowlu.configured import can_refresh
from installations.models import Application, Installation, Portal, PortalUser
from installations.portals import normalise_portal
from installations.said import said
from installations.seen import check_seen
from installations.services import mark_uninstalled_locked
from tokens.access import Caller
from tokens.errors import SetChanged
from tokens.models import OAuthToken, Revocation
from tokens.revocation_selectors import (
    RevocationPreview,
    change_since,
    names_of,
    pin_of,
    preview_revocation,
    resolve_fingerprints,
)
from tokens.services.api_keys import revoke_api_keys_locked
from tokens.services.cutting import (
    Order,
    RevocationResult,
    begin_locked,
    cut_next_locked,
    extent,
    lock_places,
    revoke_locked,
    revoked_event,
)
from tokens.targets import Kind, Pin, RevocationTarget

# More than that is cut in several transactions, so that no handshake waits for longer than one of them takes.
BATCH: Final = 20_000

Progress = Callable[[int, int], None]  # how many were looked at, of how many


def revoke_tokens(
    *,
    target: RevocationTarget,
    actor: Actor,
    reason: str,
    pinned: Pin | None = None,
    asked_at: datetime | None = None,
    on_progress: Progress | None = None,
    batch: int = BATCH,
    in_background: bool = False,
) -> RevocationResult:
    """Revoke all live tokens of the target (RFC 7009: stop using now).

    From the commit on no call starts with them; the secrets are wiped, a tombstone stays, and handing one of them in
    again is refused. Nothing left to revoke is success and records nothing. With `pinned` it cuts exactly what was
    looked at, or nothing.

    Up to `batch` tokens are cut in one transaction. More are cut in several, oldest first, up to the newest there is
    when it begins; what is cut stays cut when it is interrupted. A run of the same target that was interrupted is
    finished first, under its own row of the ledger, and then whatever else is live by now is cut as well. The result
    counts both.

    With `in_background` only the first batch is cut here; a periodic job cuts the others (`long_runs`), and the row of
    the ledger that is returned is still running.

    Raises NotPermitted, ReasonRequired, NoTarget when what is aimed at is not there, SetChanged, StateConflict where an
    operator stops the run, and in the background also where an earlier one of the same target is not finished.
    """
    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    target = _resolved(target)
    order = Order(target, names_of(target), actor, why, asked_at or timezone.now())
    done, until = RevocationResult(0, None), None
    if extent(target)[0] > batch and (unfinished := list(_unfinished(target))):
        if in_background:
            raise StateConflict(
                said(
                    "Revocation #%(unfinished)s of the same is not finished. On its page have it go on, or stop it.",
                    unfinished=unfinished[0].pk,
                )
            )
        if pinned is not None:
            # Compared before the first batch, as ever; what comes later is not of it.
            _check_pin(target, pinned)
            pinned, until = None, extent(target)[1]
        for old in unfinished:
            done = done.then(_go_on(old.pk, actor, why, on_progress, batch))
    with transaction.atomic(durable=True):
        # Counted before anything is held: a run in batches holds the installations of one batch at a time.
        at_once = extent(target, until)[0] <= batch
        held = list(_unfinished(target).select_for_update(no_key=True)) if at_once else []
        if at_once:
            lock_places(target)
        if pinned is not None:
            _check_pin(target, pinned)
        events = []
        for old in held:
            cut = cut_next_locked(old, target)
            done = done.then(RevocationResult(cut, old))
            events.append(revoked_event(old, order.names, why, cut))
        tokens, newest = extent(target, until)
        revocation = begin_locked(order, tokens, newest) if tokens else None
        if revocation is not None:
            cut = cut_next_locked(revocation, target, None if at_once else batch)
            if in_background and revocation.state == Revocation.State.RUNNING:
                revocation.in_background = True
                revocation.save(update_fields=["in_background"])
            done = done.then(RevocationResult(cut, revocation))
            events.append(revoked_event(revocation, order.names, why, cut))
        if events:
            audit.append(actor, *events)
    if on_progress is not None and events:
        on_progress(cut, max(cut, tokens))
    if revocation is not None and revocation.state == Revocation.State.RUNNING and not revocation.in_background:
        return done.then(_go_on(revocation.pk, actor, why, on_progress, batch))
    return done


def _unfinished(target: RevocationTarget) -> QuerySet[Revocation]:
    """Return the rows of the ledger of runs with this very target that were interrupted, or go on at present."""
    return Revocation.objects.filter(state=Revocation.State.RUNNING, target=target.to_json()).order_by("pk")


def resume_revocation(
    *,
    revocation_id: int,
    actor: Actor,
    reason: str,
    on_progress: Progress | None = None,
    batch: int = BATCH,
) -> RevocationResult:
    """Go on with a revocation that was interrupted, up to the newest token that there was when it began.

    One that is done is left as it is. The result counts what is cut now; the ledger knows how many in all.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such revocation, or an operator stopped it.
    """
    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    if not Revocation.objects.filter(pk=revocation_id).exists():
        raise StateConflict(said("There is no such revocation."))
    return _go_on(revocation_id, actor, why, on_progress, batch)


def _go_on(revocation_id: int, actor: Actor, why: str, on_progress: Progress | None, batch: int) -> RevocationResult:
    """Cut batch after batch until the ledger row is done; two at once take turns. Counts what this one cut."""
    here = 0
    while True:
        cut, revocation = cut_next_batch(revocation_id, actor, why, batch)
        here += cut
        if revocation.state == Revocation.State.STOPPED:
            raise StateConflict(
                said(
                    "An operator stopped revocation #%(revocation_id)s: %(tokens_cut)s of about %(tokens_expected)s "
                    "were cut. On its page it can be had go on.",
                    revocation_id=revocation_id,
                    tokens_cut=f"{revocation.tokens_cut:,}",
                    tokens_expected=f"{revocation.tokens_expected:,}",
                )
            )
        if on_progress is not None:
            on_progress(revocation.tokens_cut, revocation.tokens_expected)
        if revocation.state == Revocation.State.DONE:
            return RevocationResult(here, revocation)


def cut_next_batch(revocation_id: int, actor: Actor, why: str, batch: int = BATCH) -> tuple[int, Revocation]:
    """Cut the next batch of a run, unless it is done or stopped; return how many, and the row as it is then.

    Whoever calls it asked whether the actor may.
    """
    with transaction.atomic(durable=True):
        revocation = Revocation.objects.select_for_update(no_key=True).get(pk=revocation_id)
        if revocation.state != Revocation.State.RUNNING:
            return 0, revocation
        target = RevocationTarget.from_json(revocation.target)
        cut = cut_next_locked(revocation, target, batch)
        if cut or revocation.state == Revocation.State.DONE:
            audit.append(actor, revoked_event(revocation, names_of(target), why, cut))
    return cut, revocation


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a revocation would do and how long its steps take. Nothing was cut."""

    preview: RevocationPreview
    rehearsed: int  # tokens, of one batch at most
    read_ms: int
    lock_ms: int | None  # None: this is nothing that can be locked
    cut_ms: int


def drill_revocation(
    *, target: RevocationTarget, actor: Actor, reason: str, pinned: Pin | None = None, batch: int = BATCH
) -> DrillResult:
    """Do all that a revocation does, and the lock that comes before it, take it back, and record only that it was done.

    Handshakes in the places that are aimed at wait as long as the rehearsed cut takes; calls do not.

    Raises what `revoke_tokens` raises.
    """
    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    target = _resolved(target)
    order = Order(target, names_of(target), actor, why, timezone.now())
    began = time.perf_counter()
    preview = preview_revocation(target)
    read_ms = _since(began)
    with transaction.atomic(durable=True):
        lock_ms = _rehearse_lock(target)
        began = time.perf_counter()
        lock_places(target)
        if pinned is not None:
            _check_pin(target, pinned)
        tokens, newest = extent(target)
        cut = cut_next_locked(begin_locked(order, tokens, newest), target, batch) if tokens else 0
        cut_ms = _since(began)
        transaction.set_rollback(True)
    drill = DrillResult(preview, cut, read_ms, lock_ms, cut_ms)
    with transaction.atomic(durable=True):
        details = {
            "scope": target.kind.value,
            "tokens": preview.tokens,
            "rehearsed": cut,
            "read_ms": read_ms,
            "lock_ms": lock_ms,
            "cut_ms": cut_ms,
        }
        installation = order.names.installation
        audit.append(
            actor,
            audit.Event(
                "revocation.drilled",
                order.names.audit_kind,
                order.names.audit_id,
                installation.pk if installation else None,
                why,
                details,
            ),
        )
    return drill


def _rehearse_lock(target: RevocationTarget) -> int | None:
    """Set the lock of what is aimed at, in a transaction that is taken back; return how long it took."""
    lockable = {
        Kind.PORTAL: Portal,
        Kind.APPLICATION: Application,
        Kind.INSTALLATION: Installation,
        Kind.PORTAL_USER: PortalUser,
    }.get(target.kind)
    if lockable is None:
        return None
    began = time.perf_counter()
    lockable._default_manager.filter(pk=target.id).update(locked_at=timezone.now())
    return _since(began)


def _since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


def _resolved(target: RevocationTarget) -> RevocationTarget:
    return resolve_fingerprints(target)[0] if target.kind is Kind.FINGERPRINTS else target


def _check_pin(target: RevocationTarget, pinned: Pin) -> None:
    """Raise SetChanged unless the target names what was looked at. Nothing left is no reason to ask again."""
    now = pin_of(target)
    if now.tokens and not now.holds_for(pinned):
        raise SetChanged(change_since(target, pinned, now))


def revoke_own_token(*, caller: Caller) -> RevocationResult:
    """Revoke what the caller's session lives on, as the user asked. Other tokens of the user are left alone."""
    actor = portal_user_actor(caller.portal, caller.flowlu_user_id)
    asked = timezone.now()
    with transaction.atomic(durable=True):
        _locked(caller.installation_id)
        # The lineage may have moved since the session was read: a hand-over holds the same lock.
        token = OAuthToken.objects.only("pk").get(sessions__pk=caller.session_id)
        target = RevocationTarget.of_token(token.pk)
        why = "Revoked by the user."
        cut, event = revoke_locked(Order(target, names_of(target), actor, why, asked, asks_portal=False))
        if event:
            audit.append(actor, event)
    return cut


def uninstall_installation(
    *, installation_id: int, actor: Actor, reason: str, pinned: Pin | None = None
) -> RevocationResult | None:
    """Record that an installation is gone and revoke everything of it. Returns None when it already was.

    Its sessions are told `token_revoked`. A later launch makes the next generation, with nothing approved.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such installation, SetChanged when its tokens
    are not those that are pinned.
    """
    actor.require("installations.uninstall_installation")
    why = clean_reason(reason)
    asked = timezone.now()
    target = RevocationTarget.of_installation(installation_id)
    with transaction.atomic(durable=True):
        installation = _locked(installation_id)
        if installation.status == Installation.Status.UNINSTALLED:
            return None
        if pinned is not None:
            _check_pin(target, pinned)
        before = installation.status
        cut, event = revoke_locked(Order(target, names_of(target), actor, why, asked))
        keys = revoke_api_keys_locked(installation, why)
        mark_uninstalled_locked(installation)
        uninstalled = audit.Event(
            "installation.uninstalled",
            "installation",
            str(installation.pk),
            installation.pk,
            why,
            {"from": before, "tokens_cut": cut.tokens_cut},
        )
        audit.append(actor, *([event] if event else []), *keys, uninstalled)
    return cut


def configure_application(
    *,
    application_id: int,
    stores_refresh_tokens: bool,
    allowed_portals: Sequence[str],
    actor: Actor,
    reason: str,
    refreshed_by: str | None = None,
    approval_policy: str | None = None,
    seen: str | None = None,
) -> bool:
    """Change what an application keeps, who refreshes it and where it may be used. Returns whether anything changed.

    Switching refresh tokens off wipes those that are stored, and so does another refresher: no pair has two. A portal
    that is left out opens no new sessions, and backend code acts there no longer; sessions that are open end by
    themselves or by a revocation.

    Raises NotPermitted, ReasonRequired, InvalidRequest naming each portal that is not one, and `refreshed_by` where
    this service cannot refresh, StateConflict when it is not what was `seen` (a digest of `settings_of`) any more.
    `refreshed_by` and `approval_policy` None leave them as they are. A policy counts for installations that are
    first seen from now on.
    """
    actor.require("installations.configure_application")
    why = clean_reason(reason)
    portals = _normalised(allowed_portals)
    with transaction.atomic(durable=True):
        application = Application.objects.select_for_update(no_key=True).get(pk=application_id)
        before = settings_of(application)
        after = {
            "stores_refresh_tokens": stores_refresh_tokens,
            "allowed_portals": portals,
            "refreshed_by": refreshed_by or application.refreshed_by,
            "approval_policy": approval_policy or application.approval_policy,
        }
        if before == after:
            return False
        check_seen(seen, before, said("The application %(app_id)s", app_id=application.app_id))
        check_refresher(str(after["refreshed_by"]), stores_refresh_tokens=stores_refresh_tokens)
        if before["approval_policy"] != after["approval_policy"]:
            actor.require("installations.approve_scopes")
        application.stores_refresh_tokens = stores_refresh_tokens
        application.allowed_portals = portals
        application.refreshed_by = str(after["refreshed_by"])
        application.approval_policy = str(after["approval_policy"])
        application.save(update_fields=["stores_refresh_tokens", "allowed_portals", "refreshed_by", "approval_policy"])
        wiped = 0
        wipes = before["stores_refresh_tokens"] and (
            not stores_refresh_tokens or before["refreshed_by"] != after["refreshed_by"]
        )
        if wipes or (portals and portals != before["allowed_portals"]):
            # A hand-over or a handshake that read the old settings holds its installation: wait for it.
            live = Installation.objects.filter(application=application).select_for_update(no_key=True).order_by("pk")
            if not wipes:
                live = live.exclude(portal__in=Portal.objects.filter(domain__in=portals))
            list(live.values_list("pk", flat=True))
        if wipes:
            wiped = OAuthToken.objects.filter(
                installation__application=application, sealed_refresh_token__isnull=False
            ).update(sealed_refresh_token=None)
        audit.append(
            actor,
            audit.Event(
                "application.configured",
                "application",
                application.app_id,
                reason=why,
                details={"before": before, "after": after, "refresh_tokens_wiped": wiped},
            ),
        )
    return True


def settings_of(application: Application) -> dict[str, object]:
    """Return what can be changed of an application."""
    return {
        "stores_refresh_tokens": application.stores_refresh_tokens,
        "allowed_portals": application.allowed_portals,
        "refreshed_by": application.refreshed_by,
        "approval_policy": application.approval_policy,
    }


# --- Steps of verbs in other modules, inside their transaction --------------------------------------------------


def revoke_of_user_locked(
    installations: Sequence[Installation], portal_user: PortalUser, actor: Actor, reason: str
) -> tuple[int, list[audit.Event]]:
    """Revoke every live token of a user on installations that the caller has locked.

    Returns how many were cut and the events, for the caller to append last of all.
    """
    cut, events, asked = 0, [], timezone.now()
    for installation in installations:
        target = RevocationTarget.of_portal_user(portal_user.pk, installation_id=installation.pk)
        result, event = revoke_locked(Order(target, names_of(target), actor, reason, asked))
        cut += result.tokens_cut
        if event:
            events.append(event)
    return cut, events


def revoke_foreign_locked(installation: Installation, token: OAuthToken) -> list[audit.Event]:
    """Revoke a pair that turned out to be another user's; returns what to record. Holds the installation's lock."""
    reason = "A refresh brought a token of another user."
    target = RevocationTarget.of_token(token.pk)
    _cut, event = revoke_locked(Order(target, names_of(target), system_actor(), reason, timezone.now()))
    return [event] if event else []


def _locked(installation_id: int) -> Installation:
    installation = Installation.objects.select_for_update(no_key=True).filter(pk=installation_id).first()
    if installation is None:
        raise StateConflict(said("There is no such installation."))
    return installation


def check_refresher(refreshed_by: str, *, stores_refresh_tokens: bool) -> None:
    """Return when an application can be refreshed that way; raises InvalidRequest saying what is missing."""
    if refreshed_by not in Application.RefreshedBy.values:
        raise InvalidRequest(
            said("Choose who refreshes."), fields={"refreshed_by": said("is neither frontend nor server")}
        )
    if refreshed_by != Application.RefreshedBy.SERVER:
        return
    if not can_refresh():
        text = said(
            "Set FLOWLU_TOKEN_URL, FLOWLU_CLIENT_ID and FLOWLU_CLIENT_SECRET first: without them it cannot refresh."
        )
        raise InvalidRequest(said("This service cannot refresh."), fields={"refreshed_by": text})
    if not stores_refresh_tokens:
        text = said("Keep refresh tokens as well: the service can refresh only what it keeps.")
        raise InvalidRequest(said("This service cannot refresh."), fields={"refreshed_by": text})


def _normalised(portals: Sequence[str]) -> list[str]:
    found, wrong = set(), {}
    for portal in portals:
        try:
            found.add(normalise_portal(portal, settings.FLOWLU_PORTAL_SUFFIXES))
        except PortalNotAllowed as error:
            wrong[portal[:100]] = error.public_message
    if wrong:
        raise InvalidRequest(said("These are not portals that can be used."), fields=wrong)
    return sorted(found)
