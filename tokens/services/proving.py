"""The verb that lets a refreshed pair be used: after Flowlu said, for that very token, that it is the same user's.

Only the answer of core/user/get is identity (rule 2), also for what a token endpoint returned.
"""

import logging

from django.db import transaction
from django.utils import timezone

from installations import audit
from installations.actors import system_actor
from installations.errors import TokenStale
from installations.flowlu.configured import flowlu_client
from installations.models import Installation
from tokens import vault
from tokens.errors import UnsealFailed
from tokens.models import OAuthToken, RefreshAttempt
from tokens.services.revocation import revoke_foreign_locked
from tokens.services.storing import make_room_locked

logger = logging.getLogger(__name__)


def prove_pair(*, token_id: int, generation: int) -> bool:
    """Ask Flowlu whose the refreshed pair is and let it be used; returns whether it may be.

    Another user's is revoked at once, with an alert. Asking twice does no harm. Raises what the adapter raises when
    Flowlu cannot be asked: then the pair waits for the next try.
    """
    token = (
        OAuthToken.objects.select_related("installation__portal", "installation__application", "portal_user")
        .filter(pk=token_id, generation=generation, needs_proof=True, state=OAuthToken.State.STALE)
        .first()
    )
    if token is None or token.sealed_access_token is None or not is_open(token):
        return False
    try:
        access_token = vault.unseal_access_token(str(token.uuid), token.sealed_access_token)
        user = flowlu_client().current_user(token.installation.portal.domain, access_token)
    except UnsealFailed as error:
        # No proof will come, so none is waited for; the ciphertext is kept for whoever mends the keys.
        OAuthToken.objects.filter(pk=token_id, generation=generation).update(needs_proof=False)
        logger.error("Token #%d does not unseal: %s", token_id, error.reason)
        return False
    except TokenStale:
        return _refused(token)
    with transaction.atomic(durable=True):
        installation = Installation.objects.select_for_update(no_key=True).get(pk=token.installation_id)
        row = OAuthToken.objects.select_for_update(no_key=True).get(pk=token_id)
        if row.generation != generation or row.state != OAuthToken.State.STALE or not row.needs_proof:
            return row.generation == generation and row.state == OAuthToken.State.ACTIVE
        if user.id != token.portal_user.flowlu_user_id:
            _end(token, "user_mismatch")
            event = revoke_foreign_locked(installation, row)
            logger.error("Token #%d was refreshed into a token of another user. It is revoked.", token_id)
            audit.append(system_actor(), *event)
            return False
        make_room_locked(installation, token.portal_user)
        row.state, row.stale_at, row.needs_proof = OAuthToken.State.ACTIVE, None, False
        row.save(update_fields=["state", "stale_at", "needs_proof"])
    return True


def is_open(token: OAuthToken) -> bool:
    """Return whether anything may be sent for this token: its installation is active, and nothing is locked."""
    installation = token.installation
    locked = (installation.portal, installation.application, installation, token.portal_user)
    return installation.status == Installation.Status.ACTIVE and not any(row.locked_at for row in locked)


def _refused(token: OAuthToken) -> bool:
    """Wipe a fresh pair that Flowlu does not take: refreshing again would only go round in circles."""
    with transaction.atomic(durable=True):
        row = OAuthToken.objects.select_for_update(no_key=True).get(pk=token.pk)
        if row.generation == token.generation and row.needs_proof and row.state == OAuthToken.State.STALE:
            row.needs_proof, row.stale_at = False, timezone.now()
            row.sealed_access_token = row.sealed_refresh_token = None
            row.save(update_fields=["needs_proof", "stale_at", "sealed_access_token", "sealed_refresh_token"])
            _end(token, "refused_when_proven")
    return False


def _end(token: OAuthToken, code: str) -> None:
    made_it = RefreshAttempt.objects.filter(
        oauth_token=token, generation=token.generation - 1, outcome=RefreshAttempt.Outcome.FRESH
    )
    made_it.update(outcome=RefreshAttempt.Outcome.PERMANENT, error=code)
