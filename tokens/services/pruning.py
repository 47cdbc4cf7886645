"""What is kept for some days only: rows of calls, counts of use, sessions that are over, evidence, attempts at
refreshing, fingerprints that were replaced. 0 days keep all, but for these, of which the last day is kept at least.

None of it gives or takes a right: tokens, approvals, the ledger and the audit trail are not touched here.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from installations.liveness import NEITHER, SIGNS, Kind
from installations.models import Evidence, ScopeUsage
from tokens.models import EmbedSession, OAuthToken, RefreshAttempt, ReplacedFingerprint, ServiceCall

_BATCH = 5000

Stopped = Callable[[], bool]


def _never() -> bool:
    return False


def prune_service_calls(*, days: int | None = None) -> int:
    """Delete the rows of backend calls that are older than `SERVICE_CALL_DAYS`; returns how many."""
    return _older(ServiceCall.objects.all(), "at", settings.SERVICE_CALL_DAYS if days is None else days)


def prune_scope_usage(*, days: int | None = None) -> int:
    """Delete the counts of days that are older than `SCOPE_USAGE_DAYS`; returns how many."""
    return _older(ScopeUsage.objects.all(), "day", settings.SCOPE_USAGE_DAYS if days is None else days)


def prune_sessions(*, days: int | None = None) -> int:
    """Delete embed sessions that could have been used until more than `SESSION_DAYS` ago; returns how many."""
    return _older(EmbedSession.objects.all(), "expires_at", settings.SESSION_DAYS if days is None else days)


def prune_evidence(stopped: Stopped = _never, *, days: int | None = None) -> int:
    """Delete evidence that is older than `EVIDENCE_DAYS` and that no verdict depends on; returns how many.

    What stays of an old time is little: see `installations.liveness.superseded`, which this says in SQL.
    """
    days = settings.EVIDENCE_DAYS if days is None else days
    if days <= 0:
        return 0
    here = Evidence.objects.filter(installation=OuterRef("installation"))
    replaced = Exists(here.filter(kind=OuterRef("kind"), observed_at__gt=OuterRef("observed_at")))
    answered = Exists(here.filter(kind__in=SIGNS, observed_at__gte=OuterRef("observed_at")))
    old = (
        Evidence.objects.filter(observed_at__lt=timezone.now() - timedelta(days=days))
        .exclude(kind=Kind.STATED_REMOVED)
        .annotate(
            is_superseded=Case(
                When(kind__in=SIGNS, then=replaced),
                When(kind__in=NEITHER, then=replaced | answered),
                default=answered,
                output_field=BooleanField(),
            )
        )
    )
    return _walk(old, "observed_at", stopped)


def prune_refresh_attempts(stopped: Stopped = _never, *, days: int | None = None) -> int:
    """Delete attempts at refreshing that are older than `REFRESH_ATTEMPT_DAYS`; returns how many.

    Those stay that say something of the pair that is there now or of the one before it, and those after which a pair
    may live at Flowlu that nobody holds: the ledger tells of them. A refresh token that was redeemed so long ago is
    not known as spent any more.
    """
    days = settings.REFRESH_ATTEMPT_DAYS if days is None else days
    if days <= 0:
        return 0
    settled = (RefreshAttempt.Outcome.FRESH, RefreshAttempt.Outcome.TRANSIENT)
    of_the_past = Q(outcome__in=settled, generation__lt=F("oauth_token__generation") - 1)
    old = RefreshAttempt.objects.filter(started_at__lt=timezone.now() - timedelta(days=days))
    return _walk(old.annotate(is_superseded=_truth(of_the_past)), "started_at", stopped)


def prune_replaced_fingerprints(stopped: Stopped = _never) -> int:
    """Forget the fingerprints that were replaced longer ago than the setting says. Returns how many.

    A hand-over forgets those of its own lineage; this is for lineages that nobody uses any more. Those of a revoked
    one stay: the ledger says by them that a pair may live at Flowlu that it was not told about.
    """
    before = timezone.now() - timedelta(days=settings.REPLACED_FINGERPRINT_DAYS)
    old = ReplacedFingerprint.objects.filter(replaced_at__lt=before)
    out_of_use = ~Q(oauth_token__state=OAuthToken.State.REVOKED)
    return _walk(old.annotate(is_superseded=_truth(out_of_use)), "replaced_at", stopped)


def _truth(condition: Q) -> Case:
    return Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())


def _walk(old: "QuerySet[Any]", column: str, stopped: Stopped) -> int:
    """Delete in batches those of the old rows that are superseded; returns how many.

    What stays is passed by once: a search from the start would meet it again for every batch.
    """
    rows = old.order_by(column, "pk").values_list(column, "pk", "is_superseded")
    deleted, after = 0, (datetime.min.replace(tzinfo=UTC), 0)
    while not stopped():
        ahead = Q(**{column: after[0]}, pk__gt=after[1]) | Q(**{f"{column}__gt": after[0]})
        batch = list(rows.filter(ahead, **{f"{column}__gte": after[0]})[:_BATCH])
        if not batch:
            break
        after = batch[-1][:2]
        superseded = [pk for _at, pk, is_superseded in batch if is_superseded]
        deleted += old.model._default_manager.filter(pk__in=superseded).delete()[0]
    return deleted


def _older(rows: "QuerySet[Any]", column: str, days: int) -> int:
    """Delete in batches, so that no statement is long."""
    if days <= 0:
        return 0
    moment = timezone.now().astimezone(UTC) - timedelta(days=days)
    before = moment.date() if column == "day" else moment
    old = rows.filter(**{f"{column}__lt": before}).order_by(column)
    deleted = 0
    while batch := list(old.values_list("pk", flat=True)[:_BATCH]):
        deleted += rows.filter(pk__in=batch).delete()[0]
    return deleted
