"""Facts that come after a cut: the refused call, the probe, the step at the portal, what is handed in again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import AuditEvent, PortalUser
from tests import factories
from tests.unchanged import last_event, nothing_changes, recorded
from tokens import refusals
from tokens.models import EmbedSession, OAuthToken, Revocation, RevokedFingerprint
from tokens.selectors import caller_of, caller_of_session, hash_session_token
from tokens.services.ledger import note_handed_in_again, probe_revocation, record_portal_step
from tokens.services.revocation import revoke_own_token, revoke_tokens
from tokens.targets import RevocationTarget

WHY = {"actor": factories.superactor(), "reason": "For a test."}


@pytest.fixture
def token(record):
    return factories.token(record.installation, record.portal_user)


@pytest.fixture
def session(token):
    return EmbedSession.objects.create(
        token_hash=hash_session_token("s"), oauth_token=token, expires_at=timezone.now() + timedelta(hours=1)
    )


def cut(token):
    return revoke_tokens(target=RevocationTarget.of_token(token.pk), **WHY).revocation


# --- Proof ---


def test_probe_asks_what_a_call_asks(token, session):
    by_token, by_id = caller_of("s"), caller_of_session(session.pk)

    # Nothing but the clock differs.
    assert by_token.session_used_seconds_ago <= by_id.session_used_seconds_ago
    assert {name: getattr(by_token, name) for name in by_token.__slots__ if "ago" not in name} == {
        name: getattr(by_id, name) for name in by_id.__slots__ if "ago" not in name
    }


def test_caller_of_a_session_that_is_not_open_is_nobody(session):
    EmbedSession.objects.update(ended_at=timezone.now())

    assert caller_of_session(session.pk) is None
    assert caller_of_session(0) is None


def test_caller_knows_what_cut_its_token(token, session, record):
    assert caller_of("s").revocation_id is None

    row = cut(token)

    assert caller_of("s").revocation_id == row.pk
    # Stored beside the revocation: the deny list names it.
    slipped = factories.token(record.installation, record.portal_user)
    EmbedSession.objects.update(oauth_token=slipped)
    assert (caller_of("s").token_state, caller_of("s").revocation_id) == ("revoked", row.pk)


@pytest.mark.django_db(transaction=True)
def test_probe_follows_the_commit(token, session):
    row = cut(token)

    row.refresh_from_db()
    assert row.probe == "refused"
    assert row.asked_at <= row.cut_at <= row.probed_at
    assert row.first_refused_at is None


@pytest.mark.django_db(transaction=True)
def test_probe_follows_what_the_user_revoked_and_each_last_batch(token, session, record):
    factories.token(record.installation, record.portal_user, "another")
    revoke_own_token(caller=caller_of("s"))
    assert Revocation.objects.get().probe == "refused"

    revoke_tokens(target=RevocationTarget.of_installation(record.installation.pk), batch=1, **WHY)
    assert list(Revocation.objects.order_by("pk").values_list("probe", flat=True)) == ["refused", "no_session"]


def test_probe_without_an_open_session_says_so(token, session):
    EmbedSession.objects.update(ended_at=timezone.now())
    row = cut(token)

    probe_revocation(row.pk)

    row.refresh_from_db()
    assert row.probe == "no_session"


def test_probe_is_made_once(token, session):
    row = cut(token)
    probe_revocation(row.pk)

    with nothing_changes():
        probe_revocation(row.pk)


@pytest.mark.parametrize("lock", [False, True])
def test_probe_that_is_let_in_is_said_and_reported(token, session, all_logs, lock):
    row = cut(token)
    session.oauth_token.refresh_from_db()
    RevokedFingerprint.objects.all().delete()
    # Refused for another reason is not refused by the cut.
    PortalUser.objects.update(locked_at=timezone.now() if lock else None)
    OAuthToken.objects.update(state="stale", revoked_at=None)

    probe_revocation(row.pk)

    row.refresh_from_db()
    assert row.probe == "let_in"
    assert [line.levelname for line in all_logs.records if "is let in" in line.getMessage()] == ["ERROR"]


def test_first_refusal_is_written_later_and_once(token, session, django_assert_num_queries):
    row = cut(token)
    caller = caller_of("s")

    with django_assert_num_queries(0):
        refusals.note_refusal(caller)
    refusals.flush()

    row.refresh_from_db()
    first = row.first_refused_at
    assert row.asked_at <= row.cut_at <= first
    refusals.note_refusal(caller)
    with django_assert_num_queries(0):
        refusals.flush()


def test_process_remembers_so_many_revocations_and_no_more(token, session, monkeypatch):
    monkeypatch.setattr(refusals, "_MOST_KNOWN", 2)
    cut(token)
    caller = caller_of("s")

    for number in range(5):
        refusals.note_refusal(replace(caller, revocation_id=10_000 + number))

    assert list(refusals._known) == [10_003, 10_004]
    refusals.forget()


@pytest.mark.django_db(transaction=True)
def test_refusal_that_cannot_be_written_is_kept_for_the_next_time(token, session, all_logs):
    def lost(*_call):
        raise OperationalError("the connection is lost")

    row = cut(token)
    refusals.note_refusal(caller_of("s"))

    with connection.execute_wrapper(lost):
        refusals.flush()
    row.refresh_from_db()
    assert row.first_refused_at is None
    assert f"The first refusal of revocation #{row.pk} could not be written" in all_logs.text

    refusals.flush()
    row.refresh_from_db()
    assert row.first_refused_at is not None


def test_earliest_refusal_of_all_processes_counts(token, session):
    row = cut(token)
    refusals.note_refusal(caller_of("s"))
    early, late = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)

    Revocation.objects.update(first_refused_at=late)
    refusals.flush()
    row.refresh_from_db()
    assert row.first_refused_at < late

    refusals.forget()
    Revocation.objects.update(first_refused_at=early)
    refusals.note_refusal(caller_of("s"))
    refusals.flush()
    row.refresh_from_db()
    assert row.first_refused_at == early


def test_caller_whose_token_is_not_cut_notes_nothing(token, session, django_assert_num_queries):
    refusals.note_refusal(caller_of("s"))

    with django_assert_num_queries(0):
        refusals.flush()


# --- The step at the portal ---


def test_step_at_the_portal_is_open_until_somebody_records_it(token, responder, responding):
    row = cut(token)
    assert row.portal_step == "open"

    assert record_portal_step(revocation_id=row.pk, actor=responding, note=" Their admin removed it. ") is True

    row.refresh_from_db()
    assert (row.portal_step, row.portal_step_by, row.portal_step_note) == (
        "done",
        "responder",
        "Their admin removed it.",
    )
    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == (
        "revocation.portal_step_done",
        "revocation",
        str(row.pk),
    )
    assert (event.reason, event.installation_id) == ("Their admin removed it.", token.installation_id)
    with nothing_changes():
        assert record_portal_step(revocation_id=row.pk, actor=responding, note="Again.") is False


def test_step_at_the_portal_needs_permission_note_and_revocation(token, reviewing, unpermitted):
    row = cut(token)

    for actor in (reviewing, unpermitted):
        with nothing_changes(), pytest.raises(NotPermitted):
            record_portal_step(revocation_id=row.pk, actor=actor, note="Done.")
    with nothing_changes(), pytest.raises(ReasonRequired):
        record_portal_step(revocation_id=row.pk, actor=factories.superactor(), note=" ")
    with nothing_changes(), pytest.raises(StateConflict, match="no such revocation"):
        record_portal_step(revocation_id=0, actor=factories.superactor(), note="Done.")


def test_nobody_is_asked_for_what_a_user_revoked_themselves(token, session):
    row = revoke_own_token(caller=caller_of("s")).revocation

    assert row.portal_step == "not_asked"


# --- Handed in again ---


def handed_in(*secrets):
    note_handed_in_again("acme.flowlu.com", *secrets)


def test_token_handed_in_again_is_counted_and_reported(token):
    row = cut(token)

    handed_in("an-access-token", None)

    row.refresh_from_db()
    assert row.handed_in_again == 1
    assert row.handed_in_again_at >= row.cut_at
    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("token.handed_in_again", "revocation", str(row.pk))
    assert (event.actor_kind, event.actor_id) == ("system", "service")
    assert event.details == {"fingerprint": token.access_fingerprint[:8], "portal": "acme.flowlu.com"}


def test_each_time_is_counted_and_one_an_hour_reported(token):
    row = cut(token)

    for _ in range(3):
        handed_in("an-access-token")
    row.refresh_from_db()
    assert (row.handed_in_again, recorded().count("token.handed_in_again")) == (3, 1)

    RevokedFingerprint.objects.update(reported_at=timezone.now() - timedelta(minutes=61))
    handed_in("an-access-token")
    row.refresh_from_db()
    assert (row.handed_in_again, recorded().count("token.handed_in_again")) == (4, 2)


def test_token_that_was_never_revoked_is_not_reported(token):
    cut(token)

    with nothing_changes():
        handed_in("another-token", None)


def test_pair_of_two_revoked_tokens_is_one_time_for_each_revocation(token, record):
    other = factories.token(record.installation, record.portal_user, "other")
    first, second = cut(token), cut(other)

    handed_in("an-access-token", "other")

    assert set(Revocation.objects.values_list("pk", "handed_in_again")) == {(first.pk, 1), (second.pk, 1)}
    assert AuditEvent.objects.filter(verb="token.handed_in_again").count() == 2
