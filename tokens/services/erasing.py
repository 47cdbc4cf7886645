"""Erase a portal user: the name goes, the tokens are cut, the sessions end. The audit trail has ids only and stays."""

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason
from installations.errors import StateConflict
from installations.models import Installation, Portal, PortalUser
from installations.said import said
from installations.services import public_id
from tokens.models import EmbedSession
from tokens.services.revocation import revoke_of_user_locked


@dataclass(frozen=True, slots=True)
class Erasure:
    tokens_cut: int
    sessions_ended: int


def erase_portal_user(*, portal_user_id: int, actor: Actor, reason: str) -> Erasure | None:
    """Remove what is known of a person but their Flowlu id. Returns None when there is nothing left to remove.

    Every stored token of theirs is revoked and every session ended in the same transaction. A lock stays. A later
    visit is a new one: it is recorded with the name that Flowlu says then, unless the user is locked.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such user.
    """
    actor.require("installations.erase_portaluser")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        portal_id = PortalUser.objects.filter(pk=portal_user_id).values_list("portal", flat=True).first()
        if portal_id is None:
            raise StateConflict(said("There is no such portal user."))
        # A first launch makes an installation and a token: held by the portal, it ends before or begins after.
        Portal.objects.select_for_update(no_key=True).get(pk=portal_id)
        held = list(Installation.objects.filter(portal=portal_id).select_for_update(no_key=True).order_by("pk"))
        user = PortalUser.objects.select_for_update(no_key=True).get(pk=portal_user_id)
        sessions = EmbedSession.objects.filter(oauth_token__portal_user=user, ended_at__isnull=True)
        ended = sessions.update(ended_at=timezone.now())
        cut, events = revoke_of_user_locked(held, user, actor, why)
        if user.erased_at is not None and not (cut or ended):
            return None
        user.name, user.is_portal_admin, user.erased_at = "", False, timezone.now()
        user.save(update_fields=["name", "is_portal_admin", "erased_at"])
        details = {"tokens_cut": cut, "sessions_ended": ended}
        audit.append(
            actor,
            *events,
            audit.Event("portaluser.erased", "portaluser", public_id(user), reason=why, details=details),
        )
    return Erasure(cut, ended)
