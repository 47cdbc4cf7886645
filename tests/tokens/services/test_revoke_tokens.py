"""Revoking: exactly what was named is cut, wiped and denied, at a cost that does not grow with what is cut."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import Application, Installation
from tests import factories
from tests.unchanged import last_event, nothing_changes, recorded
from tokens import vault
from tokens.models import EmbedSession, OAuthToken, Revocation, RevokedFingerprint
from tokens.selectors import caller_of, hash_session_token, is_revoked
from tokens.services.revocation import revoke_own_token, revoke_tokens
from tokens.services.storing import MAX_LIVE_TOKENS
from tokens.targets import RevocationTarget

ACTOR = factories.superactor()
SOON = datetime(2030, 1, 1, tzinfo=UTC)
LATER = datetime(2030, 6, 1, tzinfo=UTC)


def revoke(record, actor=ACTOR, reason="For a test.", *, portal_user=None, token=None, **options):
    target = RevocationTarget.of_installation(record.installation.pk)
    if portal_user is not None:
        target = RevocationTarget.of_portal_user(portal_user.pk, installation_id=record.installation.pk)
    if token is not None:
        target = RevocationTarget.of_token(token.pk)
    return revoke_tokens(target=target, actor=actor, reason=reason, **options)


def token(record, access_token="an-access-token", **pair):
    return factories.token(
        Installation.objects.get(pk=record.installation.pk), record.portal_user, access_token, **pair
    )


def session_on(row, name="session"):
    return EmbedSession.objects.create(
        token_hash=hash_session_token(name), oauth_token=row, expires_at=timezone.now() + timedelta(hours=8)
    )


def denied():
    return set(RevokedFingerprint.objects.values_list("fingerprint", flat=True))


@pytest.fixture
def keeping(record):
    """An active installation of an application that stores refresh tokens."""
    Application.objects.update(stores_refresh_tokens=True)
    Installation.objects.update(status="active")
    return record


@pytest.fixture
def bea(application, record):
    return factories.launch(application, user_id="8", name="Bea")


def test_tombstone_stays_without_any_secret(keeping):
    row = token(keeping, refresh_token="a-refresh-token", expires_at=SOON)

    result = revoke(keeping)

    row.refresh_from_db()
    assert (row.state, row.sealed_access_token, row.sealed_refresh_token) == ("revoked", None, None)
    assert (row.revocation, row.revoked_at) == (result.revocation, result.revocation.cut_at)
    assert (row.seal_key_id, row.expires_at) == ("", SOON)
    assert row.access_fingerprint == vault.fingerprint_of("an-access-token").digest


def test_access_and_refresh_token_are_on_the_deny_list(keeping):
    token(keeping, refresh_token="a-refresh-token")

    result = revoke(keeping)

    assert denied() == set(vault.digests_of("an-access-token", "a-refresh-token"))
    assert {row.revocation for row in RevokedFingerprint.objects.all()} == {result.revocation}
    assert {row.fingerprint_key_id for row in RevokedFingerprint.objects.all()} == {"1"}
    assert is_revoked("an-access-token") is is_revoked("a-refresh-token") is True


def test_row_without_a_refresh_token_denies_its_access_token_only(record):
    token(record)

    revoke(record)

    assert denied() == set(vault.digests_of("an-access-token"))


def test_refresh_token_that_was_wiped_before_is_denied_too(keeping):
    row = token(keeping, refresh_token="a-refresh-token")
    OAuthToken.objects.filter(pk=row.pk).update(sealed_refresh_token=None)

    revoke(keeping)

    assert is_revoked("a-refresh-token") is True


def test_stale_rows_are_cut_too(record):
    row = token(record)
    OAuthToken.objects.update(state="stale", sealed_access_token=None)

    assert revoke(record).tokens_cut == 1

    row.refresh_from_db()
    assert (row.state, is_revoked("an-access-token")) == ("revoked", True)


def test_ledger_says_what_was_cut(record, responder, responding):
    token(record, "first")
    token(record, "second")

    result = revoke(record, responding, " An incident. ")

    ledger = Revocation.objects.get()
    assert ledger == result.revocation
    assert (ledger.scope, ledger.installation, ledger.tokens_cut) == ("installation", record.installation, 2)
    assert (ledger.actor_name, ledger.reason, ledger.upstream) == ("responder", "An incident.", "not_possible")


@pytest.mark.parametrize("scope", ["installation", "portal_user", "token"])
def test_act_is_recorded(record, responder, responding, scope):
    row = token(record)
    narrowed = {"portal_user": {"portal_user": record.portal_user}, "token": {"token": row}}.get(scope, {})
    target = {
        "portal_user": ("portaluser", "acme.flowlu.com/7"),
        "token": ("token", str(row.pk)),
        "installation": ("installation", str(record.installation.pk)),
    }[scope]

    result = revoke(record, responding, "An incident.", **narrowed)

    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("tokens.revoked", *target)
    assert (event.installation_id, event.reason) == (record.installation.pk, "An incident.")
    assert (event.actor_kind, event.actor_id) == ("operator", str(responder.pk))
    assert event.details == {"revocation": result.revocation.pk, "scope": scope, "tokens_cut": 1}


def test_only_that_users_are_cut(record, bea):
    mine, hers = token(record, "mine"), token(bea, "hers")

    assert revoke(record, portal_user=bea.portal_user).tokens_cut == 1

    mine.refresh_from_db()
    hers.refresh_from_db()
    assert (mine.state, hers.state) == ("active", "revoked")
    assert denied() == set(vault.digests_of("hers"))


def test_only_that_token_is_cut(record):
    first, second = token(record, "first"), token(record, "second")

    assert revoke(record, token=second).tokens_cut == 1

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("active", "revoked")
    assert denied() == set(vault.digests_of("second"))


def test_all_of_the_installation_are_cut_and_no_others(application, record, bea):
    there = factories.launch(application, portal="globex.flowlu.com")
    other = factories.launch(factories.application("com.example.other"))
    for each in (record, bea, there, other):
        token(each, f"token-{each.portal_user.pk}-{each.installation.pk}")

    assert revoke(record).tokens_cut == 2

    assert set(OAuthToken.objects.active().values_list("installation", flat=True)) == {
        there.installation.pk,
        other.installation.pk,
    }


def test_user_of_another_installation_cuts_nothing(application, record):
    there = factories.launch(application, portal="globex.flowlu.com")
    token(there, "theirs")
    token(record, "mine")

    with nothing_changes():
        assert revoke(record, portal_user=there.portal_user).tokens_cut == 0


def test_sessions_stay_open_to_be_told(record):
    session = session_on(token(record))
    before = EmbedSession.objects.values().get()

    revoke(record)

    assert EmbedSession.objects.values().get() == before
    assert session.pk == before["id"]
    assert caller_of("session").token_state == "revoked"


def test_installation_and_its_approvals_stay(application):
    found = factories.installation(application, approved=["fin.read"])
    record = factories.launch(application)
    token(record)

    revoke(record)

    found.refresh_from_db()
    assert (found.status, found.approved_permissions.in_force().count()) == ("active", 1)


@pytest.mark.parametrize(
    ("expiries", "expected"),
    [([SOON], SOON), ([SOON, LATER], LATER), ([LATER, SOON], LATER), ([None], None), ([SOON, None], None)],
)
def test_latest_expiry_is_known_only_when_every_one_is(record, expiries, expected):
    for number, expiry in enumerate(expiries):
        token(record, f"token-{number}", expires_at=expiry)

    assert revoke(record).revocation.possibly_alive_until == expected


def test_expiry_of_what_is_not_cut_does_not_count(record, bea):
    token(record, "mine", expires_at=LATER)
    token(bea, "hers", expires_at=SOON)

    assert revoke(record, portal_user=bea.portal_user).revocation.possibly_alive_until == SOON


def test_revoking_again_changes_nothing(record):
    token(record)
    revoke(record)

    with nothing_changes():
        result = revoke(record)

    assert (result.tokens_cut, result.revocation) == (0, None)


def test_nothing_to_revoke_is_success_and_records_nothing(record):
    with nothing_changes():
        assert revoke(record).tokens_cut == 0


def test_very_same_token_is_cut_wherever_it_was_handed_in(record):
    other = factories.application("com.example.other")
    there = factories.launch(other)
    mine, elsewhere, different = token(record, "shared"), token(there, "shared"), token(there, "different")

    assert revoke(record).tokens_cut == 2

    states = dict(OAuthToken.objects.values_list("pk", "state"))
    assert states == {mine.pk: "revoked", elsewhere.pk: "revoked", different.pk: "active"}
    assert denied() == set(vault.digests_of("shared"))


def test_stored_token_that_is_on_the_deny_list_is_of_no_use(application, record):
    there = factories.launch(application, portal="globex.flowlu.com")
    row = token(record, "shared")
    revoke(record)
    # Stored beside the revocation, by a handshake that had read the deny list before it.
    slipped = token(there, "shared")
    session = session_on(slipped)

    caller = caller_of("session")

    assert (caller.session_id, caller.token_state) == (session.pk, "revoked")
    assert row.access_fingerprint == slipped.access_fingerprint


def test_only_once_is_each_act_in_ledger_and_trail(record):
    token(record, "first")
    token(record, "second")

    revoke(record)

    assert Revocation.objects.count() == recorded().count("tokens.revoked") == 1


def test_cost_does_not_grow_with_what_is_cut(application):
    costs = {}
    for count in (3, 30):
        record = factories.launch(application, portal=f"portal{count}.flowlu.com")
        for number in range(count):
            user_id = str(number // MAX_LIVE_TOKENS + 1)
            each = factories.launch(application, portal=f"portal{count}.flowlu.com", user_id=user_id)
            token(each, f"token-{count}-{number}")
        with CaptureQueriesContext(connection) as queries:
            assert revoke(record).tokens_cut == count
        costs[count] = len(queries)

    assert costs[3] == costs[30] <= 20


def test_uninstalled_installation_can_still_be_swept(record):
    token(record)
    Installation.objects.update(status="uninstalled", uninstalled_at=timezone.now())

    assert revoke(record).tokens_cut == 1


def test_missing_installation_is_a_conflict(record):
    with nothing_changes(), pytest.raises(StateConflict, match="no such installation"):
        revoke_tokens(target=RevocationTarget.of_installation(0), actor=ACTOR, reason="For a test.")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(record, reason):
    token(record)

    with nothing_changes(), pytest.raises(ReasonRequired):
        revoke(record, reason=reason)


def test_actor_without_the_permission_is_refused(record, unpermitted):
    token(record)

    with nothing_changes(), pytest.raises(NotPermitted):
        revoke(record, unpermitted)


def test_reviewer_may_not_revoke(record, reviewing):
    token(record)

    with nothing_changes(), pytest.raises(NotPermitted):
        revoke(record, reviewing)


def test_user_revokes_what_their_session_lives_on_and_no_more(record):
    mine, other_tab = token(record, "mine"), token(record, "other-tab")
    session_on(mine)

    result = revoke_own_token(caller=caller_of("session"))

    mine.refresh_from_db()
    other_tab.refresh_from_db()
    event = last_event()
    assert (result.tokens_cut, mine.state, other_tab.state) == (1, "revoked", "active")
    assert (result.revocation.scope, result.revocation.actor_name) == ("token", "acme.flowlu.com/7")
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("portal_user", "acme.flowlu.com/7", "")
    assert (event.via, event.reason) == ("api", "Revoked by the user.")


def test_user_revokes_the_lineage_that_the_session_is_on_by_then(record):
    left, taken = token(record, "left"), token(record, "taken")
    session = session_on(left)
    caller = caller_of("session")
    EmbedSession.objects.filter(pk=session.pk).update(oauth_token=taken)

    revoke_own_token(caller=caller)

    left.refresh_from_db()
    taken.refresh_from_db()
    assert (left.state, taken.state) == ("active", "revoked")


def test_user_revokes_twice_as_once(record):
    session_on(token(record))
    caller = caller_of("session")
    revoke_own_token(caller=caller)

    with nothing_changes():
        assert revoke_own_token(caller=caller).tokens_cut == 0
