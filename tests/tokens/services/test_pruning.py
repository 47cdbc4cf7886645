"""What is kept for some days only goes when it is older, and nothing else does."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from installations.models import Application, Evidence, ScopeUsage
from tests import factories
from tokens import selectors
from tokens.models import EmbedSession, OAuthToken, ServiceCall
from tokens.services import pruning

pytestmark = pytest.mark.django_db

AGES = (0, 9, 10, 11, 500)


def calls(_application: Application) -> Any:
    for days in AGES:
        ServiceCall.objects.create(at=ago(days), outcome="ok")
    return ServiceCall.objects


def counts(application: Application) -> Any:
    here = factories.launch(application).installation
    today = datetime.now(UTC).date()
    for days in AGES:
        day = today - timedelta(days=days + 1)  # the whole day is over
        ScopeUsage.objects.create(installation=here, code="fin", level="read", day=day, last_at=timezone.now())
    return ScopeUsage.objects


def sessions(application: Application) -> Any:
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    for days in AGES:
        EmbedSession.objects.create(
            token_hash=selectors.hash_session_token(str(days)), oauth_token=token, expires_at=ago(days)
        )
    return EmbedSession.objects


def evidence(application: Application) -> Any:
    here = factories.launch(application).installation
    Evidence.objects.all().delete()
    for days in AGES:
        Evidence.objects.create(installation=here, kind=Evidence.Kind.LAUNCH, observed_at=ago(days))
    return Evidence.objects


def ago(days: int) -> datetime:
    return timezone.now() - timedelta(days=days, minutes=1)


@pytest.mark.parametrize(
    ("made", "prune", "setting"),
    [
        (calls, pruning.prune_service_calls, "SERVICE_CALL_DAYS"),
        (counts, pruning.prune_scope_usage, "SCOPE_USAGE_DAYS"),
        (sessions, pruning.prune_sessions, "SESSION_DAYS"),
        (evidence, pruning.prune_evidence, "EVIDENCE_DAYS"),
    ],
)
def test_what_is_older_goes_in_batches_and_nothing_else_does(
    application: Application,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[[Application], Any],
    prune: Callable[..., int],
    setting: str,
) -> None:
    monkeypatch.setattr(pruning, "_BATCH", 2)
    rows = made(application)

    assert prune(days=0) == 0
    assert prune(days=10) == 3
    assert rows.count() == 2
    setattr(settings, setting, 10)
    assert prune() == 0
    setattr(settings, setting, 0)
    assert prune() == 0
    setattr(settings, setting, 1)
    assert prune() == 1


def test_session_that_is_pruned_leaves_its_token(application: Application) -> None:
    sessions(application)

    pruning.prune_sessions(days=1)

    assert OAuthToken.objects.get().state == "active"
