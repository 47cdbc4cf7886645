"""What a call asks before it uses a pair: one whose token may be used, refreshed here where that is ours to do."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from django.conf import settings
from django.utils import timezone

from installations.errors import DomainError, FlowluUnavailable, InvalidSession, TokenStale
from installations.flowlu.configured import flowlu_client
from tokens import selectors
from tokens.access import Caller, Need, Refreshable, check_usable, refresh_need
from tokens.models import RefreshAttempt
from tokens.services.proving import prove_pair
from tokens.services.refreshing import Ending, refresh_pair

_LOOK_AGAIN = 0.05  # seconds between two looks at what another worker is doing
_MOST_SECONDS = 1  # that a call waits for another worker, holding a thread
_RETRY_AFTER = 1  # second
_MOST_ROUNDS = 5  # a pair that moves on faster than this is somebody else's race


Pair = TypeVar("Pair", bound=Refreshable)
Again = Callable[[], Pair]  # reads it anew; raises what says that it must not be used any more


def fresh(pair: Pair, again: Again[Pair], *, trigger: RefreshAttempt.Trigger = RefreshAttempt.Trigger.CALL) -> Pair:
    """Return a pair to use, refreshed first where it is about to expire or was refused.

    Costs nothing where the frontend refreshes or the token has time left. Waits for another worker that is at it only
    where there is nothing else to use, and not for long. Refreshing and waiting hold a place of the portal, as a call
    does: one portal, or one session, never holds every thread. Raises RateLimited when no place is free, TokenStale
    where the user has to come back, FlowluUnavailable where trying again later helps, and what `again` raises.
    """
    need = _need(pair)
    if need is Need.NONE:
        return pair
    give_up_at = time.monotonic() + settings.OAUTH_TOTAL_SECONDS
    for _ in range(_MOST_ROUNDS):
        ending = _one_step(pair, trigger, need)
        if ending is Ending.BUSY:
            if need is Need.SOON:
                return pair
            found = _wait_for_the_other(pair, again)
        else:
            found = again()
        left = _need(found)
        if left is Need.NONE or (left is Need.SOON and not _is_same(found, pair)):
            return found  # the caller's own check says whether there is a token in it
        if need is Need.SOON and left is Need.SOON:
            return found
        if ending is Ending.LATER or time.monotonic() > give_up_at:
            raise FlowluUnavailable(reason="refresh_failed")
        if ending is Ending.OVER:
            raise TokenStale
        pair, need = found, left
    raise _under_way()


def fresh_after_refusal(pair: Pair, again: Again[Pair]) -> Pair | None:
    """Return another pair after Flowlu refused this one; None where only the user can bring one."""
    if pair.refreshed_by != "server":
        return None
    found = again()
    if _need(found) is Need.NONE and _is_same(found, pair):
        return None
    return fresh(found, again, trigger=RefreshAttempt.Trigger.REFUSED)


def fresh_caller(caller: Caller) -> Caller:
    """Return the session's holder with a pair to use, as `fresh` does.

    Raises InvalidSession when the session ended meanwhile, and what `check_usable` raises.
    """
    return fresh(caller, partial(_caller_again, caller.session_id))


def caller_after_refusal(caller: Caller) -> Caller | None:
    """Return the session's holder after Flowlu refused its token, as `fresh_after_refusal` does."""
    return fresh_after_refusal(caller, partial(_caller_again, caller.session_id))


def _caller_again(session_id: int) -> Caller:
    again = selectors.caller_of_session(session_id)
    if again is None:
        raise InvalidSession
    check_usable(again)
    return again


def _one_step(pair: Refreshable, trigger: RefreshAttempt.Trigger, need: Need) -> Ending:
    if pair.token_needs_proof:
        # Raises what the adapter raises: the pair then waits for the next call or the sweep.
        prove_pair(token_id=pair.token_id, generation=pair.token_generation)
        return Ending.MOVED
    # Taken before an attempt is committed: one that is not sent would have to be labelled unknown.
    with flowlu_client().place(pair.portal):
        ending = refresh_pair(token_id=pair.token_id, generation=pair.token_generation, trigger=trigger)
    if ending is Ending.FRESH:
        try:
            prove_pair(token_id=pair.token_id, generation=pair.token_generation + 1)
        except DomainError:
            # The old access token may be dead by now: nothing but the proof helps.
            raise FlowluUnavailable(reason="refreshed_not_proven") from None
    return ending


def _wait_for_the_other(pair: Pair, again: Again[Pair]) -> Pair:
    give_up_at = time.monotonic() + _MOST_SECONDS
    with flowlu_client().place(pair.portal):
        while time.monotonic() < give_up_at:
            time.sleep(_LOOK_AGAIN)
            found = again()
            moved = not _is_same(found, pair) or not found.has_refresh_token
            if moved or found.token_state != pair.token_state:
                return found
    raise _under_way()


def _under_way() -> FlowluUnavailable:
    return FlowluUnavailable(retry_after=_RETRY_AFTER, reason="refresh_under_way")


def _is_same(one: Refreshable, other: Refreshable) -> bool:
    return (one.token_id, one.token_generation) == (other.token_id, other.token_generation)


def _need(pair: Refreshable) -> Need:
    return refresh_need(pair, now=timezone.now(), margin=timedelta(seconds=settings.REFRESH_MARGIN_SECONDS))
