"""Verbs that cut: revoke tokens, uninstall an installation, change what an application may keep.

Each is set-based, holds the installation's lock and puts every fingerprint it cuts on the deny list in the same
transaction, so that a token can be stored before a revocation or refused after it, never slip through beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason, portal_user_actor, system_actor
from installations.errors import InvalidRequest, PortalNotAllowed, StateConflict
from installations.flowlu.configured import can_refresh
from installations.models import Application, Installation, PortalUser
from installations.portals import normalise_portal
from installations.services import mark_uninstalled_locked, public_id
from tokens import selectors, vault
from tokens.access import Caller
from tokens.models import OAuthToken, Revocation, RevokedFingerprint
from tokens.services.upstream import enqueue_upstream_locked

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class RevocationResult:
    tokens_cut: int
    revocation: Revocation | None  # None: there was nothing left to revoke


def revoke_tokens(
    *,
    installation_id: int,
    actor: Actor,
    reason: str,
    portal_user: PortalUser | None = None,
    token: OAuthToken | None = None,
) -> RevocationResult:
    """Revoke all live tokens of an installation, or of one user, or one token in it (RFC 7009: stop using now).

    From the commit on no call starts with them; the secrets are wiped, a tombstone stays, and handing one of them in
    again is refused. Nothing left to revoke is success and records nothing.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such installation.
    """
    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        installation = _locked(installation_id)
        cut, event = _revoke_locked(installation, actor, why, portal_user=portal_user, token=token)
        if event:
            audit.append(actor, event)
    return cut


def revoke_own_token(*, caller: Caller) -> RevocationResult:
    """Revoke what the caller's session lives on, as the user asked. Other tokens of the user are left alone."""
    actor = portal_user_actor(caller.portal, caller.flowlu_user_id)
    with transaction.atomic(durable=True):
        installation = _locked(caller.installation_id)
        # The lineage may have moved since the session was read: a hand-over holds the same lock.
        token = OAuthToken.objects.get(sessions__pk=caller.session_id)
        cut, event = _revoke_locked(installation, actor, "Revoked by the user.", token=token)
        if event:
            audit.append(actor, event)
    return cut


def uninstall_installation(*, installation_id: int, actor: Actor, reason: str) -> RevocationResult | None:
    """Record that an installation is gone and revoke everything of it. Returns None when it already was.

    Its sessions are told `token_revoked`. A later launch makes the next generation, with nothing approved.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such installation.
    """
    actor.require("installations.uninstall_installation")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        installation = _locked(installation_id)
        if installation.status == Installation.Status.UNINSTALLED:
            return None
        before = installation.status
        cut, event = _revoke_locked(installation, actor, why)
        mark_uninstalled_locked(installation)
        uninstalled = audit.Event(
            "installation.uninstalled",
            "installation",
            str(installation.pk),
            installation.pk,
            why,
            {"from": before, "tokens_cut": cut.tokens_cut},
        )
        audit.append(actor, *([event, uninstalled] if event else [uninstalled]))
    return cut


def configure_application(
    *,
    application_id: int,
    stores_refresh_tokens: bool,
    allowed_portals: Sequence[str],
    actor: Actor,
    reason: str,
    refreshed_by: str | None = None,
) -> bool:
    """Change what an application keeps, who refreshes it and where it may be used. Returns whether anything changed.

    Switching refresh tokens off wipes those that are stored, and so does another refresher: no pair has two. A portal
    that is left out opens no new sessions; those that are open end by themselves or by a revocation.

    Raises NotPermitted, ReasonRequired, InvalidRequest naming each portal that is not one, and `refreshed_by` where
    this service cannot refresh. `refreshed_by` None leaves it as it is.
    """
    actor.require("installations.configure_application")
    why = clean_reason(reason)
    portals = _normalised(allowed_portals)
    with transaction.atomic(durable=True):
        application = Application.objects.select_for_update().get(pk=application_id)
        before = {
            "stores_refresh_tokens": application.stores_refresh_tokens,
            "allowed_portals": application.allowed_portals,
            "refreshed_by": application.refreshed_by,
        }
        after = {
            "stores_refresh_tokens": stores_refresh_tokens,
            "allowed_portals": portals,
            "refreshed_by": refreshed_by or application.refreshed_by,
        }
        if before == after:
            return False
        check_refresher(str(after["refreshed_by"]), stores_refresh_tokens=stores_refresh_tokens)
        application.stores_refresh_tokens = stores_refresh_tokens
        application.allowed_portals = portals
        application.refreshed_by = str(after["refreshed_by"])
        application.save(update_fields=["stores_refresh_tokens", "allowed_portals", "refreshed_by"])
        wiped = 0
        if before["stores_refresh_tokens"] and (
            not stores_refresh_tokens or before["refreshed_by"] != after["refreshed_by"]
        ):
            # A hand-over that read the old setting holds its installation: wait for it, then wipe what it kept.
            live = Installation.objects.filter(application=application).select_for_update().order_by("pk")
            list(live.values_list("pk", flat=True))
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


# --- Steps of verbs in other modules, inside their transaction --------------------------------------------------


def revoke_of_user_locked(
    installations: Sequence[Installation], portal_user: PortalUser, actor: Actor, reason: str
) -> tuple[int, list[audit.Event]]:
    """Revoke every live token of a user on installations that the caller has locked.

    Returns how many were cut and the events, for the caller to append last of all.
    """
    cut, events = 0, []
    for installation in installations:
        result, event = _revoke_locked(installation, actor, reason, portal_user=portal_user)
        cut += result.tokens_cut
        if event:
            events.append(event)
    return cut, events


def revoke_foreign_locked(installation: Installation, token: OAuthToken) -> list[audit.Event]:
    """Revoke a pair that turned out to be another user's; returns what to record. Holds the installation's lock."""
    reason = "A refresh brought a token of another user."
    _cut, event = _revoke_locked(installation, system_actor(), reason, token=token)
    return [event] if event else []


def _locked(installation_id: int) -> Installation:
    installation = Installation.objects.select_for_update().filter(pk=installation_id).first()
    if installation is None:
        raise StateConflict("There is no such installation.")
    return installation


def _revoke_locked(
    installation: Installation,
    actor: Actor,
    reason: str,
    *,
    portal_user: PortalUser | None = None,
    token: OAuthToken | None = None,
) -> tuple[RevocationResult, audit.Event | None]:
    cut = selectors.tokens_to_revoke(installation, portal_user=portal_user, token=token)
    rows = list(
        cut.select_for_update()
        .order_by("pk")
        .values_list(
            "uuid",
            "sealed_access_token",
            "sealed_refresh_token",
            "access_fingerprint",
            "refresh_fingerprint",
            "fingerprint_key_id",
        )
    )
    if not rows:
        return RevocationResult(0, None), None
    now = timezone.now()
    scope = (
        Revocation.Scope.TOKEN
        if token
        else (Revocation.Scope.PORTAL_USER if portal_user else Revocation.Scope.INSTALLATION)
    )
    revocation = Revocation.objects.create(
        scope=scope,
        installation=installation,
        actor_name=actor.name or actor.id,
        reason=reason,
        cut_at=now,
        tokens_cut=len(rows),
        possibly_alive_until=_latest_expiry(cut),
    )
    RevokedFingerprint.objects.bulk_create(
        (
            RevokedFingerprint(
                fingerprint=denied.digest, fingerprint_key_id=denied.key_id, revocation=revocation, revoked_at=now
            )
            for uuid, access, refresh, access_print, refresh_print, key_id in rows
            for denied in vault.fingerprints_to_deny(
                vault.StoredSecrets(str(uuid), access, refresh, access_print, refresh_print, key_id)
            )
        ),
        batch_size=_BATCH,
        ignore_conflicts=True,
    )
    enqueue_upstream_locked(revocation, cut)
    cut.update(
        state=OAuthToken.State.REVOKED,
        revoked_at=now,
        revocation=revocation,
        sealed_access_token=None,
        sealed_refresh_token=None,
        seal_key_id="",
    )
    event = audit.Event(
        "tokens.revoked",
        "portaluser" if portal_user else "token" if token else "installation",
        public_id(portal_user) if portal_user else str((token or installation).pk),
        installation.pk,
        reason,
        {"revocation": revocation.pk, "scope": scope.value, "tokens_cut": len(rows)},
    )
    return RevocationResult(len(rows), revocation), event


def _latest_expiry(cut: QuerySet[OAuthToken]) -> datetime | None:
    """Return when the last of the tokens expires at Flowlu, or None when that is unknown for any of them."""
    if cut.filter(expires_at__isnull=True).exists():
        return None
    latest: datetime | None = cut.aggregate(latest=Max("expires_at"))["latest"]
    return latest


def check_refresher(refreshed_by: str, *, stores_refresh_tokens: bool) -> None:
    """Return when an application can be refreshed that way; raises InvalidRequest saying what is missing."""
    if refreshed_by not in Application.RefreshedBy.values:
        raise InvalidRequest("Choose who refreshes.", fields={"refreshed_by": "is neither frontend nor server"})
    if refreshed_by != Application.RefreshedBy.SERVER:
        return
    if not can_refresh():
        text = "Set FLOWLU_TOKEN_URL, FLOWLU_CLIENT_ID and FLOWLU_CLIENT_SECRET first: without them it cannot refresh."
        raise InvalidRequest("This service cannot refresh.", fields={"refreshed_by": text})
    if not stores_refresh_tokens:
        text = "Keep refresh tokens as well: the service can refresh only what it keeps."
        raise InvalidRequest("This service cannot refresh.", fields={"refreshed_by": text})


def _normalised(portals: Sequence[str]) -> list[str]:
    found, wrong = set(), {}
    for portal in portals:
        try:
            found.add(normalise_portal(portal, settings.FLOWLU_PORTAL_SUFFIXES))
        except PortalNotAllowed as error:
            wrong[portal[:100]] = error.public_message
    if wrong:
        raise InvalidRequest("These are not portals that can be used.", fields=wrong)
    return sorted(found)
