"""Periodic jobs: due, run by one process at a time, and careful about what is still of use."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests import factories
from tests.held import held
from tests.refreshed import access_token_of, endings, page, soon
from tests.unchanged import last_event, nothing_changes
from tokens import sweeps, tasks
from tokens.models import (
    EmbedSession,
    OAuthToken,
    Purpose,
    RefreshAttempt,
    RevokedFingerprint,
    SweepRun,
    UpstreamRevocation,
)
from tokens.services import wiping
from tokens.services.revocation import revoke_tokens
from tokens.sweeps import Job
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)


def never():
    return False


@pytest.fixture
def jose(refreshing, application, api):
    return page(refreshing, application, api)


@pytest.fixture
def token(jose):
    return OAuthToken.objects.get()


@pytest.fixture
def job(monkeypatch):
    runs = []

    def run(stopped):
        runs.append(1)
        return 7

    monkeypatch.setattr(sweeps, "JOBS", [Job("a_job", 60, run)])
    return runs


def test_job_runs_when_it_is_due_and_not_before(job):
    assert str(sweeps.run_due()) == "Swept: a_job 7."
    assert str(sweeps.run_due()) == "Swept: nothing was due."
    SweepRun.objects.update(started_at=timezone.now() - timedelta(seconds=61))
    assert sweeps.run_due().done == {"a_job": 7}
    assert len(job) == 2


def test_job_that_another_process_runs_is_left_to_it(job):
    began = timezone.now() - timedelta(seconds=90)
    SweepRun.objects.create(name="a_job", started_at=began)
    assert sweeps.run_due().done == {}
    SweepRun.objects.update(started_at=timezone.now() - timedelta(minutes=11))
    assert sweeps.run_due().done == {"a_job": 7}


def test_job_that_fails_keeps_no_other_from_its_turn(job, monkeypatch, all_logs):
    def fail(stopped):
        raise RuntimeError("broken")

    monkeypatch.setattr(sweeps, "JOBS", [Job("broken", 60, fail), *sweeps.JOBS])

    swept = sweeps.run_due()

    assert (swept.done, swept.failed) == ({"a_job": 7}, ["broken"])
    assert str(swept) == "Swept: a_job 7. Failed: broken."
    assert "The sweep broken failed" in all_logs.text


def test_job_fails_since_the_first_failure_until_it_goes_well(job, monkeypatch):
    def fail(stopped):
        raise RuntimeError("broken")

    monkeypatch.setattr(sweeps, "JOBS", [Job("a_job", 60, fail)])
    sweeps.run_due()
    began = SweepRun.objects.get().failing_since
    assert began == SweepRun.objects.get().started_at
    SweepRun.objects.update(started_at=timezone.now() - timedelta(seconds=61))
    sweeps.run_due()
    assert SweepRun.objects.get().failing_since == began

    monkeypatch.setattr(sweeps, "JOBS", [Job("a_job", 60, lambda stopped: 1)])
    SweepRun.objects.update(started_at=timezone.now() - timedelta(seconds=61))
    sweeps.run_due()
    assert (SweepRun.objects.get().failing_since, SweepRun.objects.get().done) == (None, 1)


def test_sweep_that_is_stopped_begins_nothing(job):
    assert sweeps.run_due(stopped=lambda: True).done == {}
    assert job == []


def test_every_job_runs_on_an_empty_service():
    swept = sweeps.run_due()

    assert swept.failed == []
    assert swept.done == dict.fromkeys((job.name for job in sweeps.JOBS), 0)


def test_lost_attempt_is_labelled_after_its_time(token):
    attempt = RefreshAttempt.objects.create(oauth_token=token, generation=token.generation)
    assert wiping.label_lost_attempts(never) == 0
    RefreshAttempt.objects.update(started_at=timezone.now() - timedelta(minutes=2))
    assert wiping.label_lost_attempts(lambda: True) == 0

    assert wiping.label_lost_attempts(never) == 1

    attempt.refresh_from_db()
    token.refresh_from_db()
    assert (attempt.outcome, attempt.error) == ("unknown", "worker_lost")
    assert (token.state, token.sealed_refresh_token) == ("active", None)
    assert last_event().verb == "token.refresh_unknown"
    with nothing_changes():
        assert wiping.label_lost_attempts(never) == 0


def test_pair_in_use_is_refreshed_before_it_expires(jose, token):
    assert wiping.refresh_what_expires(never) == 0
    soon(token)

    assert wiping.refresh_what_expires(never) == 1

    token.refresh_from_db()
    assert (token.state, token.needs_proof) == ("active", False)
    assert RefreshAttempt.objects.get().trigger == "sweep"
    assert jose.accounts().status_code == 200
    assert wiping.refresh_what_expires(never) == 0


def test_pair_that_waits_for_its_proof_is_proven_by_the_sweep(jose, token):
    soon(token)
    jose.sandbox.state.add_fault("acme", "status_500", times=1)
    assert wiping.refresh_what_expires(never) == 0
    assert wiping.refresh_what_expires(never) == 1
    assert endings() == [("fresh", "")]


@pytest.mark.parametrize("case", ["no session", "frontend", "locked", "off", "tried", "under way", "unknown", "denied"])
def test_sweep_refreshes_nothing_that_it_should_not(jose, token, application, settings, case):
    soon(token)
    match case:
        case "no session":
            jose.delete("session")
        case "frontend":
            type(application).objects.update(refreshed_by="frontend")
        case "locked":
            type(application).objects.update(locked_at=timezone.now())
        case "off":
            settings.FLOWLU_TOKEN_URL = ""
        case "tried":
            jose.sandbox.state.oauth.add_fault("status_503")
            wiping.refresh_what_expires(never)
        case "denied":
            gone = factories.token(token.installation, factories.launch(application, user_id="77").portal_user, "gone")
            revoke_tokens(target=RevocationTarget.of_token(gone.pk), actor=factories.superactor(), reason="For a test.")
            RevokedFingerprint.objects.update(fingerprint=token.access_fingerprint)
        case _:
            done = {} if case == "under way" else {"outcome": "unknown", "finished_at": timezone.now()}
            RefreshAttempt.objects.create(oauth_token=token, generation=token.generation, **done)

    with nothing_changes():
        assert wiping.refresh_what_expires(never) == 0


def test_pair_of_ended_sessions_is_wiped_and_its_tombstone_stays(jose, token):
    fingerprint = token.access_fingerprint
    assert wiping.wipe_orphans(never) == 0
    jose.delete("session")

    assert wiping.wipe_orphans(never) == 1

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("stale", None, None)
    assert token.access_fingerprint == fingerprint
    assert (last_event().verb, last_event().details) == ("tokens.wiped", {"why": "orphaned", "tokens": 1})
    with nothing_changes():
        assert wiping.wipe_orphans(never) == 0
    assert jose.handshake().status_code == 201
    assert access_token_of(token) == jose.access_token


@pytest.mark.parametrize("column", ["last_used_at", "expires_at"])
def test_session_that_is_over_counts_as_none(jose, token, column):
    EmbedSession.objects.update(**{column: timezone.now() - timedelta(hours=9)})
    assert wiping.wipe_orphans(never) == 1


def test_pair_with_another_open_session_is_kept(jose, token):
    EmbedSession.objects.create(token_hash="0" * 64, oauth_token=token, expires_at=timezone.now() + timedelta(hours=1))
    jose.delete("session")

    assert wiping.wipe_orphans(never) == 0


def test_nothing_is_an_orphan_while_a_purpose_acts_as_users(jose, token):
    purpose = Purpose.objects.create(code="sync", acts_as="user", owner="us", enabled=True)
    jose.delete("session")
    assert wiping.wipe_orphans(never) == 0
    Purpose.objects.filter(pk=purpose.pk).update(expires_at=timezone.now() - timedelta(days=1))
    assert wiping.wipe_orphans(never) == 1


def test_access_token_that_expired_long_ago_is_wiped(jose, token, settings):
    OAuthToken.objects.update(expires_at=timezone.now() - timedelta(hours=25))
    assert wiping.wipe_expired(never) == 0  # its refresh token may bring another
    OAuthToken.objects.update(sealed_refresh_token=None, expires_at=timezone.now() - timedelta(hours=23))
    assert wiping.wipe_expired(never) == 0  # its expiry may be meant for another zone
    OAuthToken.objects.update(expires_at=timezone.now() - timedelta(hours=25))

    assert wiping.wipe_expired(never) == 1

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token) == ("stale", None)


def test_revocations_that_are_due_are_told(jose, token, settings):
    settings.FLOWLU_REVOCATION_URL = jose.sandbox.revocation_url
    jose.sandbox.state.oauth.add_fault("status_503", endpoint="revoke", times=1)
    target = RevocationTarget.of_installation(token.installation_id)
    revoke_tokens(target=target, actor=factories.superactor(), reason="A test.")
    UpstreamRevocation.objects.update(next_try_at=timezone.now())

    assert sweeps.run_due().done["tell_upstream"] == 1
    assert UpstreamRevocation.objects.get().state == "confirmed"


def test_stopped_sweep_refreshes_and_wipes_nothing(jose, token):
    soon(token)
    with nothing_changes():
        assert wiping.refresh_what_expires(lambda: True) == 0
    jose.delete("session")
    with nothing_changes():
        assert wiping.wipe_orphans(lambda: True) == 0


@pytest.mark.postgresql
def test_row_that_a_verb_holds_is_left_to_the_next_sweep(jose, token):
    jose.delete("session")
    with held("SELECT 1 FROM tokens_oauthtoken WHERE id = %s FOR UPDATE", token.pk), nothing_changes():
        assert wiping.wipe_orphans(never) == 0
    assert wiping.wipe_orphans(never) == 1


def test_task_of_the_sweep_runs_what_is_due(job):
    tasks.sweep.delay()
    tasks.sweep.delay()
    assert len(job) == 1
