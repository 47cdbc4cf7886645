"""Constraints of the upper app, each broken once, and that no row says more of itself than its number."""

import inspect
import sys
import uuid
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from tests import factories
from tokens.models import (
    ApiKey,
    DayCount,
    EmbedSession,
    KeyRecord,
    OAuthToken,
    Purpose,
    RefreshAttempt,
    ReplacedFingerprint,
    Revocation,
    RevokedFingerprint,
    ServiceClient,
    SweepRun,
    UpstreamRevocation,
)

DIGEST = "0123456789abcdef" * 4
NOT_HEX = ["", "f" * 63, "F" * 64, "g" * 64, "f" * 63 + "\n"]


@contextmanager
def refused(constraint, columns=""):
    """Expect exactly this constraint to refuse. SQLite names a unique constraint by its columns only."""
    named = constraint if connection.vendor == "postgresql" or not columns else columns
    with pytest.raises(IntegrityError, match=named), transaction.atomic():
        yield


@pytest.fixture
def record(application):
    return factories.launch(application)


@pytest.fixture
def token(record):
    return factories.token(record.installation, record.portal_user)


@pytest.fixture
def revocation(record):
    return Revocation.objects.create(
        scope="installation", installation=record.installation, actor_name="x", reason="x", tokens_cut=0
    )


def wiped(ledger_row, **columns):
    tombstone = {
        "state": "revoked",
        "sealed_access_token": None,
        "sealed_refresh_token": None,
        "revoked_at": timezone.now(),
        "revocation": ledger_row,
    }
    return tombstone | columns


def api_key(record, **columns):
    values = {"installation": record.installation, "label": "Nightly", "sealed_key": b"sealed", "fingerprint": DIGEST}
    return ApiKey.objects.create(**values | columns)


def test_one_row_of_a_token_is_live(token):
    with refused("tokens_oauthtoken_one_live", "tokens_oauthtoken.access_fingerprint"):
        OAuthToken.objects.create(
            installation=token.installation,
            portal_user=token.portal_user,
            access_fingerprint=token.access_fingerprint,
            sealed_access_token=b"sealed",
        )


def test_tombstones_of_a_token_stand_beside_the_live_one(token, revocation):
    for _time in range(2):
        OAuthToken.objects.create(
            installation=token.installation,
            portal_user=token.portal_user,
            access_fingerprint=token.access_fingerprint,
            **wiped(revocation),
        )

    assert OAuthToken.objects.live().get() == token


def test_row_is_there_once_by_its_uuid(token):
    with refused("tokens_oauthtoken_uuid", "tokens_oauthtoken.uuid"):
        OAuthToken.objects.create(
            uuid=token.uuid,
            installation=token.installation,
            portal_user=token.portal_user,
            access_fingerprint=DIGEST,
            sealed_access_token=b"sealed",
        )


def test_token_state_is_known(token):
    with refused("tokens_oauthtoken_state_known"):
        OAuthToken.objects.update(state="broken")


def test_active_token_has_its_secret(token):
    with refused("tokens_oauthtoken_active_has_secret"):
        OAuthToken.objects.update(sealed_access_token=None)


@pytest.mark.parametrize(
    "left",
    [
        {"sealed_access_token": b"sealed"},
        {"sealed_refresh_token": b"sealed"},
        {"revoked_at": None},
        {"revocation": None},
    ],
    ids=["access", "refresh", "no-time", "no-ledger-row"],
)
def test_revoked_token_is_wiped_with_time_and_ledger_row(token, revocation, left):
    with refused("tokens_oauthtoken_revoked_is_wiped"):
        OAuthToken.objects.update(**wiped(revocation, **left))


@pytest.mark.parametrize("state", ["active", "stale"])
def test_only_a_revoked_token_has_a_time_of_revocation(token, state):
    with refused("tokens_oauthtoken_only_revoked_has_time"):
        OAuthToken.objects.update(state=state, revoked_at=timezone.now())


@pytest.mark.parametrize("fingerprint", NOT_HEX)
def test_token_fingerprint_is_hex(token, fingerprint):
    with refused("tokens_oauthtoken_fingerprint_is_hex"):
        OAuthToken.objects.update(access_fingerprint=fingerprint)


def test_api_key_is_there_once_whatever_became_of_it(record):
    api_key(record, state="revoked", sealed_key=None, revoked_at=timezone.now(), ending="revoked")

    with refused("tokens_apikey_fingerprint", "tokens_apikey.fingerprint"):
        api_key(record)


@pytest.mark.parametrize("fingerprint", NOT_HEX)
def test_api_key_fingerprint_is_hex(record, fingerprint):
    with refused("tokens_apikey_fingerprint_is_hex"):
        api_key(record, fingerprint=fingerprint)


def test_deletion_is_stated_of_a_revoked_api_key_only(record):
    with refused("tokens_apikey_deletion_is_of_a_revoked_one"):
        api_key(record, deletion_confirmed_at=timezone.now())


@pytest.mark.parametrize(
    "columns",
    [
        {"sealed_key": None},
        {"revoked_at": "2026-04-01T00:00:00Z"},
        {"state": "revoked"},
        {"state": "revoked", "revoked_at": "2026-04-01T00:00:00Z"},
        {"state": "revoked", "sealed_key": None},
        {"state": "revoked", "sealed_key": None, "revoked_at": "2026-04-01T00:00:00Z"},
        {"ending": "revoked"},
        {"state": "broken"},
    ],
)
def test_api_key_is_wiped_with_its_time_iff_revoked(record, columns):
    with refused("tokens_apikey_wiped_iff_revoked"):
        api_key(record, **columns)


@pytest.mark.parametrize("token_hash", NOT_HEX)
def test_session_hash_is_hex(token, token_hash):
    with refused("tokens_embedsession_hash_is_hex"):
        EmbedSession.objects.create(token_hash=token_hash, oauth_token=token, expires_at=timezone.now())


def test_session_hash_is_there_once(token):
    EmbedSession.objects.create(token_hash=DIGEST, oauth_token=token, expires_at=timezone.now())

    with refused("tokens_embedsession_token_hash", "tokens_embedsession.token_hash"):
        EmbedSession.objects.create(token_hash=DIGEST, oauth_token=token, expires_at=timezone.now())


def test_one_refresh_of_a_pair_is_under_way(token):
    RefreshAttempt.objects.create(oauth_token=token, generation=1)

    with refused("tokens_refreshattempt_one_at_a_time", "tokens_refreshattempt.generation"):
        RefreshAttempt.objects.create(oauth_token=token, generation=1)


@pytest.mark.parametrize(("outcome", "has_time"), [("started", True), ("fresh", False), ("unknown", False)])
def test_refresh_has_a_time_of_its_end_iff_it_ended(token, outcome, has_time):
    with refused("tokens_refreshattempt_finished_has_time"):
        RefreshAttempt.objects.create(
            oauth_token=token, generation=1, outcome=outcome, finished_at=timezone.now() if has_time else None
        )


@pytest.mark.parametrize("fingerprint", NOT_HEX)
def test_denied_fingerprint_is_hex(revocation, fingerprint):
    with refused("tokens_revokedfingerprint_is_hex"):
        RevokedFingerprint.objects.create(fingerprint=fingerprint, revocation=revocation)


def test_fingerprint_is_denied_once(revocation):
    RevokedFingerprint.objects.create(fingerprint=DIGEST, revocation=revocation)

    with refused("tokens_revokedfingerprint_fingerprint", "tokens_revokedfingerprint.fingerprint"):
        RevokedFingerprint.objects.create(fingerprint=DIGEST, revocation=revocation)


@pytest.mark.parametrize("fingerprint", NOT_HEX)
def test_replaced_fingerprint_is_hex(token, fingerprint):
    with refused("tokens_replacedfingerprint_is_hex"):
        ReplacedFingerprint.objects.create(oauth_token=token, fingerprint=fingerprint)


def test_replaced_fingerprint_is_there_once_for_each_lineage(token):
    ReplacedFingerprint.objects.create(oauth_token=token, fingerprint=DIGEST)

    columns = "tokens_replacedfingerprint.oauth_token_id, tokens_replacedfingerprint.fingerprint"
    with refused("tokens_replacedfingerprint_once_per_lineage", columns):
        ReplacedFingerprint.objects.create(oauth_token=token, fingerprint=DIGEST)


def test_ledger_knows_its_words(revocation):
    with refused("tokens_revocation_scope_known"):
        Revocation.objects.update(scope="everything")
    with refused("tokens_revocation_state_known"):
        Revocation.objects.update(state="paused")


@pytest.mark.parametrize(("probe", "has_time"), [("refused", False), ("", True), ("perhaps", True)])
def test_probe_has_a_time_iff_it_was_made(revocation, probe, has_time):
    with refused("tokens_revocation_probe_has_time"):
        Revocation.objects.update(probe=probe, probed_at=timezone.now() if has_time else None)


@pytest.mark.parametrize("state", ["stopped", "done"])
def test_only_a_run_is_in_the_background(revocation, state):
    with refused("tokens_revocation_background_runs"):
        Revocation.objects.update(state=state, in_background=True)


@pytest.mark.parametrize(("step", "has_time"), [("done", False), ("open", True), ("not_asked", True), ("x", False)])
def test_step_at_the_portal_has_a_time_iff_it_is_done(revocation, step, has_time):
    with refused("tokens_revocation_portal_step_done_has_time"):
        Revocation.objects.update(portal_step=step, portal_step_at=timezone.now() if has_time else None)


@pytest.mark.parametrize(("times", "has_time"), [(1, False), (0, True)])
def test_handed_in_again_has_a_time_iff_it_happened(revocation, times, has_time):
    with refused("tokens_revocation_handed_in_again_has_time"):
        Revocation.objects.update(handed_in_again=times, handed_in_again_at=timezone.now() if has_time else None)


@pytest.mark.parametrize("key_hash", NOT_HEX)
def test_service_client_hash_is_hex(db, key_hash):
    with refused("tokens_serviceclient_hash_is_hex"):
        ServiceClient.objects.create(name="jobs", key_hash=key_hash)


def test_purpose_is_there_once_and_off_at_first(db):
    assert Purpose.objects.create(code="sync", acts_as="user").enabled is False

    with refused("tokens_purpose_code", "tokens_purpose.code"):
        Purpose.objects.create(code="sync", acts_as="user")


def test_purpose_acts_as_a_user_or_the_system(db):
    with refused("tokens_purpose_acts_as_known"):
        Purpose.objects.create(code="sync", acts_as="anybody")


def test_history_cannot_be_deleted_with_what_it_is_about(token, revocation):
    EmbedSession.objects.create(token_hash=DIGEST, oauth_token=token, expires_at=timezone.now())
    RevokedFingerprint.objects.create(fingerprint=DIGEST, revocation=revocation)

    for row in (token, token.portal_user, token.installation, revocation):
        with pytest.raises(ProtectedError):
            row.delete()


def test_unproven_pair_is_not_active(token):
    with refused("tokens_oauthtoken_unproven_unused"):
        OAuthToken.objects.update(needs_proof=True)
    OAuthToken.objects.update(needs_proof=True, state="stale")


def test_refresh_token_is_sent_once_and_what_certainly_was_not_redeemed_again(token):
    def attempt(outcome, **columns):
        done = {} if outcome == "started" else {"finished_at": timezone.now()}
        columns = {"refresh_fingerprint": DIGEST} | done | columns
        return RefreshAttempt.objects.create(oauth_token=token, generation=1, outcome=outcome, **columns)

    attempt("transient")
    attempt("transient")
    attempt("unknown")
    for outcome in ("started", "fresh", "permanent", "unknown", "discarded"):
        with refused("tokens_refreshattempt_sent_once", "refresh_fingerprint"):
            attempt(outcome)
    attempt("fresh", refresh_fingerprint="")
    attempt("fresh", refresh_fingerprint="")
    with refused("tokens_refreshattempt_only_transient_retries"):
        attempt("fresh", refresh_fingerprint="", retry_at=timezone.now())


def test_case_is_wiped_when_it_is_over_and_says_when(token, revocation):
    def case(state, sealed=b"sealed", **columns):
        values = {"revocation": revocation, "oauth_token": token, "next_try_at": None} | columns
        return UpstreamRevocation.objects.create(state=state, sealed_access_token=sealed, **values)

    now = timezone.now()
    with refused("tokens_upstreamrevocation_wiped_iff_over"):
        case("confirmed")
    with refused("tokens_upstreamrevocation_wiped_iff_over"):
        case("irrevocable", None)
    with refused("tokens_upstreamrevocation_closed_has_time"):
        case("closed", None)
    with refused("tokens_upstreamrevocation_closed_has_time"):
        case("confirmed", None, closed_at=now)
    with refused("tokens_upstreamrevocation_pending_has_next"):
        case("pending")
    with refused("tokens_upstreamrevocation_pending_has_next"):
        case("irrevocable", next_try_at=now)
    case("pending", next_try_at=now)
    case("closed", None, closed_at=now)


def test_open_sessions_are_neither_ended_nor_past_their_longest_life(token):
    later, before = timezone.now() + timedelta(hours=1), timezone.now() - timedelta(seconds=1)
    hashes = (character * 64 for character in "abc")
    here = EmbedSession.objects.create(token_hash=next(hashes), oauth_token=token, expires_at=later)
    EmbedSession.objects.create(token_hash=next(hashes), oauth_token=token, expires_at=before)
    EmbedSession.objects.create(token_hash=next(hashes), oauth_token=token, expires_at=later, ended_at=before)

    assert EmbedSession.objects.open().get() == here


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (OAuthToken(pk=1, access_fingerprint=DIGEST, sealed_access_token=b"secret"), "token #1"),
        (ApiKey(pk=1, label="secret", fingerprint=DIGEST, sealed_key=b"secret"), "API key #1"),
        (EmbedSession(pk=1, token_hash=DIGEST), "session #1"),
        (RefreshAttempt(pk=1), "refresh attempt #1"),
        (Revocation(pk=1, reason="secret"), "revocation #1"),
        (UpstreamRevocation(pk=1, sealed_access_token=b"secret"), "upstream revocation #1"),
        (SweepRun(name="a_job"), "sweep a_job"),
        (DayCount(day="2026-11-29", subject="call", outcome="ok"), "call ok on 2026-11-29"),
        (RevokedFingerprint(pk=1, fingerprint=DIGEST), "revoked fingerprint #1"),
        (ReplacedFingerprint(pk=1, fingerprint=DIGEST), "replaced fingerprint #1"),
        (Purpose(code="sync", description="secret"), "sync"),
        (ServiceClient(name="jobs", key_hash=DIGEST), "jobs"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_row_says_no_more_of_itself_than_number_or_public_name(row, text):
    assert str(row) == text
    assert repr(row) == f"<{type(row).__name__}: {text}>"


@pytest.mark.django_db
def test_key_is_recorded_once():
    row = {"ring": "TOKEN_KEYS", "key_id": "k1", "fingerprint": "0" * 8}
    KeyRecord.objects.create(**row)

    columns = "tokens_keyrecord.ring, tokens_keyrecord.key_id, tokens_keyrecord.fingerprint"
    with refused("tokens_keyrecord_once", columns):
        KeyRecord.objects.create(**row)


def test_uuid_of_a_row_is_its_own_and_random():
    assert OAuthToken().uuid != OAuthToken().uuid
    assert isinstance(OAuthToken().uuid, uuid.UUID)


def test_every_named_constraint_is_broken_by_a_test():
    source = inspect.getsource(sys.modules[__name__])
    names = {
        constraint.name
        for model in apps.get_app_config("tokens").get_models()
        for constraint in model._meta.constraints
    }
    assert {name for name in names if f'refused("{name}"' not in source} == set()


@pytest.mark.django_db
def test_day_has_one_count_of_a_kind():
    row = {"day": "2026-11-29", "subject": "call", "outcome": "ok"}
    DayCount.objects.create(**row)

    with refused("tokens_daycount_once", "tokens_daycount.day, tokens_daycount.subject, tokens_daycount.outcome"):
        DayCount.objects.create(**row)
