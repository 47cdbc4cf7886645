"""Verbs of the sweep: label lost attempts, refresh what is in use, wipe what is of no more use.

What is wiped is the ciphertext; the row and its fingerprints stay. docs/adr/0017 says what counts as of no more use.
"""

import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from installations import audit
from installations.actors import system_actor
from installations.errors import DomainError
from installations.flowlu.configured import can_refresh
from installations.models import Application, Installation
from tokens import backend_reads
from tokens.models import EmbedSession, OAuthToken, RefreshAttempt
from tokens.services.denied import on_deny_list
from tokens.services.proving import prove_pair
from tokens.services.refreshing import Ending, label_unknown, overdue, refresh_pair

_BATCH = 500
_SEALED = Q(sealed_access_token__isnull=False) | Q(sealed_refresh_token__isnull=False)

Stopped = Callable[[], bool]


def label_lost_attempts(stopped: Stopped) -> int:
    """Label attempts that nobody can be at any more as of unknown outcome; returns how many."""
    lost = RefreshAttempt.objects.filter(
        outcome=RefreshAttempt.Outcome.STARTED, started_at__lte=overdue(timezone.now())
    )
    done = 0
    for pk in list(lost.order_by("pk").values_list("pk", flat=True)[: 10 * _BATCH]):
        if stopped():
            break
        done += label_unknown(attempt_id=pk, code="worker_lost")
    return done


def refresh_what_expires(stopped: Stopped, *, seconds: float = 50.0) -> int:
    """Refresh pairs that are in use and would expire before the next look; returns how many got a fresh pair."""
    if not can_refresh():
        return 0
    until = time.monotonic() + seconds
    done = 0
    for token in list(_to_refresh()[:_BATCH]):
        if stopped() or time.monotonic() > until:
            break
        generation = token.generation
        if not token.needs_proof:
            ending = refresh_pair(token_id=token.pk, generation=generation, trigger=RefreshAttempt.Trigger.SWEEP)
            if ending is not Ending.FRESH:
                continue
            generation += 1
        try:
            done += prove_pair(token_id=token.pk, generation=generation)
        except DomainError:
            continue  # the portal is away: the next look or the next call proves it
    return done


def wipe_expired(stopped: Stopped) -> int:
    """Wipe access tokens that expired long ago with nothing to refresh them; returns how many."""
    long_ago = timezone.now() - timedelta(hours=settings.WIPE_EXPIRED_HOURS)
    expired = OAuthToken.objects.filter(
        sealed_access_token__isnull=False, sealed_refresh_token__isnull=True, expires_at__lt=long_ago
    )
    return _wipe(expired, "expired", stopped)


def wipe_orphans(stopped: Stopped) -> int:
    """Wipe pairs that nobody can use: no session on them is open, and no purpose acts as a user; returns how many."""
    if backend_reads.any_purpose_acts_as_users():
        return 0
    in_use = Exists(EmbedSession.objects.open().filter(oauth_token=OuterRef("pk")))
    return _wipe(OAuthToken.objects.filter(_SEALED).exclude(in_use), "orphaned", stopped)


def _wipe(tokens: QuerySet[OAuthToken], why: str, stopped: Stopped) -> int:
    done = after = 0
    while not stopped():
        pks = list(tokens.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:_BATCH])
        if not pks:
            break
        after = pks[-1]
        with transaction.atomic(durable=True):
            # Rows that a verb holds are in use; the next look comes soon. Asked again behind the lock.
            held = list(
                OAuthToken.objects.filter(pk__in=pks)
                .select_for_update(skip_locked=True, no_key=True)
                .values_list("pk", flat=True)
            )
            rows = tokens.filter(pk__in=held)
            wiped = list(rows.order_by("pk").values_list("pk", flat=True))
            if not wiped:
                continue
            active = OAuthToken.objects.filter(pk__in=wiped, state=OAuthToken.State.ACTIVE)
            active.update(state=OAuthToken.State.STALE, stale_at=timezone.now())
            OAuthToken.objects.filter(pk__in=wiped).update(
                sealed_access_token=None, sealed_refresh_token=None, needs_proof=False, seal_key_id=""
            )
            audit.append(
                system_actor(),
                audit.Event("tokens.wiped", "service", why, details={"why": why, "tokens": len(wiped)}),
            )
        done += len(wiped)
    return done


def _to_refresh() -> QuerySet[OAuthToken]:
    """Return pairs of open sessions that need a refresh or a proof now, the most urgent first. One statement."""
    now = timezone.now()
    soon = now + timedelta(seconds=settings.REFRESH_MARGIN_SECONDS + 60)
    needed = (
        Q(needs_proof=True)
        | Q(sealed_refresh_token__isnull=False, expires_at__lte=soon)
        | Q(sealed_refresh_token__isnull=False, state=OAuthToken.State.STALE)
    )
    of_this_pair = RefreshAttempt.objects.filter(oauth_token=OuterRef("pk"), generation=OuterRef("generation"))
    out_of_turn = of_this_pair.exclude(outcome=RefreshAttempt.Outcome.TRANSIENT) | of_this_pair.filter(retry_at__gt=now)
    return (
        OAuthToken.objects.live()
        .filter(
            needed,
            Exists(EmbedSession.objects.open().filter(oauth_token=OuterRef("pk"))),
            installation__status=Installation.Status.ACTIVE,
            installation__locked_at__isnull=True,
            installation__portal__locked_at__isnull=True,
            installation__application__locked_at__isnull=True,
            installation__application__refreshed_by=Application.RefreshedBy.SERVER,
            portal_user__locked_at__isnull=True,
        )
        .exclude(Exists(out_of_turn))
        .exclude(on_deny_list())
        .only("pk", "generation", "needs_proof", "state")
        .order_by("expires_at", "pk")
    )
