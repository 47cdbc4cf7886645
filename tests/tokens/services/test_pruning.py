"""What is kept for some days only goes when it is older, and nothing else does."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from installations.liveness import Kind, Observation, superseded
from installations.models import Application, Evidence, ScopeUsage
from tests import factories
from tokens import selectors
from tokens.models import EmbedSession, OAuthToken, RefreshAttempt, ReplacedFingerprint, ServiceCall
from tokens.services import pruning
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db

AGES = (0, 9, 10, 11, 500)

pieces = st.lists(st.tuples(st.sampled_from(list(Kind)), st.integers(0, 60)), max_size=8)


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


def attempts(application: Application) -> Any:
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    for place, days in enumerate(AGES):
        attempt(token, generation=place + 1, days=days)
    OAuthToken.objects.update(generation=len(AGES) + 2)
    return RefreshAttempt.objects


def attempt(token: OAuthToken, *, generation: int, days: int, outcome: str = "fresh") -> RefreshAttempt:
    return RefreshAttempt.objects.create(
        oauth_token=token, generation=generation, outcome=outcome, started_at=ago(days), finished_at=ago(days)
    )


def ago(days: int) -> datetime:
    return timezone.now() - timedelta(days=days, minutes=1)


@pytest.mark.parametrize(
    ("made", "prune", "setting"),
    [
        (calls, pruning.prune_service_calls, "SERVICE_CALL_DAYS"),
        (counts, pruning.prune_scope_usage, "SCOPE_USAGE_DAYS"),
        (sessions, pruning.prune_sessions, "SESSION_DAYS"),
        (evidence, pruning.prune_evidence, "EVIDENCE_DAYS"),
        (attempts, pruning.prune_refresh_attempts, "REFRESH_ATTEMPT_DAYS"),
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(mine=pieces, of_other=pieces, batch=st.integers(1, 5))
def test_evidence_that_goes_is_what_no_verdict_depends_on(
    application: Application, mine: Any, of_other: Any, batch: int
) -> None:
    with transaction.atomic(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(pruning, "_BATCH", batch)
        here, there = (factories.launch(application, portal=f"{name}.flowlu.com").installation for name in "ab")
        Evidence.objects.all().delete()
        now = timezone.now()
        for place, found in ((here, mine), (there, of_other)):
            for kind, halves in found:
                Evidence.objects.create(
                    installation=place, kind=kind, observed_at=now - timedelta(days=halves / 2, minutes=1)
                )
        expected = set()
        for place in (here, there):
            rows = list(Evidence.objects.filter(installation=place))
            every = [Observation(Kind(row.kind), row.observed_at, 1) for row in rows]
            gone = superseded(every)
            old = now - timedelta(days=10)
            expected |= {row.pk for row, one in zip(rows, every, strict=True) if one in gone and one.at < old}
        before = set(Evidence.objects.values_list("pk", flat=True))

        assert pruning.prune_evidence(days=10) == len(expected)
        assert before - set(Evidence.objects.values_list("pk", flat=True)) == expected
        transaction.set_rollback(True)


def test_pruning_of_evidence_that_is_stopped_deletes_nothing(application: Application) -> None:
    evidence(application)
    assert pruning.prune_evidence(lambda: True, days=1) == 0


def test_attempts_that_still_say_something_stay(application: Application) -> None:
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    OAuthToken.objects.update(generation=5)
    for generation, outcome in ((1, "fresh"), (2, "transient"), (2, "unknown"), (3, "permanent"), (3, "discarded")):
        attempt(token, generation=generation, days=500, outcome=outcome)
    stay = [
        attempt(token, generation=generation, days=500).pk for generation in (4, 5)
    ]  # proves the pair, and is of it
    stay += RefreshAttempt.objects.filter(outcome__in=("unknown", "permanent", "discarded")).values_list(
        "pk", flat=True
    )

    assert pruning.prune_refresh_attempts(lambda: True, days=1) == 0
    assert pruning.prune_refresh_attempts(days=1) == 2
    assert sorted(RefreshAttempt.objects.values_list("pk", flat=True)) == sorted(stay)


def test_replaced_fingerprints_go_in_batches_past_those_that_stay(
    application: Application, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_BATCH", 2)
    settings.REPLACED_FINGERPRINT_DAYS = 10
    record = factories.launch(application)
    live, revoked = (factories.token(record.installation, record.portal_user, name) for name in ("live", "revoked"))
    revoke_tokens(target=RevocationTarget.of_token(revoked.pk), actor=factories.superactor(), reason="A test.")
    for place, days in enumerate(AGES * 2):
        ReplacedFingerprint.objects.create(
            oauth_token=(live, revoked)[place % 2], fingerprint=f"{place:064x}", replaced_at=ago(days)
        )
    kept = ReplacedFingerprint.objects.exclude(oauth_token=live, replaced_at__lt=ago(10) + timedelta(seconds=30))
    expected = set(kept.values_list("pk", flat=True))

    assert pruning.prune_replaced_fingerprints(lambda: True) == 0
    assert pruning.prune_replaced_fingerprints() == 10 - len(expected)
    assert set(ReplacedFingerprint.objects.values_list("pk", flat=True)) == expected
    assert 0 < len(expected) < 10


def test_session_that_is_pruned_leaves_its_token(application: Application) -> None:
    sessions(application)

    pruning.prune_sessions(days=1)

    assert OAuthToken.objects.get().state == "active"
