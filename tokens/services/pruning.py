"""What is kept for some days only: rows of calls, counts of use, sessions that are over, evidence. 0 days keep all.

None of it decides anything: rights, tokens, the ledger and the audit trail are not touched here.
"""

from datetime import UTC, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from installations.models import Evidence, ScopeUsage
from tokens.models import EmbedSession, ServiceCall

_BATCH = 5000


def prune_service_calls(*, days: int | None = None) -> int:
    """Delete the rows of backend calls that are older than `SERVICE_CALL_DAYS`; returns how many."""
    return _older(ServiceCall.objects.all(), "at", settings.SERVICE_CALL_DAYS if days is None else days)


def prune_scope_usage(*, days: int | None = None) -> int:
    """Delete the counts of days that are older than `SCOPE_USAGE_DAYS`; returns how many."""
    return _older(ScopeUsage.objects.all(), "day", settings.SCOPE_USAGE_DAYS if days is None else days)


def prune_sessions(*, days: int | None = None) -> int:
    """Delete embed sessions that could have been used until more than `SESSION_DAYS` ago; returns how many."""
    return _older(EmbedSession.objects.all(), "expires_at", settings.SESSION_DAYS if days is None else days)


def prune_evidence(*, days: int | None = None) -> int:
    """Delete evidence that is older than `EVIDENCE_DAYS`; returns how many. `last_seen_at` stays."""
    return _older(Evidence.objects.all(), "observed_at", settings.EVIDENCE_DAYS if days is None else days)


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
