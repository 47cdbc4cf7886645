"""Steps that every way of taking a pair in goes through: a launch, a hand-over, moving one in from another store.

Flowlu says whose the pair is, outside every transaction. What may have changed while it was asked is read again behind
the installation's lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from installations import audit
from installations.errors import (
    InstallationLocked,
    InstallationSuspended,
    InvalidToken,
    PortalUnreached,
    TokenRevoked,
    TokenStale,
    UserLocked,
)
from installations.flowlu.client import FlowluUser
from installations.flowlu.configured import flowlu_client
from installations.models import Application, Installation, Portal, PortalUser
from tokens import selectors, upstream_times
from tokens.models import OAuthToken
from tokens.services.ledger import note_handed_in_again
from tokens.services.storing import Pair


@contextmanager
def reporting_denied(portal: str, pair: Pair) -> Iterator[None]:
    """Record a refused pair that is on the deny list, outside the transaction that the refusal took back."""
    try:
        yield
    except TokenRevoked:
        note_handed_in_again(portal, pair.access_token, pair.refresh_token)
        raise


def prove_owner(portal: str, pair: Pair) -> FlowluUser:
    """Return whose the pair is, as the portal says to the access token itself; raises InvalidToken."""
    try:
        return flowlu_client().current_user(portal, pair.access_token)
    except TokenStale:
        raise InvalidToken from None
    except PortalUnreached:
        upstream_times.note_not_asked()
        raise


def check_open(application: Application, portal: Portal | None) -> None:
    """Return when nothing that exists already forbids to ask Flowlu; raises InstallationLocked or -Suspended."""
    installation = (
        Installation.objects.live().filter(portal=portal, application=application).first() if portal else None
    )
    locked = (application, portal, installation)
    if any(row is not None and row.locked_at is not None for row in locked):
        raise InstallationLocked
    if installation is not None and installation.status == Installation.Status.SUSPENDED:
        raise InstallationSuspended


def recheck_locked(installation: Installation, portal_user: PortalUser, pair: Pair) -> None:
    """Read again, in the documented order, what may have changed while Flowlu was asked."""
    if selectors.is_revoked(pair.access_token, pair.refresh_token):
        raise TokenRevoked
    if portal_user.locked_at is not None:
        raise UserLocked
    locks = Installation.objects.filter(pk=installation.pk).values_list(
        "locked_at", "portal__locked_at", "application__locked_at"
    )
    if any(locks.get()):
        raise InstallationLocked
    if installation.status == Installation.Status.SUSPENDED:
        raise InstallationSuspended


def token_event(verb: str, token: OAuthToken, reason: str = "") -> audit.Event:
    """Return the event that says which pair was taken in, and nothing of it."""
    return audit.Event(
        verb,
        "token",
        str(token.pk),
        token.installation_id,
        reason,
        {
            "portal_user": token.portal_user_id,
            "generation": token.generation,
            "fingerprint": token.access_fingerprint[:8],
            "with_refresh_token": token.sealed_refresh_token is not None,
        },
    )
