"""Reads of the vault: who holds a session, what a revocation would stop, which keys rows need."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from installations.models import Application, Installation, Portal, PortalUser
from installations.scopes import Approval, Level
from installations.services import approve_scopes, withdraw_scopes
from tests import factories
from tokens import selectors, vault
from tokens.models import EmbedSession, OAuthToken
from tokens.selectors import caller_of, hash_session_token
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.targets import RevocationTarget

SESSION_TOKEN = "a-session-token"


@pytest.fixture
def record(application):
    return factories.launch(application)


@pytest.fixture
def token(record):
    return factories.token(record.installation, record.portal_user)


@pytest.fixture
def session(token):
    return open_session(token, SESSION_TOKEN)


def open_session(token: OAuthToken, session_token: str) -> EmbedSession:
    return EmbedSession.objects.create(
        token_hash=hash_session_token(session_token),
        oauth_token=token,
        expires_at=timezone.now() + timedelta(hours=8),
    )


def set_on(row, **columns):
    type(row)._default_manager.filter(pk=row.pk).update(**columns)


def test_holder_of_an_open_session_is_read_whole(record, token, session):
    caller = caller_of(SESSION_TOKEN)

    assert caller.session_id == session.pk
    assert 0 <= caller.session_used_seconds_ago < 60
    assert (caller.token_id, caller.token_uuid) == (token.pk, str(token.uuid))
    assert (caller.token_state, caller.token_generation) == ("active", 1)
    assert vault.unseal_access_token(caller.token_uuid, caller.sealed_access_token) == "an-access-token"
    assert (caller.installation_id, caller.installation_status) == (record.installation.pk, "pending_approval")
    assert (caller.installation_locked, caller.user_locked) == (False, False)
    assert caller.portal == "acme.flowlu.com"
    assert (caller.portal_user_id, caller.flowlu_user_id) == (record.portal_user.pk, "7")
    assert caller.approvals == []


def test_approvals_in_force_come_with_what_they_covered(record, session):
    approve_scopes(
        installation_id=record.installation.pk,
        requested=["crm.accounts.read", "fin.read"],
        actor=factories.superactor(),
        reason="For a test.",
    )
    withdraw_scopes(
        installation_id=record.installation.pk, codes=["fin"], actor=factories.superactor(), reason="For a test."
    )

    (found,) = caller_of(SESSION_TOKEN).approvals
    entry = record.installation.approved_permissions.get(code="crm.accounts")
    assert found == Approval("crm.accounts", Level.READ, entry.as_approval().covers)
    assert found.covers != ()


@pytest.mark.parametrize("approved", [[], ["crm.accounts.read"], ["crm.accounts.read", "fin.read", "task.read"]])
def test_one_statement_whatever_is_approved(record, session, approved, django_assert_num_queries):
    if approved:
        approve_scopes(
            installation_id=record.installation.pk,
            requested=approved,
            actor=factories.superactor(),
            reason="For a test.",
        )

    with django_assert_num_queries(1):
        caller = caller_of(SESSION_TOKEN)

    assert len(caller.approvals) == len(approved)


def test_one_statement_for_an_unknown_session_too(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert caller_of("unknown") is None


@pytest.mark.parametrize("text", ["", "unknown", SESSION_TOKEN.upper(), SESSION_TOKEN + " ", "\udc80", "a\x00b"])
def test_unknown_session_token_has_no_holder(session, text):
    assert caller_of(text) is None


def test_stored_hash_is_no_session_token(session):
    assert caller_of(session.token_hash) is None


def test_ended_session_has_no_holder(session):
    set_on(session, ended_at=timezone.now())

    assert caller_of(SESSION_TOKEN) is None


def test_expired_session_has_no_holder(session):
    set_on(session, expires_at=timezone.now() - timedelta(seconds=1))

    assert caller_of(SESSION_TOKEN) is None


def test_idle_session_has_no_holder(session, settings):
    settings.EMBED_SESSION_IDLE = 60
    set_on(session, last_used_at=timezone.now() - timedelta(seconds=61))

    assert caller_of(SESSION_TOKEN) is None


def test_session_used_within_the_idle_time_has_its_holder(session, settings):
    settings.EMBED_SESSION_IDLE = 60
    set_on(session, last_used_at=timezone.now() - timedelta(seconds=50))

    assert 50 <= caller_of(SESSION_TOKEN).session_used_seconds_ago < 60


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
@pytest.mark.parametrize(("seconds", "is_open"), [(-1, False), (0, False), (1, True)])
def test_end_of_a_session_is_exact_to_the_second(session, microsecond, seconds, is_open):
    now = datetime(2026, 4, 1, 10, 15, 20, microsecond, tzinfo=UTC)
    set_on(session, expires_at=now + timedelta(seconds=seconds), last_used_at=now)

    with time_machine.travel(now, tick=False):
        assert (caller_of(SESSION_TOKEN) is not None) is is_open


@pytest.mark.parametrize("what", [Portal, Application, Installation])
def test_lock_of_portal_application_or_installation_is_seen(session, what):
    what.objects.update(locked_at=timezone.now())

    caller = caller_of(SESSION_TOKEN)

    assert (caller.installation_locked, caller.user_locked) == (True, False)


def test_lock_of_the_user_is_seen(session):
    PortalUser.objects.update(locked_at=timezone.now())

    caller = caller_of(SESSION_TOKEN)

    assert (caller.installation_locked, caller.user_locked) == (False, True)


def test_locks_of_others_are_not_seen(application, session):
    other = factories.launch(factories.application("com.example.other"), portal="globex.flowlu.com", user_id="8")
    for row in (other.installation, other.installation.portal, other.installation.application, other.portal_user):
        set_on(row, locked_at=timezone.now())

    caller = caller_of(SESSION_TOKEN)

    assert (caller.installation_locked, caller.user_locked) == (False, False)


def test_revoked_token_is_seen_without_its_secret(record, session):
    revoke_tokens(
        target=RevocationTarget.of_installation(record.installation.pk),
        actor=factories.superactor(),
        reason="For a test.",
    )

    caller = caller_of(SESSION_TOKEN)

    assert (caller.token_state, caller.sealed_access_token) == ("revoked", None)


def test_uninstalled_installation_is_seen_through_its_old_session(record, session):
    uninstall_installation(installation_id=record.installation.pk, actor=factories.superactor(), reason="For a test.")

    assert caller_of(SESSION_TOKEN).installation_status == "uninstalled"


def test_session_of_a_caller_is_read_with_all_it_belongs_to_in_one_statement(session, django_assert_num_queries):
    caller = caller_of(SESSION_TOKEN)

    with django_assert_num_queries(1):
        found = selectors.session_of(caller)
        assert found.oauth_token.portal_user.flowlu_user_id == "7"
        assert found.oauth_token.installation.portal.domain == "acme.flowlu.com"
        assert found.oauth_token.installation.application.app_id == "com.example.desk"


def test_session_token_is_stored_as_its_sha256():
    assert hash_session_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_deny_list_is_asked_in_one_statement_for_the_whole_pair(record, token, django_assert_num_queries):
    revoke_tokens(
        target=RevocationTarget.of_installation(record.installation.pk),
        actor=factories.superactor(),
        reason="For a test.",
    )

    with django_assert_num_queries(1):
        assert selectors.is_revoked("another", "an-access-token") is True
    assert selectors.is_revoked("another", None) is False


def test_deny_list_holds_after_the_fingerprint_key_was_rotated(record, token, settings):
    revoke_tokens(
        target=RevocationTarget.of_installation(record.installation.pk),
        actor=factories.superactor(),
        reason="For a test.",
    )

    settings.FINGERPRINT_KEY = f"2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=,1:{settings.FINGERPRINT_KEY}"

    assert selectors.is_revoked("an-access-token") is True


@pytest.mark.parametrize(
    "entry", [{}, [], 7, {"covers": 7}, {"covers": [{"module": 5}]}], ids=["empty", "list", "number", "no-list", "rule"]
)
def test_damaged_approval_covers_nothing_and_spoils_no_other(record, session, entry):
    approve_scopes(
        installation_id=record.installation.pk,
        requested=["crm.accounts.full", "fin.read"],
        actor=factories.superactor(),
        reason="For a test.",
    )
    set_on(record.installation.approved_permissions.get(code="fin"), catalogue_entry=entry)

    covers = {approval.code: approval.covers for approval in caller_of(SESSION_TOKEN).approvals}

    assert covers["fin"] == ()
    assert [rule.model for rule in covers["crm.accounts"]] != []


@pytest.mark.parametrize(
    "entry", ["{no JSON", "[]", "null", '{"covers": 7}', '{"covers": [{}]}', {"covers": None}, None]
)
def test_damaged_approval_covers_nothing(entry):
    assert selectors.approval_of("crm.accounts", "read", entry) == Approval("crm.accounts", Level.READ, ())
