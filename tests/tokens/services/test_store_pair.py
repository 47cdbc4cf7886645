"""Storing a pair: a lineage is replaced in place, another session gains nothing, and a user keeps at most ten."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from installations.models import Application, Installation
from installations.services import approve_scopes, suspend_installation
from tests import factories
from tokens import vault
from tokens.models import EmbedSession, OAuthToken
from tokens.sealing import Context, unseal
from tokens.selectors import hash_session_token
from tokens.services.storing import MAX_LIVE_TOKENS, Pair, store_pair_locked

EXPIRY = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def session_on(token, name="session", **columns):
    values = {"expires_at": timezone.now() + timedelta(hours=8)} | columns
    return EmbedSession.objects.create(token_hash=hash_session_token(name), oauth_token=token, **values)


def hand_over(record, session, access_token, refresh_token=None):
    installation = Installation.objects.get(pk=record.installation.pk)
    session.refresh_from_db()
    with transaction.atomic():
        return store_pair_locked(installation, record.portal_user, Pair(access_token, refresh_token), own=session)


def store(record, access_token="an-access-token", **pair):
    installation = Installation.objects.get(pk=record.installation.pk)
    return factories.token(installation, record.portal_user, access_token, **pair)


def access_token_of(row):
    row.refresh_from_db()
    return vault.unseal_access_token(str(row.uuid), row.sealed_access_token)


@pytest.fixture
def keeping(record):
    """An active installation of an application that stores refresh tokens."""
    Application.objects.update(stores_refresh_tokens=True)
    approve_scopes(
        installation_id=record.installation.pk,
        requested=["fin.read"],
        actor=factories.superactor(),
        reason="For a test.",
    )
    return record


def test_pair_is_a_row_of_its_own_with_its_secret_sealed(record):
    row = store(record, expires_at=EXPIRY)

    row = OAuthToken.objects.get()
    assert (row.installation, row.portal_user) == (record.installation, record.portal_user)
    assert (row.state, row.generation, row.expires_at) == ("active", 1, EXPIRY)
    assert (row.stale_at, row.revoked_at, row.revocation) == (None, None, None)
    assert access_token_of(row) == "an-access-token"
    assert row.access_fingerprint == vault.fingerprint_of("an-access-token").digest
    assert (row.seal_key_id, row.fingerprint_key_id) == ("k1", "1")


def test_no_column_holds_the_token_in_clear(keeping):
    row = store(keeping, "an-access-token", refresh_token="a-refresh-token")

    stored = " ".join(str(bytes(value) if isinstance(value, memoryview) else value) for value in vars(row).values())
    assert "an-access-token" not in stored
    assert "a-refresh-token" not in stored


def test_same_token_is_the_same_row_with_the_next_generation(record):
    row = store(record)

    again = store(record, expires_at=EXPIRY)

    assert again == row == OAuthToken.objects.get()
    assert (again.generation, again.expires_at) == (2, EXPIRY)
    assert access_token_of(again) == "an-access-token"


def test_second_time_is_not_reported_as_new(record):
    with transaction.atomic():
        first = store_pair_locked(record.installation, record.portal_user, Pair("an-access-token"))
        second = store_pair_locked(record.installation, record.portal_user, Pair("an-access-token"))

    assert (first.is_new, second.is_new) == (True, False)


def test_same_token_is_the_same_row_after_the_fingerprint_key_was_rotated(record, settings):
    row = store(record)
    settings.FINGERPRINT_KEY = f"2:ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=,1:{settings.FINGERPRINT_KEY}"

    again = store(record)

    assert again == row
    assert again.fingerprint_key_id == "2"


def test_other_token_of_the_same_user_is_another_row(record):
    first, second = store(record, "first"), store(record, "second")

    assert first != second
    assert access_token_of(first) == "first"


def test_same_token_of_another_user_or_installation_is_another_row(application, record):
    bea = factories.launch(application, user_id="8", name="Bea")
    other = factories.launch(factories.application("com.example.other"))

    rows = {store(record), store(bea), store(other)}

    assert len(rows) == 3


def test_own_lineage_is_replaced_in_place(record):
    row = store(record, "first")
    session = session_on(row)

    stored = hand_over(record, session, "second")

    assert (stored.token, stored.is_new) == (row, False)
    assert OAuthToken.objects.get().generation == 2
    assert access_token_of(row) == "second"
    assert row.access_fingerprint == vault.fingerprint_of("second").digest


def test_stale_lineage_is_active_again_with_a_fresh_pair(record):
    row = store(record, "first")
    session = session_on(row)
    OAuthToken.objects.update(state="stale", stale_at=timezone.now(), sealed_access_token=None)

    hand_over(record, session, "second")

    row.refresh_from_db()
    assert (row.state, row.stale_at) == ("active", None)
    assert access_token_of(row) == "second"


def test_row_with_another_open_session_is_left_to_it(record):
    row = store(record, "first")
    mine, other = session_on(row, "mine"), session_on(row, "other")

    stored = hand_over(record, mine, "second")

    mine.refresh_from_db()
    other.refresh_from_db()
    assert (stored.is_new, mine.oauth_token, other.oauth_token) == (True, stored.token, row)
    assert stored.token != row
    assert (access_token_of(row), access_token_of(stored.token)) == ("first", "second")
    assert OAuthToken.objects.get(pk=row.pk).state == "active"


@pytest.mark.parametrize(
    "columns",
    [{"ended_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}],
    ids=["ended", "expired"],
)
def test_session_that_is_over_does_not_hold_the_row(record, columns):
    row = store(record, "first")
    session_on(row, "other", **columns)

    assert hand_over(record, session_on(row, "mine"), "second").token == row


def test_session_moves_to_the_row_that_holds_its_token_already(record):
    left, found = store(record, "first"), store(record, "second")
    session_on(found, "other")
    session = session_on(left, "mine")

    stored = hand_over(record, session, "second")

    session.refresh_from_db()
    assert stored.token == session.oauth_token == found


def test_row_that_its_last_session_left_is_stale_and_wiped(record):
    left, found = store(record, "first"), store(record, "second")

    hand_over(record, session_on(left), "second")

    left.refresh_from_db()
    assert (left.state, left.sealed_access_token, left.sealed_refresh_token) == ("stale", None, None)
    assert left.stale_at is not None
    assert left.generation == 2
    assert access_token_of(found) == "second"


def test_row_that_another_session_still_lives_on_is_kept(record):
    left = store(record, "first")
    store(record, "second")
    session_on(left, "other")

    hand_over(record, session_on(left, "mine"), "second")

    assert access_token_of(left) == "first"


def test_ten_pairs_of_a_user_are_kept(record):
    rows = [store(record, f"token-{number}") for number in range(MAX_LIVE_TOKENS)]

    assert OAuthToken.objects.active().count() == 10
    assert [access_token_of(row) for row in rows] == [f"token-{number}" for number in range(10)]


def test_eleventh_makes_the_oldest_stale_and_wipes_it(keeping):
    rows = [store(keeping, f"token-{number}", refresh_token=f"refresh-{number}") for number in range(11)]

    oldest = OAuthToken.objects.get(pk=rows[0].pk)
    assert (oldest.state, oldest.sealed_access_token, oldest.sealed_refresh_token) == ("stale", None, None)
    assert set(OAuthToken.objects.active()) == set(rows[1:])


def test_oldest_is_the_one_stored_longest_ago_and_not_the_first_row(record):
    rows = [store(record, f"token-{number}") for number in range(10)]
    store(record, "token-0")

    store(record, "token-10")

    assert OAuthToken.objects.get(state="stale") == rows[1]


def test_other_users_and_installations_are_counted_apart(application, record):
    bea = factories.launch(application, user_id="8", name="Bea")
    there = factories.launch(application, portal="globex.flowlu.com")
    for number in range(10):
        store(record, f"token-{number}")

    store(bea, "token-bea")
    store(there, "token-there")

    assert OAuthToken.objects.active().count() == 12


def test_pair_that_was_retired_and_comes_back_leaves_ten_active(record):
    rows = [store(record, f"token-{number}") for number in range(11)]

    again = store(record, "token-0")

    assert again == rows[0]
    assert OAuthToken.objects.active().count() == 10
    assert access_token_of(again) == "token-0"


def test_retired_lineage_that_gets_a_fresh_pair_leaves_ten_active(record):
    oldest = store(record, "token-0")
    session = session_on(oldest)
    for number in range(1, 11):
        store(record, f"token-{number}")

    hand_over(record, session, "fresh")

    assert OAuthToken.objects.active().count() == 10
    assert access_token_of(oldest) == "fresh"


def test_revoked_row_is_never_taken_again(record):
    row = store(record)
    revocation = row.installation.revocations.create(scope="token", actor_name="x", reason="x", tokens_cut=1)
    OAuthToken.objects.update(
        state="revoked", sealed_access_token=None, revoked_at=timezone.now(), revocation=revocation
    )

    again = store(record)

    row.refresh_from_db()
    assert again != row
    assert row.state == "revoked"


def test_refresh_token_is_kept_where_the_application_stores_them_and_something_was_approved(keeping):
    row = store(keeping, refresh_token="a-refresh-token")

    context = Context("tokens.OAuthToken", str(row.uuid), "sealed_refresh_token")
    assert unseal(row.sealed_refresh_token, context, vault.token_keys()) == "a-refresh-token"
    assert row.refresh_fingerprint == vault.fingerprint_of("a-refresh-token").digest


@pytest.mark.parametrize(
    "unlike", ["application-stores-none", "pending", "suspended", "uninstalled", "no-refresh-token"]
)
def test_refresh_token_is_not_kept_otherwise(keeping, unlike):
    if unlike == "application-stores-none":
        Application.objects.update(stores_refresh_tokens=False)
    if unlike == "suspended":
        suspend_installation(
            installation_id=keeping.installation.pk, actor=factories.superactor(), reason="For a test."
        )
    if unlike == "pending":
        Installation.objects.update(status="pending_approval")
    if unlike == "uninstalled":
        Installation.objects.update(status="uninstalled", uninstalled_at=timezone.now())

    row = store(keeping, refresh_token=None if unlike == "no-refresh-token" else "a-refresh-token")

    assert (row.sealed_refresh_token, row.refresh_fingerprint) == (None, "")


def test_next_pair_without_a_refresh_token_leaves_none_behind(keeping):
    row = store(keeping, "first", refresh_token="a-refresh-token")

    hand_over(keeping, session_on(row), "second")

    row.refresh_from_db()
    assert (row.sealed_refresh_token, row.refresh_fingerprint) == (None, "")


def test_unknown_expiry_replaces_a_known_one(record):
    row = store(record, "first", expires_at=EXPIRY)

    hand_over(record, session_on(row), "second")

    row.refresh_from_db()
    assert row.expires_at is None


def test_pair_is_never_printed():
    pair = Pair("an-access-token", "a-refresh-token")

    assert f"{pair!r} {pair}" == "<Pair> <Pair>"


def test_refresh_token_that_does_not_unseal_is_not_kept(keeping):
    row = store(keeping, refresh_token="a-refresh-token")
    OAuthToken.objects.update(sealed_refresh_token=b"damaged")
    Application.objects.update(refreshed_by="server")

    store(keeping)

    row.refresh_from_db()
    assert (row.state, row.sealed_refresh_token, access_token_of(row)) == ("active", None, "an-access-token")
