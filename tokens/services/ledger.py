"""Facts of the ledger that come after the cut: the probe, the portal administrator's step, tokens handed in again."""

import logging
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason, system_actor
from installations.errors import DomainError, StateConflict, TokenRevoked
from installations.said import said
from tokens import selectors, vault
from tokens.access import check_usable
from tokens.models import EmbedSession, Revocation, RevokedFingerprint

# A token that is tried again and again is one event an hour; the ledger counts each time.
REPORT_EVERY: Final = timedelta(hours=1)

logger = logging.getLogger(__name__)


def probe_revocation(revocation_id: int) -> None:
    """Ask, as a call would, for a session that lived on what was cut, and record what the answer was.

    The very statement of a call, in a transaction of its own, after the commit. No secret is kept for it.
    """
    session_id = (
        EmbedSession.objects.open()
        .filter(oauth_token__revocation=revocation_id)
        .order_by("-last_used_at", "-pk")
        .values_list("pk", flat=True)
        .first()
    )
    caller = selectors.caller_of_session(session_id) if session_id is not None else None
    found = Revocation.Probe.NO_SESSION
    if caller is not None:
        found = Revocation.Probe.LET_IN
        try:
            check_usable(caller)
        except TokenRevoked:
            found = Revocation.Probe.REFUSED
        except DomainError:
            pass  # refused for another reason, so not by this cut
    Revocation.objects.filter(pk=revocation_id, probe="").update(probe=found, probed_at=timezone.now())
    if found == Revocation.Probe.LET_IN:
        logger.error("Revocation #%d is committed, and session #%s on what it cut is let in", revocation_id, session_id)


def record_portal_step(*, revocation_id: int, actor: Actor, note: str) -> bool:
    """Record that the portal's administrator took the access away at Flowlu. Returns whether it changed anything.

    Raises NotPermitted, ReasonRequired for a missing note, StateConflict when there is no such revocation.
    """
    actor.require("tokens.revoke_oauthtoken")
    what = clean_reason(note)
    with transaction.atomic(durable=True):
        row = Revocation.objects.select_for_update(no_key=True).filter(pk=revocation_id).first()
        if row is None:
            raise StateConflict(said("There is no such revocation."))
        if row.portal_step == Revocation.PortalStep.DONE:
            return False
        row.portal_step = Revocation.PortalStep.DONE
        row.portal_step_at = timezone.now()
        row.portal_step_by = actor.name or actor.id
        row.portal_step_note = what
        row.save(update_fields=["portal_step", "portal_step_at", "portal_step_by", "portal_step_note"])
        audit.append(
            actor,
            audit.Event("revocation.portal_step_done", "revocation", str(row.pk), row.installation_id, what),
        )
    return True


def note_handed_in_again(portal: str, *secrets: str | None) -> None:
    """Record that somebody handed in a token that is on the deny list. None of them on it: nothing to record.

    Counts it on the ledger row of the revocation, and appends an event for each fingerprint at most once an hour.
    """
    prints = list(
        RevokedFingerprint.objects.filter(fingerprint__in=vault.digests_of(*secrets))
        .order_by("pk")
        .values_list("pk", "fingerprint", "revocation_id", "revocation__installation_id")
    )
    if not prints:
        return
    now = timezone.now()
    with transaction.atomic(durable=True):
        for revocation_id in sorted({row[2] for row in prints}):
            Revocation.objects.filter(pk=revocation_id).update(
                handed_in_again=F("handed_in_again") + 1, handed_in_again_at=now
            )
        due = Q(reported_at__isnull=True) | Q(reported_at__lt=now - REPORT_EVERY)
        events = [
            audit.Event(
                "token.handed_in_again",
                "revocation",
                str(revocation_id),
                installation_id,
                details={"fingerprint": digest[:8], "portal": portal},
            )
            for pk, digest, revocation_id, installation_id in prints
            if RevokedFingerprint.objects.filter(due, pk=pk).update(reported_at=now)
        ]
        audit.append(system_actor(), *events)
