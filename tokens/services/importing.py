"""Verbs that move in what another store held: the pair of a portal's user, the API key of a portal.

An operator vouches for the place, which has to be known and approved here already. Whose a pair is, Flowlu alone says,
as at every launch (docs/adr/0042).
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.db import transaction

from installations import audit
from installations.actors import Actor, clean_reason
from installations.errors import (
    ApplicationUnknown,
    InvalidRequest,
    PortalNotAllowed,
    StateConflict,
    TokenRevoked,
    UserLocked,
    UserMismatch,
)
from installations.models import Application, Installation, PortalUser
from installations.portals import normalise_portal
from installations.said import said
from tokens import backend_reads, selectors, vault
from tokens.models import ApiKey, OAuthToken, ReplacedFingerprint
from tokens.services.admitting import check_open, prove_owner, recheck_locked, reporting_denied, token_event
from tokens.services.api_keys import KeyText, add_api_key, parse_scopes
from tokens.services.storing import MAX_LIVE_TOKENS, Pair, holds_already, is_spent, store_pair_locked


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said to belong: an application on a portal."""

    portal: str
    app_id: str


class Outcome(StrEnum):
    STORED = "stored"
    HERE = "here"  # already: nothing was changed
    REPLACED = "replaced"  # was here, and a newer pair took its place: nothing was changed


@dataclass(frozen=True, slots=True)
class Imported:
    outcome: Outcome
    row: OAuthToken | ApiKey
    without_refresh_token: bool = False


def import_pair(
    *, place: Place, flowlu_user_id: str, pair: Pair, actor: Actor, reason: str, dry_run: bool = False
) -> Imported:
    """Seal the pair of a portal's user, after Flowlu said to it that it is this user's, and open no session.

    The user is recorded with the name that Flowlu says, where they are new here; one who is known is left as they are.
    No stored pair makes room for it. A pair that is here already, or was and has been replaced, changes nothing, and
    Flowlu is not asked. A dry run does all of it, asks Flowlu too, and takes back what it wrote.

    Raises NotPermitted, ReasonRequired, PortalNotAllowed, ApplicationUnknown, StateConflict where something has to be
    done first, InstallationLocked, InstallationSuspended, UserLocked, TokenRevoked, InvalidToken, UserMismatch, and
    what the adapter raises when Flowlu cannot be asked.
    """
    actor.require("tokens.import_oauthtoken")
    why = clean_reason(reason)
    installation = _open_installation(place)
    portal = installation.portal.domain
    with nullcontext() if dry_run else reporting_denied(portal, pair):
        if selectors.is_revoked(pair.access_token, pair.refresh_token):
            raise TokenRevoked
        _check_user(PortalUser.objects.filter(portal=installation.portal, flowlu_user_id=flowlu_user_id).first())
        kept = _to_keep(installation.application, pair)
        if known := _known(installation, flowlu_user_id, kept):
            return known
        _check_elsewhere(installation, pair)
        if not backend_reads.any_purpose_acts_as_users():
            raise StateConflict(
                said("No purpose that is on acts as users, so that the pair would be wiped again. Declare one first.")
            )
        user = prove_owner(portal, pair)
        if user.id != flowlu_user_id:
            raise UserMismatch
        with transaction.atomic(durable=True):
            installation = _again_locked(installation.pk)
            portal_user, _ = PortalUser.objects.get_or_create(
                portal=installation.portal,
                flowlu_user_id=user.id,
                defaults={"name": user.name, "is_portal_admin": user.is_portal_admin},
            )
            portal_user = PortalUser.objects.select_for_update(no_key=True).get(pk=portal_user.pk)
            recheck_locked(installation, portal_user, pair)
            _check_user(portal_user)
            if known := _known(installation, user.id, kept):
                return known
            # Both hold the user's row: whoever moves the same token in for another application comes before or after.
            _check_elsewhere(installation, pair)
            _check_room_locked(installation, portal_user, kept)
            token = store_pair_locked(installation, portal_user, kept).token
            audit.append(actor, token_event("token.imported", token, why))
            if dry_run:
                transaction.set_rollback(True)
    return Imported(Outcome.STORED, token, bool(pair.refresh_token) and token.sealed_refresh_token is None)


def import_api_key(
    *,
    place: Place,
    label: str,
    key: KeyText,
    scope_texts: Sequence[str],
    purpose_codes: Sequence[str],
    expires_at: datetime | None,
    actor: Actor,
    reason: str,
    dry_run: bool = False,
) -> Imported:
    """Seal an API key as `add_api_key` does; one that this installation has already is left as it is.

    No refusal repeats a scope or purpose that is not known: it may be anything that stood in the wrong column.

    Raises NotPermitted, PortalNotAllowed, ApplicationUnknown, and what `add_api_key` raises.
    """
    actor.require("tokens.import_oauthtoken")
    actor.require("tokens.manage_apikey")
    clean_reason(reason)
    installation = _installation(place)
    here = (
        ApiKey.objects.active().filter(installation=installation, fingerprint__in=vault.digests_of(key.value)).first()
    )
    if here is not None:
        return Imported(Outcome.HERE, here)
    fields = {}
    if wrong := [number for number, text in enumerate(scope_texts, 1) if parse_scopes([text])[1]]:
        fields["scopes"] = said("not in the catalogue: number %(numbers)s", numbers=_listed(wrong))
    purposes = backend_reads.purposes_by_code(purpose_codes)
    if wrong := [number for number, code in enumerate(purpose_codes, 1) if code not in purposes]:
        fields["purposes"] = said("declared nowhere: number %(numbers)s", numbers=_listed(wrong))
    if fields:
        raise InvalidRequest(fields=fields)
    row = add_api_key(
        installation_id=installation.pk,
        label=label,
        key=key,
        scope_texts=scope_texts,
        purposes=purposes.values(),
        expires_at=expires_at,
        actor=actor,
        reason=reason,
        dry_run=dry_run,
    )
    return Imported(Outcome.STORED, row)


def _installation(place: Place) -> Installation:
    portal = normalise_portal(place.portal, settings.FLOWLU_PORTAL_SUFFIXES)
    application = Application.objects.filter(app_id=place.app_id).first()
    if application is None:
        raise ApplicationUnknown
    live = Installation.objects.live().select_related("portal", "application")
    installation = live.filter(portal__domain=portal, application=application).first()
    if installation is None:
        raise StateConflict(
            said(
                "The application was never opened on this portal, or is uninstalled. Have somebody open it there first."
            )
        )
    return installation


def _open_installation(place: Place) -> Installation:
    installation = _installation(place)
    check_open(installation.application, installation.portal)
    _check_takes(installation)
    return installation


def _again_locked(installation_id: int) -> Installation:
    """Hold the installation and read again what is asked of it before Flowlu is, but for locks."""
    Installation.objects.select_for_update(no_key=True).get(pk=installation_id)
    installation = Installation.objects.select_related("portal", "application").get(pk=installation_id)
    _check_takes(installation)
    return installation


def _check_takes(installation: Installation) -> None:
    allowed = installation.application.allowed_portals
    if allowed and installation.portal.domain not in allowed:
        raise PortalNotAllowed
    if installation.status in (Installation.Status.PENDING_APPROVAL, Installation.Status.UNINSTALLED):
        # A refresh token would not be kept, and nothing could be called.
        raise StateConflict(said("Nothing is approved for the application on this portal. Approve its scopes first."))


def _check_user(user: PortalUser | None) -> None:
    if user is not None and user.locked_at is not None:
        raise UserLocked
    if user is not None and user.erased_at is not None:
        raise StateConflict(said("This user was erased here. Only opening the application brings them back."))


def _to_keep(application: Application, pair: Pair) -> Pair:
    """Return the pair without a refresh token that would not be stored, so that it can be compared with what was."""
    token = pair.refresh_token
    return (
        pair
        if token and application.stores_refresh_tokens and not is_spent(token)
        else replace(pair, refresh_token=None)
    )


def _known(installation: Installation, flowlu_user_id: str, pair: Pair) -> Imported | None:
    mine = OAuthToken.objects.live().filter(installation=installation, portal_user__flowlu_user_id=flowlu_user_id)
    digests = vault.digests_of(pair.access_token)
    row = mine.filter(access_fingerprint__in=digests).first()
    if row is not None and holds_already(row, pair):
        return Imported(Outcome.HERE, row)
    left = ReplacedFingerprint.objects.filter(oauth_token__in=mine, fingerprint__in=digests).first()
    return Imported(Outcome.REPLACED, left.oauth_token) if left is not None and row is None else None


def _check_elsewhere(installation: Installation, pair: Pair) -> None:
    """Refuse a token that another installation has: it was issued to one application, and nothing proves to which."""
    others = OAuthToken.objects.live().exclude(installation=installation)
    if others.filter(access_fingerprint__in=vault.digests_of(pair.access_token)).exists():
        raise StateConflict(said("This token is stored for another application or portal."))


def _check_room_locked(installation: Installation, portal_user: PortalUser, pair: Pair) -> None:
    """Refuse to push out a pair that somebody may be using: one that is moved in is older than all of them."""
    active = OAuthToken.objects.active().filter(installation=installation, portal_user=portal_user)
    others = active.exclude(access_fingerprint__in=vault.digests_of(pair.access_token))
    if others.count() >= MAX_LIVE_TOKENS:
        raise StateConflict(said("The user has %(count)s pairs here, and no more are kept.", count=MAX_LIVE_TOKENS))


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)
