"""Revocations of more tokens than a page cuts at once: they go on in the background, and can be stopped.

The first batch is cut by `revoke_tokens`; a periodic job cuts the others. docs/adr/0036 has the reasons.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from django.db import transaction

from installations import audit
from installations.actors import Actor, clean_reason, system_actor
from installations.errors import StateConflict
from installations.said import said
from installations.seen import check_seen
from tokens.models import Revocation
from tokens.services.revocation import BATCH, cut_next_batch

# A look does no more, so that the jobs behind it have their turn.
LOOK_SECONDS: Final = 30.0

_State = Revocation.State

logger = logging.getLogger(__name__)


def standing_of(row: Revocation) -> dict[str, object]:
    """Return how a run stands, for a form that shows it."""
    return {"state": str(row.state), "in_background": row.in_background}


def have_go_on(*, revocation_id: int, actor: Actor, reason: str, seen: str | None = None) -> bool:
    """Have a run that was interrupted or stopped go on in the background. Returns whether that changed anything.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such revocation, it is done, or it does not
    stand as it was `seen` (a digest of `standing_of`): what somebody stopped meanwhile is not cut by an older page.
    """
    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _unfinished(revocation_id)
        if row.in_background:
            return False
        check_seen(seen, standing_of(row), said("The revocation"))
        row.state, row.in_background = _State.RUNNING, True
        row.save(update_fields=["state", "in_background"])
        audit.append(actor, _event("revocation.had_go_on", row, why))
    return True


def stop_revocation(*, revocation_id: int, actor: Actor, reason: str) -> bool:
    """Stop a run behind the batch that is being cut, whoever cuts it. Returns whether that changed anything.

    What is cut stays cut. What is not stays as it is, and works.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such revocation or it is done.
    """
    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _unfinished(revocation_id)
        if row.state == _State.STOPPED:
            return False
        row.state, row.in_background = _State.STOPPED, False
        row.save(update_fields=["state", "in_background"])
        audit.append(actor, _event("revocation.stopped", row, why))
    return True


def _unfinished(revocation_id: int) -> Revocation:
    """Hold the row of a run; a batch that is being cut ends first."""
    row = Revocation.objects.select_for_update(no_key=True).filter(pk=revocation_id).first()
    if row is None:
        raise StateConflict(said("There is no such revocation."))
    if row.state == _State.DONE:
        raise StateConflict(said("This revocation is done: nothing of it is left to cut or to stop."))
    return row


def _event(verb: str, row: Revocation, why: str) -> audit.Event:
    details = {"tokens_cut": row.tokens_cut, "tokens_expected": row.tokens_expected}
    return audit.Event(verb, "revocation", str(row.pk), row.installation_id, why, details)


def cut_in_background(stopped: Callable[[], bool] = lambda: False, *, batch: int = BATCH) -> int:
    """Cut what is left of the runs in the background, one run after another, for half a minute; return how many.

    Two processes at once take turns at a row. What fails keeps no other run from its turn, and fails the job.
    """
    ends = time.monotonic() + LOOK_SECONDS
    cut, failed = 0, []
    for number, why in _in_background():
        try:
            while not stopped() and time.monotonic() < ends:
                here, row = cut_next_batch(number, system_actor(), why, batch)
                cut += here
                if row.state != _State.RUNNING:
                    break
        except Exception:
            logger.exception("Revocation #%d did not go on", number)
            failed.append(number)
    if failed:
        raise RuntimeError(f"Revocations that did not go on: {failed}")
    return cut


def _in_background() -> list[tuple[int, str]]:
    # By what waited longest, so that a long run does not keep all others waiting until it is done.
    rows = Revocation.objects.filter(state=_State.RUNNING, in_background=True)
    return list(rows.order_by("cut_at", "pk").values_list("pk", "reason"))
