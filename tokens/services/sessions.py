"""Verbs of the current portal user: open and end a session, hand over a refreshed pair, note a stale one.

Flowlu is asked outside every transaction. What it said is acted on only after locks, revocations and the state of the
installation were read again behind the installation's lock.
"""

import logging
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from installations import audit, evidence
from installations.actors import portal_user_actor, system_actor
from installations.errors import ApplicationUnknown, InvalidSession, PortalNotAllowed, TokenRevoked, UserMismatch
from installations.liveness import Kind
from installations.models import Application, Installation, Portal, PortalUser
from installations.portals import normalise_portal
from installations.services import record_launch_locked
from tokens import selectors
from tokens.access import Caller, check_origin, check_usable
from tokens.models import EmbedSession, OAuthToken
from tokens.services.admitting import check_open, prove_owner, recheck_locked, reporting_denied, token_event
from tokens.services.storing import Pair, holds_already, store_pair_locked

SESSION_TOKEN_BYTES = 32

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a frontend says about itself when it opens a session, and the origin that its browser says it is on.

    Hints, all but portal, application id and origin.
    """

    portal: str
    app_id: str
    app_version: str = ""
    integration_point: str = ""
    origin: str | None = None  # of the page, where that is not this service's own


@dataclass(frozen=True, slots=True)
class OpenedSession:
    session_token: str = field(repr=False)
    session: EmbedSession


def open_session(*, launch: Launch, pair: Pair) -> OpenedSession:
    """Open a session for the holder of an access token, who is whom Flowlu says on that portal.

    Nothing is recorded about a portal, user or installation before the token is proven there. The session token is
    in the result and nowhere else.

    Raises PortalNotAllowed, ApplicationUnknown, OriginNotAllowed, TokenRevoked, InstallationLocked,
    InstallationSuspended, UserLocked, InvalidToken, and what the adapter raises when Flowlu cannot be asked.
    """
    portal = normalise_portal(launch.portal, settings.FLOWLU_PORTAL_SUFFIXES)
    with reporting_denied(portal, pair):
        return _open_session(portal, launch, pair)


def _open_session(portal: str, launch: Launch, pair: Pair) -> OpenedSession:
    application = Application.objects.filter(app_id=launch.app_id, current_manifest__isnull=False).first()
    if application is None:
        raise ApplicationUnknown
    _check_takes(application, portal, launch.origin)
    if selectors.is_revoked(pair.access_token, pair.refresh_token):
        raise TokenRevoked
    # A lock holds for this call to Flowlu as for any other.
    check_open(application, Portal.objects.filter(domain=portal).first())
    user = prove_owner(portal, pair)
    with transaction.atomic(durable=True):
        record = record_launch_locked(
            portal=portal,
            application=application,
            flowlu_user_id=user.id,
            user_name=user.name,
            is_portal_admin=user.is_portal_admin,
            reported_version=launch.app_version,
            integration_point=launch.integration_point,
        )
        installation, portal_user = record.installation, record.portal_user
        # Only here: a session that is open on a portal that was left out since goes on, and takes refreshed pairs.
        application.refresh_from_db(fields=["allowed_portals", "allowed_origins"])
        _check_takes(application, portal, launch.origin)
        recheck_locked(installation, portal_user, pair)
        stored = store_pair_locked(installation, portal_user, pair)
        session_token = secrets.token_urlsafe(SESSION_TOKEN_BYTES)
        now = timezone.now()
        session = EmbedSession.objects.create(
            token_hash=selectors.hash_session_token(session_token),
            oauth_token=stored.token,
            created_at=now,
            last_used_at=now,
            expires_at=now + timedelta(seconds=settings.EMBED_SESSION_MAX),
        )
        events = list(record.events)
        if stored.is_new:
            events.append(token_event("token.stored", stored.token))
        audit.append(portal_user_actor(portal, user.id), *events)
    return OpenedSession(session_token, session)


def hand_over_token(*, caller: Caller, pair: Pair) -> None:
    """Replace the session's own pair by the one that the SDK just refreshed.

    A session whose token was revoked takes no new one: revoking beats refreshing.

    Raises TokenRevoked, UserLocked, InstallationLocked, InstallationSuspended, InvalidToken, UserMismatch,
    InvalidSession when the session ended meanwhile, and what the adapter raises.
    """
    with reporting_denied(caller.portal, pair):
        _hand_over_token(caller, pair)


def _hand_over_token(caller: Caller, pair: Pair) -> None:
    check_usable(caller)
    if selectors.is_revoked(pair.access_token, pair.refresh_token):
        raise TokenRevoked
    user = prove_owner(caller.portal, pair)
    if user.id != caller.flowlu_user_id:
        raise UserMismatch
    with transaction.atomic(durable=True):
        installation = Installation.objects.select_for_update(no_key=True).get(pk=caller.installation_id)
        if installation.status == Installation.Status.UNINSTALLED:
            raise TokenRevoked
        portal_user = PortalUser.objects.select_for_update(no_key=True).get(pk=caller.portal_user_id)
        session = EmbedSession.objects.select_for_update(no_key=True).get(pk=caller.session_id)
        if session.ended_at is not None:
            raise InvalidSession
        # Two hand-overs of one session: the second sees which lineage the first left it on.
        own = OAuthToken.objects.select_for_update(no_key=True).get(pk=session.oauth_token_id)
        if own.state == OAuthToken.State.REVOKED:
            raise TokenRevoked
        session.oauth_token = own
        recheck_locked(installation, portal_user, pair)
        if holds_already(own, pair):
            return  # once more the same: no event, or a page could fill the trail with them
        stored = store_pair_locked(installation, portal_user, pair, own=session)
        evidence.observe_locked(installation, Kind.HAND_OVER)
        audit.append(portal_user_actor(caller.portal, user.id), token_event("token.handed_over", stored.token))


def end_session(*, caller: Caller) -> None:
    """End the session. Its token stays for other sessions of it; ending twice is the same as once."""
    EmbedSession.objects.filter(pk=caller.session_id, ended_at__isnull=True).update(ended_at=timezone.now())


def note_stale_token(*, token_id: int, generation: int) -> None:
    """Mark the pair that Flowlu refused as stale and wipe its access token.

    Only if it is still that pair: one that was handed over in between is left alone.
    """
    OAuthToken.objects.filter(pk=token_id, generation=generation, state=OAuthToken.State.ACTIVE).update(
        state=OAuthToken.State.STALE, stale_at=timezone.now(), sealed_access_token=None
    )


def note_undecryptable_token(*, caller: Caller, reason: str, key_id: str | None) -> None:
    """Mark the pair of the caller's session, which does not unseal, as stale, and alert."""
    note_undecryptable(
        token_id=caller.token_id,
        generation=caller.token_generation,
        installation_id=caller.installation_id,
        reason=reason,
        key_id=key_id,
    )


def note_undecryptable(
    *, token_id: int, generation: int, installation_id: int | None, reason: str, key_id: str | None
) -> None:
    """Mark a pair that does not unseal as stale, keep the ciphertext for whoever mends the keys, and alert."""
    with transaction.atomic(durable=True):
        changed = OAuthToken.objects.filter(pk=token_id, generation=generation, state=OAuthToken.State.ACTIVE).update(
            state=OAuthToken.State.STALE, stale_at=timezone.now()
        )
        if not changed:
            return
        audit.append(
            system_actor(),
            audit.Event(
                "token.undecryptable",
                "token",
                str(token_id),
                installation_id,
                details={"reason": reason, "key_id": key_id},
            ),
        )
    logger.error("Token #%d does not unseal: %s, key id %s", token_id, reason, key_id)


def _check_takes(application: Application, portal: str, origin: str | None) -> None:
    check_origin(application.allowed_origins, origin)
    if application.allowed_portals and portal not in application.allowed_portals:
        raise PortalNotAllowed
