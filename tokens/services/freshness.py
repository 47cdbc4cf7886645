"""What a call asks before it uses a pair: a caller whose token may be used, refreshed here where that is ours to do."""

import time
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from installations.errors import DomainError, FlowluUnavailable, InvalidSession, TokenStale
from installations.flowlu.configured import flowlu_client
from tokens import selectors
from tokens.access import Caller, Need, check_usable, refresh_need
from tokens.models import RefreshAttempt
from tokens.services.proving import prove_pair
from tokens.services.refreshing import Ending, refresh_pair

_LOOK_AGAIN = 0.05  # seconds between two looks at what another worker is doing
_MOST_SECONDS = 1  # that a call waits for another worker, holding a thread
_RETRY_AFTER = 1  # second
_MOST_ROUNDS = 5  # a pair that moves on faster than this is somebody else's race


def fresh_caller(caller: Caller, *, trigger: RefreshAttempt.Trigger = RefreshAttempt.Trigger.CALL) -> Caller:
    """Return the caller with a token to use, refreshed first where it is about to expire or was refused.

    Costs nothing where the frontend refreshes or the token has time left. Waits for another worker that is at it only
    where there is nothing else to use, and not for long. Refreshing and waiting hold a place of the portal, as a call
    does: one portal, or one session, never holds every thread. Raises RateLimited when no place is free, TokenStale
    where the user has to come back, FlowluUnavailable where trying again later helps, InvalidSession when the session
    ended meanwhile, and what `check_usable` raises.
    """
    need = _need(caller)
    if need is Need.NONE:
        return caller
    give_up_at = time.monotonic() + settings.OAUTH_TOTAL_SECONDS
    for _ in range(_MOST_ROUNDS):
        ending = _one_step(caller, trigger, need)
        if ending is Ending.BUSY:
            if need is Need.SOON:
                return caller
            again = _wait_for_the_other(caller)
        else:
            again = _again(caller)
        check_usable(again)
        left = _need(again)
        if left is Need.NONE or (left is Need.SOON and again.token_generation != caller.token_generation):
            return again  # the caller's own check says whether there is a token in it
        if need is Need.SOON and left is Need.SOON:
            return again
        if ending is Ending.LATER or time.monotonic() > give_up_at:
            raise FlowluUnavailable(reason="refresh_failed")
        if ending is Ending.OVER:
            raise TokenStale
        caller, need = again, left
    raise _under_way()


def caller_after_refusal(caller: Caller) -> Caller | None:
    """Return the caller with another token after Flowlu refused this one; None where only the user can bring one."""
    if caller.refreshed_by != "server":
        return None
    again = _again(caller)
    if _need(again) is Need.NONE and again.token_generation == caller.token_generation:
        return None
    check_usable(again)
    return fresh_caller(again, trigger=RefreshAttempt.Trigger.REFUSED)


def _one_step(caller: Caller, trigger: RefreshAttempt.Trigger, need: Need) -> Ending:
    if caller.token_needs_proof:
        # Raises what the adapter raises: the pair then waits for the next call or the sweep.
        prove_pair(token_id=caller.token_id, generation=caller.token_generation)
        return Ending.MOVED
    # Taken before an attempt is committed: one that is not sent would have to be labelled unknown.
    with flowlu_client().place(caller.portal):
        ending = refresh_pair(token_id=caller.token_id, generation=caller.token_generation, trigger=trigger)
    if ending is Ending.FRESH:
        try:
            prove_pair(token_id=caller.token_id, generation=caller.token_generation + 1)
        except TokenStale:
            raise
        except DomainError:
            # The old access token may be dead by now: nothing but the proof helps.
            raise FlowluUnavailable(reason="refreshed_not_proven") from None
    return ending


def _wait_for_the_other(caller: Caller) -> Caller:
    give_up_at = time.monotonic() + _MOST_SECONDS
    with flowlu_client().place(caller.portal):
        while time.monotonic() < give_up_at:
            time.sleep(_LOOK_AGAIN)
            again = _again(caller)
            moved = again.token_generation != caller.token_generation or not again.has_refresh_token
            if moved or again.token_state != caller.token_state:
                return again
    raise _under_way()


def _under_way() -> FlowluUnavailable:
    return FlowluUnavailable(retry_after=_RETRY_AFTER, reason="refresh_under_way")


def _again(caller: Caller) -> Caller:
    again = selectors.caller_of_session(caller.session_id)
    if again is None:
        raise InvalidSession
    return again


def _need(caller: Caller) -> Need:
    return refresh_need(caller, now=timezone.now(), margin=timedelta(seconds=settings.REFRESH_MARGIN_SECONDS))
