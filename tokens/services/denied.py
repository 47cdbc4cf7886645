"""The verb that cuts what is on the deny list and lives all the same: stored beside the revocation that denied it.

A launch holds its own installation only. The very same token can so be stored in one of ours while it is revoked in
another: the hot path refuses it, and nothing may bring it back (docs/adr/0010).
"""

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from installations import audit
from installations.actors import system_actor
from tokens.models import OAuthToken, Revocation, RevokedFingerprint
from tokens.services.cutting import cut_beside_locked, lock_places
from tokens.targets import RevocationTarget

REASON = "The same token was revoked elsewhere."


def denial_of(token: OAuthToken) -> RevokedFingerprint | None:
    """Return why what the row holds is refused, if it is on the deny list. One statement."""
    prints = [digest for digest in (token.access_fingerprint, token.refresh_fingerprint) if digest]
    return RevokedFingerprint.objects.filter(fingerprint__in=prints).select_related("revocation").order_by("pk").first()


def on_deny_list() -> Q:
    """Return the condition on a token that something of what it holds is on the deny list."""
    denied = RevokedFingerprint.objects.all()
    return Q(Exists(denied.filter(fingerprint=OuterRef("access_fingerprint")))) | Q(
        Exists(denied.filter(fingerprint=OuterRef("refresh_fingerprint")))
    )


def cut_denied(*, token_id: int) -> int:
    """Cut a live token that is on the deny list, under the revocation that put it there; returns how many were cut.

    Any number of workers may ask at once, and again: what is revoked or not denied is left as it is.
    """
    denial = denial_of(OAuthToken.objects.only("access_fingerprint", "refresh_fingerprint").get(pk=token_id))
    if denial is None:
        return 0
    target = RevocationTarget.of_token(token_id)
    with transaction.atomic(durable=True):
        # The ledger row before the places, as a run in batches holds them.
        revocation = Revocation.objects.select_for_update(no_key=True).get(pk=denial.revocation_id)
        lock_places(target)
        token = OAuthToken.objects.select_for_update(no_key=True).get(pk=token_id)
        again = denial_of(token)
        if token.state == OAuthToken.State.REVOKED or again is None or again.revocation_id != revocation.pk:
            return 0
        cut = cut_beside_locked(revocation, target, timezone.now())
        details = {
            "revocation": revocation.pk,
            "scope": revocation.scope,
            "tokens_cut": cut,
            "in_all": revocation.tokens_cut,
            "done": revocation.state == Revocation.State.DONE,
        }
        event = audit.Event("tokens.revoked", "token", str(token_id), token.installation_id, REASON, details)
        audit.append(system_actor(), event)
    return cut
