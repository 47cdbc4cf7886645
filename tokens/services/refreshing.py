"""Verbs that refresh a stored pair at the token endpoint (RFC 6749 §6), once per refresh token whatever happens.

Three steps, each of which a dead worker may have been the last to do: an attempt is committed; the endpoint is called
with no transaction open; what came is written only if the pair is still the one that was redeemed. A fresh pair is
sealed at once, and used only after Flowlu said whose it is (`proving`). docs/adr/0016 has the reasons.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import partial

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from installations import audit
from installations.actors import system_actor
from installations.flowlu.configured import can_refresh, oauth_endpoint
from installations.flowlu.oauth_endpoint import FailedForNow, GrantRefused, OutcomeUnknown, Redeemed
from installations.models import Application, Installation
from tokens import backoff, day_counts, selectors, vault
from tokens.errors import UnsealFailed
from tokens.models import DayCount, OAuthToken, RefreshAttempt, Revocation, RevokedFingerprint
from tokens.services.denied import cut_denied, denial_of
from tokens.services.proving import is_open
from tokens.services.storing import is_spent, remember_replaced_locked
from tokens.services.upstream import enqueue_pair_locked, sum_up

LATE_SECONDS = 30  # beyond the deadline of a request, after which nobody can be at it any more

logger = logging.getLogger(__name__)
_Outcome = RefreshAttempt.Outcome
# A pair with one of these behind it is not tried again.
_FINAL = (_Outcome.PERMANENT, _Outcome.UNKNOWN, _Outcome.DISCARDED)


class Ending(Enum):
    """How an attempt to refresh ended, for whoever asked. Read the row again before concluding anything."""

    FRESH = "fresh"  # a new pair is stored; it has to be proven before it is used
    BUSY = "busy"  # somebody else is at it
    MOVED = "moved"  # it is another pair by now
    LATER = "later"  # failed for now; there is a time before which it is not tried again
    OVER = "over"  # this pair cannot be refreshed here


@dataclass(frozen=True, slots=True)
class _Redemption:
    attempt_id: int
    token_id: int
    installation_id: int
    portal: str
    tries: int
    started_at: datetime
    refresh_token: str = field(repr=False)


def refresh_pair(*, token_id: int, generation: int, trigger: RefreshAttempt.Trigger) -> Ending:
    """Refresh the pair that the row holds in this generation, unless somebody is at it or it must not be.

    Any number of workers may ask at once: one of them redeems the refresh token, and it is sent once.
    """
    started = _start(token_id, generation, trigger)
    if started is None:
        # In a transaction of its own: it holds the row of the ledger before the token's.
        cut_denied(token_id=token_id)
        return Ending.MOVED
    if isinstance(started, Ending):
        return started
    try:
        redeemed = oauth_endpoint().redeem(started.portal, started.refresh_token)
    except GrantRefused as error:
        return _end_for_good(started, error.code)
    except FailedForNow as error:
        if error.is_ours:
            logger.error("The token endpoint does not serve this service as its client: %s", error.code)
        return _put_off(started, error)
    except OutcomeUnknown as error:
        label_unknown(attempt_id=started.attempt_id, code=error.code)
        return Ending.OVER
    return _store(started, redeemed)


def label_unknown(*, attempt_id: int, code: str) -> bool:
    """Label an attempt as of unknown outcome and wipe what may be spent; returns whether it was under way.

    The access token stays until Flowlu refuses it. The refresh token is never sent again: a second redemption would
    end the whole family (RFC 9700 §4.14.2).
    """
    with transaction.atomic(durable=True):
        attempt = RefreshAttempt.objects.get(pk=attempt_id)
        OAuthToken.objects.select_for_update(no_key=True).get(pk=attempt.oauth_token_id)
        if not _end(attempt_id, _Outcome.UNKNOWN, code):
            return False
        OAuthToken.objects.live().filter(pk=attempt.oauth_token_id, generation=attempt.generation).update(
            sealed_refresh_token=None
        )
        _record("token.refresh_unknown", attempt.oauth_token_id, attempt.oauth_token.installation_id, attempt, code)
    return True


def overdue(now: datetime) -> datetime:
    """Return when an attempt must have begun to be one that nobody can be at any more."""
    return now - timedelta(seconds=settings.OAUTH_TOTAL_SECONDS + LATE_SECONDS)


def _start(token_id: int, generation: int, trigger: RefreshAttempt.Trigger) -> _Redemption | Ending | None:
    """Commit an attempt before anything is sent, or say why there is none; None for what is on the deny list.

    That must bring no new pair, which would not be on the list.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        token = (
            OAuthToken.objects.select_for_update(of=("self",), no_key=True)
            .select_related("installation__portal", "installation__application", "portal_user")
            .get(pk=token_id)
        )
        if token.generation != generation or token.state == OAuthToken.State.REVOKED:
            return Ending.MOVED
        if denial_of(token) is not None:
            return None
        if token.sealed_refresh_token is None or not _may_refresh(token):
            return Ending.OVER
        earlier = token.refresh_attempts.filter(generation=generation).order_by("-pk").first()
        if earlier is not None and earlier.outcome == _Outcome.STARTED:
            if earlier.started_at > overdue(now):
                return Ending.BUSY
        elif earlier is not None and earlier.outcome in _FINAL:
            return Ending.OVER
        elif earlier is not None and earlier.retry_at is not None and earlier.retry_at > now:
            return Ending.LATER
        else:
            tries = 1 + (earlier.tries if earlier is not None and earlier.outcome == _Outcome.TRANSIENT else 0)
            return _commit_attempt(token, trigger, tries, now)
    label_unknown(attempt_id=earlier.pk, code="worker_lost")
    return Ending.OVER


def _commit_attempt(
    token: OAuthToken, trigger: RefreshAttempt.Trigger, tries: int, now: datetime
) -> _Redemption | Ending:
    attempt = RefreshAttempt(
        oauth_token=token, generation=token.generation, trigger=trigger, tries=tries, started_at=now
    )
    try:
        refresh_token = vault.unseal_refresh_token(str(token.uuid), token.sealed_refresh_token or b"")
    except UnsealFailed as error:
        # The ciphertext is kept for whoever mends the keys; the attempt keeps this from being told again and again.
        attempt.outcome, attempt.error, attempt.finished_at = _Outcome.PERMANENT, "undecryptable", now
        attempt.save()
        _count(_Outcome.PERMANENT)
        logger.error("The refresh token of token #%d does not unseal: %s", token.pk, error.reason)
        _record("token.refresh_refused", token.pk, token.installation_id, attempt, "undecryptable")
        return Ending.OVER
    attempt.refresh_fingerprint = vault.fingerprint_of(refresh_token).digest
    if not is_spent(refresh_token):
        try:
            with transaction.atomic():
                attempt.save()
        except IntegrityError:
            pass  # another row holds the same refresh token and was first
        else:
            return _Redemption(
                attempt.pk,
                token.pk,
                token.installation_id,
                token.installation.portal.domain,
                tries,
                now,
                refresh_token,
            )
    OAuthToken.objects.filter(pk=token.pk, generation=token.generation).update(sealed_refresh_token=None)
    return Ending.OVER


def _may_refresh(token: OAuthToken) -> bool:
    application = token.installation.application
    return (
        can_refresh()
        and application.refreshed_by == Application.RefreshedBy.SERVER
        and application.stores_refresh_tokens
        and is_open(token)
    )


def _store(started: _Redemption, redeemed: Redeemed) -> Ending:
    """Seal what came, if the pair is still the one that was redeemed; a revocation in between wins."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        installation = Installation.objects.select_for_update(no_key=True).get(pk=started.installation_id)
        token = OAuthToken.objects.select_for_update(no_key=True).get(pk=started.token_id)
        attempt = RefreshAttempt.objects.select_for_update(no_key=True).get(pk=started.attempt_id)
        is_cut = token.state == OAuthToken.State.REVOKED
        revocation = token.revocation if is_cut else _denied_by(token)
        if revocation is None:
            return _seal_locked(started, redeemed, installation, token, attempt)
        _refuse_locked(revocation, token, redeemed, now)
        _end(attempt.pk, _Outcome.DISCARDED, "revoked")
        _record("token.refresh_discarded", token.pk, token.installation_id, attempt, "revoked")
    sum_up(revocation_id=revocation.pk)
    if not is_cut:
        cut_denied(token_id=started.token_id)
    return Ending.MOVED


def _denied_by(token: OAuthToken) -> Revocation | None:
    denial = denial_of(token)
    return denial.revocation if denial is not None else None


def _seal_locked(
    started: _Redemption, redeemed: Redeemed, installation: Installation, token: OAuthToken, attempt: RefreshAttempt
) -> Ending:
    now = timezone.now()
    if token.generation != attempt.generation or _held_elsewhere(token, redeemed):
        _end(attempt.pk, _Outcome.DISCARDED, "superseded")
        return Ending.MOVED
    if selectors.is_revoked(redeemed.access_token, redeemed.refresh_token):
        _wipe_locked(token, now)
        _end(attempt.pk, _Outcome.PERMANENT, "revoked_pair")
        _record("token.refresh_refused", token.pk, token.installation_id, attempt, "revoked_pair")
        return Ending.OVER
    application = Application.objects.get(pk=installation.application_id)
    keeps = application.stores_refresh_tokens and application.refreshed_by == Application.RefreshedBy.SERVER
    new_or_same = redeemed.refresh_token or started.refresh_token
    held, held_key_id = {token.access_fingerprint, token.refresh_fingerprint}, token.fingerprint_key_id
    vault.seal_into(token, redeemed.access_token, new_or_same if keeps else None)
    token.generation += 1
    token.needs_proof, token.state, token.stale_at = True, OAuthToken.State.STALE, now
    token.stored_at = now
    # Counted from before the request: the answer may have taken its time.
    lifetime = redeemed.expires_in
    token.expires_at = started.started_at + timedelta(seconds=lifetime) if lifetime is not None else None
    token.save()
    replaced = held - set(vault.digests_of(redeemed.access_token, new_or_same))
    remember_replaced_locked(token, replaced, held_key_id)
    if redeemed.refresh_token is None:
        # Not rotated: the same one may be redeemed again (RFC 6749 §6).
        RefreshAttempt.objects.filter(pk=attempt.pk).update(refresh_fingerprint="")
    _end(attempt.pk, _Outcome.FRESH, "")
    _record("token.refreshed", token.pk, token.installation_id, attempt, "")
    return Ending.FRESH


def _held_elsewhere(token: OAuthToken, redeemed: Redeemed) -> bool:
    same = OAuthToken.objects.live().filter(
        installation_id=token.installation_id,
        portal_user_id=token.portal_user_id,
        access_fingerprint__in=vault.digests_of(redeemed.access_token),
    )
    return same.exclude(pk=token.pk).exists()


def _refuse_locked(revocation: Revocation, token: OAuthToken, redeemed: Redeemed, now: datetime) -> None:
    """Put a pair that came back after the revocation on the deny list."""
    values = (redeemed.access_token, redeemed.refresh_token)
    prints = [found for value in values if value for found in vault.fingerprints_of(value)]
    RevokedFingerprint.objects.bulk_create(
        [
            RevokedFingerprint(
                fingerprint=found.digest,
                fingerprint_key_id=found.key_id,
                revocation=revocation,
                revoked_at=now,
            )
            for found in sorted(prints, key=lambda found: found.digest)
        ],
        ignore_conflicts=True,
    )
    enqueue_pair_locked(revocation, token, redeemed.access_token, redeemed.refresh_token)


def _end_for_good(started: _Redemption, code: str) -> Ending:
    """Make the pair stale: Flowlu takes its refresh token no longer, and the user is asked to come back."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        token = OAuthToken.objects.select_for_update(no_key=True).get(pk=started.token_id)
        attempt = RefreshAttempt.objects.get(pk=started.attempt_id)
        if not _end(attempt.pk, _Outcome.PERMANENT, code):
            return Ending.OVER
        if token.state == OAuthToken.State.REVOKED or token.generation != attempt.generation:
            return Ending.MOVED  # the refusal was about a pair that is no longer the one here
        _wipe_locked(token, now)
        _record("token.refresh_refused", token.pk, token.installation_id, attempt, code)
    return Ending.OVER


def _put_off(started: _Redemption, error: FailedForNow) -> Ending:
    """Note when to try again; after the last try only the refresh token is given up."""
    if started.tries < settings.REFRESH_TRIES:
        wait = backoff.wait_seconds(started.tries, settings.REFRESH_BACKOFF_SECONDS, retry_after=error.retry_after)
        _end(started.attempt_id, _Outcome.TRANSIENT, error.code, retry_at=timezone.now() + timedelta(seconds=wait))
        return Ending.LATER
    with transaction.atomic(durable=True):
        token = OAuthToken.objects.select_for_update(no_key=True).get(pk=started.token_id)
        attempt = RefreshAttempt.objects.get(pk=started.attempt_id)
        if _end(attempt.pk, _Outcome.PERMANENT, "tries_exhausted"):
            OAuthToken.objects.live().filter(pk=token.pk, generation=attempt.generation).update(
                sealed_refresh_token=None
            )
            _record("token.refresh_refused", token.pk, token.installation_id, attempt, "tries_exhausted")
    return Ending.OVER


def _wipe_locked(token: OAuthToken, now: datetime) -> None:
    token.state, token.stale_at, token.needs_proof = OAuthToken.State.STALE, now, False
    token.sealed_access_token = token.sealed_refresh_token = None
    token.save(update_fields=["state", "stale_at", "needs_proof", "sealed_access_token", "sealed_refresh_token"])


def _end(attempt_id: int, outcome: str, code: str, *, retry_at: datetime | None = None) -> bool:
    """Write how the attempt ended, if it has no other end. An answer that comes late corrects `unknown`."""
    open_ones = (
        [_Outcome.STARTED]
        if outcome in (_Outcome.UNKNOWN, _Outcome.TRANSIENT)
        else [
            _Outcome.STARTED,
            _Outcome.UNKNOWN,
        ]
    )
    ended = RefreshAttempt.objects.filter(pk=attempt_id, outcome__in=open_ones).update(
        outcome=outcome, error=code, retry_at=retry_at, finished_at=timezone.now()
    )
    if ended:
        _count(outcome)
    return bool(ended)


def _count(outcome: str) -> None:
    transaction.on_commit(partial(day_counts.note, DayCount.Subject.REFRESH_END, str(outcome)))


def _record(verb: str, token_id: int, installation_id: int, attempt: RefreshAttempt, code: str) -> None:
    details = {"attempt": attempt.pk, "generation": attempt.generation, "trigger": attempt.trigger}
    if code:
        details["error"] = code
    audit.append(system_actor(), audit.Event(verb, "token", str(token_id), installation_id, details=details))
