"""Refreshing a stored pair: what each outcome leaves behind, and that no refresh token is ever sent twice."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from installations.flowlu.client import FlowluClient
from installations.flowlu.oauth_endpoint import OAuthEndpoint
from installations.models import AuditEvent, Installation, PortalUser
from installations.services import lock, suspend_installation
from tests import factories
from tests.held import held, wait_for_waiting
from tests.refreshed import access_token_of, endings, hand_over_both, page, refresh_token_of, soon
from tests.unchanged import nothing_changes, recorded
from tokens import vault
from tokens.models import OAuthToken, RefreshAttempt, RevokedFingerprint
from tokens.selectors import is_revoked
from tokens.services.denied import cut_denied
from tokens.services.proving import prove_pair
from tokens.services.refreshing import Ending, label_unknown, refresh_pair
from tokens.services.revocation import configure_application, revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)

CALL = RefreshAttempt.Trigger.CALL
WHY = {"actor": factories.superactor(), "reason": "A test."}


@pytest.fixture
def jose(refreshing, application, api):
    return page(refreshing, application, api)


@pytest.fixture
def token(jose):
    return soon(OAuthToken.objects.get())


def refresh(token):
    return refresh_pair(token_id=token.pk, generation=token.generation, trigger=CALL)


def sent(sandbox):
    return sum(count for name, count in sandbox.state.counters().items() if name.startswith("oauth:token:"))


def test_fresh_pair_is_sealed_unused_until_it_is_proven(refreshing, jose, token):
    old_access, old_refresh = access_token_of(token), refresh_token_of(token)
    generation = token.generation

    assert refresh(token) is Ending.FRESH

    token.refresh_from_db()
    assert (token.state, token.needs_proof, token.generation) == ("stale", True, generation + 1)
    assert refreshing.state.is_live(access_token_of(token)) is True
    assert refreshing.state.is_live(refresh_token_of(token)) is True
    assert (refreshing.state.is_live(old_access), refreshing.state.is_live(old_refresh)) == (False, False)
    assert timedelta(minutes=59) < token.expires_at - timezone.now() < timedelta(minutes=61)
    assert prove_pair(token_id=token.pk, generation=token.generation) is True
    token.refresh_from_db()
    assert (token.state, token.needs_proof, token.stale_at) == ("active", False, None)
    assert endings() == [("fresh", "")]
    assert jose.accounts().status_code == 200
    event = AuditEvent.objects.get(verb="token.refreshed")
    assert (event.actor_kind, event.target_kind, event.target_id) == ("system", "token", str(token.pk))
    assert event.details == {
        "attempt": RefreshAttempt.objects.get().pk,
        "generation": generation,
        "trigger": "call",
    }


def test_answer_without_expires_in_leaves_the_expiry_unknown(refreshing, token):
    refreshing.state.oauth.add_fault("no_expires_in")

    assert refresh(token) is Ending.FRESH
    token.refresh_from_db()
    assert token.expires_at is None


def test_answer_without_a_refresh_token_keeps_the_old_one_which_may_be_redeemed_again(refreshing, token):
    refreshing.state.oauth.add_fault("no_refresh_token")
    old = refresh_token_of(token)

    for _ in range(3):
        assert refresh(token) is Ending.FRESH
        assert refresh_token_of(token) == old

    assert (refreshing.state.oauth.summary()["redemptions"], refreshing.state.oauth.summary()["killed"]) == (3, 0)
    assert list(RefreshAttempt.objects.values_list("refresh_fingerprint", flat=True)) == ["", "", ""]


def test_refused_grant_ends_it_and_is_not_tried_again(refreshing, jose, token):
    refreshing.state.oauth.add_fault("invalid_grant")

    assert refresh(token) is Ending.OVER

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("stale", None, None)
    assert endings() == [("permanent", "invalid_grant")]
    with nothing_changes():
        assert refresh(token) is Ending.OVER
    assert sent(refreshing) == 1
    assert jose.accounts().json()["error"] == "token_stale"
    assert recorded()[-1] == "token.refresh_refused"


@pytest.mark.parametrize("kind", ["status_429", "status_500", "status_503", "invalid_client", "redirect"])
def test_failure_before_redeeming_is_tried_again_later(refreshing, token, kind, all_logs):
    refreshing.state.oauth.add_fault(kind, times=1)
    before = refresh_token_of(token)

    assert refresh(token) is Ending.LATER

    attempt = RefreshAttempt.objects.get()
    assert attempt.outcome == "transient"
    assert refresh_token_of(token) == before
    assert token.state == "active"
    with nothing_changes():
        assert refresh(token) is Ending.LATER
    assert ("does not serve this service" in all_logs.text) is (kind in ("invalid_client", "redirect"))
    RefreshAttempt.objects.update(retry_at=timezone.now())
    assert refresh(token) is Ending.FRESH
    assert list(RefreshAttempt.objects.order_by("pk").values_list("tries", flat=True)) == [1, 2]


def test_retry_waits_as_long_as_the_endpoint_asks(refreshing, token):
    refreshing.state.oauth.add_fault("status_503", retry_after="1800")

    refresh(token)

    wait = RefreshAttempt.objects.get().retry_at - timezone.now()
    assert timedelta(minutes=29) < wait <= timedelta(minutes=30)


def test_tries_are_bounded_and_the_access_token_outlives_them(refreshing, token, settings):
    settings.REFRESH_TRIES = 3
    refreshing.state.oauth.add_fault("status_500")

    for _ in range(3):
        refresh(token)
        RefreshAttempt.objects.filter(outcome="transient").update(retry_at=timezone.now())

    token.refresh_from_db()
    assert (token.state, token.sealed_refresh_token) == ("active", None)
    assert endings() == [("transient", "status_500"), ("transient", "status_500"), ("permanent", "tries_exhausted")]
    assert refresh(token) is Ending.OVER
    assert sent(refreshing) == 3


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("reset_before", "no_connection"),
        ("reset_after", "no_connection"),
        ("delay_before", "timeout"),
        ("delay_after", "timeout"),
        ("close_after", "malformed"),
        ("malformed", "malformed"),
        ("html", "malformed"),
        ("oversized", "too_large"),
        ("wrong_token_type", "malformed"),
        ("status_502", "status_502"),
        ("status_504", "status_504"),
    ],
)
def test_outcome_that_is_unknown_is_never_tried_again(refreshing, jose, token, settings, kind, code):
    settings.OAUTH_TOTAL_SECONDS = 1
    refreshing.state.oauth.add_fault(kind, delay_seconds=3)

    assert refresh(token) is Ending.OVER

    token.refresh_from_db()
    assert endings() == [("unknown", code)]
    assert (token.state, token.sealed_refresh_token, token.sealed_access_token is None) == ("active", None, False)
    refreshing.state.oauth.clear_faults()
    with nothing_changes():
        assert refresh(token) is Ending.OVER
    # What may be spent is not taken back either.
    assert hand_over_both(jose).status_code in (204, 401)
    assert OAuthToken.objects.get().sealed_refresh_token is None
    assert refreshing.state.oauth.summary()["redeemed_twice"] == 0


def test_answer_that_comes_after_the_label_corrects_it(refreshing, token, monkeypatch):
    def label():
        assert label_unknown(attempt_id=RefreshAttempt.objects.get().pk, code="worker_lost") is True

    _during_redemption(monkeypatch, label)

    assert refresh(token) is Ending.FRESH
    assert endings() == [("fresh", "")]
    assert refreshing.state.is_live(refresh_token_of(token)) is True


def test_attempt_that_nobody_is_at_any_more_is_labelled_not_replayed(refreshing, token):
    RefreshAttempt.objects.create(
        oauth_token=token, generation=token.generation, started_at=timezone.now() - timedelta(minutes=5)
    )

    assert refresh(token) is Ending.OVER

    assert endings() == [("unknown", "worker_lost")]
    token.refresh_from_db()
    assert token.sealed_refresh_token is None
    assert sent(refreshing) == 0


def test_attempt_under_way_keeps_everybody_else_out(refreshing, token):
    RefreshAttempt.objects.create(oauth_token=token, generation=token.generation)

    with nothing_changes():
        assert refresh(token) is Ending.BUSY
    assert sent(refreshing) == 0


def test_same_refresh_token_in_another_row_is_redeemed_once(refreshing, jose, token):
    other = factories.token(
        token.installation, token.portal_user, "another-access", refresh_token=refresh_token_of(token)
    )

    assert refresh(token) is Ending.FRESH
    assert refresh(other) is Ending.OVER

    other.refresh_from_db()
    assert (other.sealed_refresh_token, other.state) == (None, "active")
    assert sent(refreshing) == 1


def test_nothing_is_sent_where_it_must_not_be(refreshing, application, token, settings):
    here = Installation.objects.get()
    user = PortalUser.objects.get()

    def refused():
        token.refresh_from_db()
        assert refresh(token) is Ending.OVER

    settings.FLOWLU_CLIENT_SECRET = ""
    refused()
    settings.FLOWLU_CLIENT_SECRET = refreshing.state.oauth.client_secret
    for target in (here, user, application, here.portal):
        target.refresh_from_db()
        lock(target=target, **WHY)
        refused()
        type(target).objects.update(locked_at=None)
    suspend_installation(installation_id=here.pk, **WHY)
    refused()
    Installation.objects.update(status="active")
    type(application).objects.update(refreshed_by="frontend")
    refused()
    type(application).objects.update(refreshed_by="server", stores_refresh_tokens=False)
    refused()
    assert sent(refreshing) == 0
    assert endings() == []


def test_another_generation_is_left_alone(refreshing, token):
    assert refresh_pair(token_id=token.pk, generation=token.generation - 1, trigger=CALL) is Ending.MOVED
    revoke_tokens(target=RevocationTarget.of_installation(token.installation_id), **WHY)
    assert refresh_pair(token_id=token.pk, generation=token.generation, trigger=CALL) is Ending.MOVED
    assert sent(refreshing) == 0


def test_refresh_that_comes_back_after_a_revocation_stores_nothing(refreshing, jose, token, monkeypatch):
    got = _during_redemption(monkeypatch, lambda: revoke_tokens(target=RevocationTarget.of_token(token.pk), **WHY))

    assert refresh(token) is Ending.MOVED

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("revoked", None, None)
    assert endings() == [("discarded", "revoked")]
    assert RevokedFingerprint.objects.count() == 4
    [answer] = got
    again = jose.put("session/token", {"access_token": answer.access_token})
    assert (again.status_code, again.json()["error"]) == (401, "token_revoked")
    assert jose.handshake(access_token=answer.access_token).json()["error"] == "token_revoked"
    assert "token.refresh_discarded" in recorded()


def test_refusal_of_a_pair_that_was_replaced_meanwhile_is_not_about_the_new_one(refreshing, jose, token, monkeypatch):
    def hand_over():
        jose.pair = refreshing.state.issue_tokens("acme.flowlu.com", "2")
        assert jose.hand_over().status_code == 204

    refreshing.state.oauth.add_fault("invalid_grant")
    _during_redemption(monkeypatch, hand_over)

    assert refresh(token) is Ending.MOVED

    assert access_token_of(token) == jose.pair.access_token
    assert endings() == [("permanent", "invalid_grant")]
    assert "token.refresh_refused" not in recorded()


@pytest.mark.parametrize("kind", ["invalid_grant", "status_503"])
def test_attempt_that_found_its_end_meanwhile_is_not_ended_twice(refreshing, token, settings, monkeypatch, kind):
    def end():
        RefreshAttempt.objects.update(outcome="discarded", error="superseded", finished_at=timezone.now())

    settings.REFRESH_TRIES = 1
    refreshing.state.oauth.add_fault(kind)
    _during_redemption(monkeypatch, end)

    assert refresh(token) is Ending.OVER

    assert endings() == [("discarded", "superseded")]
    token.refresh_from_db()
    assert (token.state, token.sealed_refresh_token is None) == ("active", False)
    assert "token.refresh_refused" not in recorded()


def test_pair_that_was_revoked_before_is_not_taken_from_the_endpoint_either(refreshing, token, monkeypatch):
    def deny_what_came():
        there = factories.launch(token.installation.application, user_id="77")
        same = factories.token(there.installation, there.portal_user, got[0].access_token)
        revoke_tokens(target=RevocationTarget.of_token(same.pk), **WHY)

    got = _during_redemption(monkeypatch, deny_what_came)

    assert refresh(token) is Ending.OVER

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("stale", None, None)
    assert endings() == [("permanent", "revoked_pair")]
    assert recorded()[-1] == "token.refresh_refused"


def test_attempt_that_has_ended_is_not_labelled(refreshing, token):
    refresh(token)

    with nothing_changes():
        assert label_unknown(attempt_id=RefreshAttempt.objects.get().pk, code="worker_lost") is False


@pytest.mark.postgresql
def test_same_refresh_token_that_another_row_begins_to_redeem_in_the_same_moment_is_sent_once(refreshing, token):
    other = factories.token(
        token.installation, token.portal_user, "another-access", refresh_token=refresh_token_of(token)
    )
    digest = vault.fingerprint_of(refresh_token_of(token)).digest
    ended = []

    def refresh_it():
        try:
            ended.append(refresh(token))
        finally:
            connections.close_all()

    worker = threading.Thread(target=refresh_it)
    begin = (
        "INSERT INTO tokens_refreshattempt (oauth_token_id, generation, trigger, tries, started_at, outcome, error,"
        " refresh_fingerprint) VALUES (%s, %s, 'call', 1, now(), 'started', '', %s)"
    )
    with held(begin, other.pk, other.generation, digest) as first:
        worker.start()
        wait_for_waiting()
        first.commit()
        worker.join(20)

    assert ended == [Ending.OVER]
    token.refresh_from_db()
    assert (token.state, token.sealed_refresh_token) == ("active", None)
    assert RefreshAttempt.objects.get().oauth_token == other
    assert sent(refreshing) == 0


def test_pair_that_was_handed_over_meanwhile_stays(refreshing, jose, token, monkeypatch):
    def hand_over():
        jose.pair = refreshing.state.issue_tokens("acme.flowlu.com", "2")
        assert jose.hand_over().status_code == 204

    _during_redemption(monkeypatch, hand_over)

    assert refresh(token) is Ending.MOVED

    assert access_token_of(token) == jose.pair.access_token
    assert endings() == [("discarded", "superseded")]
    assert jose.accounts().status_code == 200


def test_setting_that_changed_meanwhile_counts(refreshing, application, token, monkeypatch):
    _during_redemption(
        monkeypatch,
        lambda: configure_application(
            application_id=application.pk,
            stores_refresh_tokens=False,
            allowed_portals=[],
            refreshed_by="frontend",
            **WHY,
        ),
    )

    assert refresh(token) is Ending.FRESH
    token.refresh_from_db()
    assert (token.sealed_refresh_token, token.sealed_access_token is not None) == (None, True)


def test_page_that_is_loaded_again_meanwhile_does_not_lose_the_fresh_pair(refreshing, jose, token, monkeypatch):
    def load_again():
        refreshing.state._keep(jose.pair)  # a portal that has not ended the old access token yet
        assert jose.handshake().status_code == 201

    _during_redemption(monkeypatch, load_again)

    assert refresh(token) is Ending.FRESH
    assert OAuthToken.objects.get().needs_proof is True
    assert jose.accounts().status_code == 200
    assert refreshing.state.oauth.summary()["redeemed_twice"] == 0


def test_launch_without_its_refresh_token_keeps_what_is_stored(refreshing, jose, token):
    before = refresh_token_of(token)

    assert jose.handshake().status_code == 201

    assert refresh_token_of(token) == before


def test_spent_refresh_token_is_not_taken_back_at_a_launch(refreshing, jose, token):
    old = jose.pair
    refresh(token)
    refreshing.state._keep(old)  # a portal that has not ended the old access token yet

    assert jose.handshake(refresh_token=old.refresh_token).status_code == 201

    assert OAuthToken.objects.exclude(pk=token.pk).get().sealed_refresh_token is None


def test_pair_that_the_sdk_refreshed_stays_the_frontends(refreshing, jose, token):
    jose.refresh()

    assert hand_over_both(jose).status_code == 204

    token.refresh_from_db()
    assert (token.state, token.sealed_refresh_token) == ("active", None)
    assert jose.accounts().status_code == 200
    assert sent(refreshing) == 0


def test_token_of_another_user_is_revoked_at_once(refreshing, jose, token, all_logs):
    refreshing.state.oauth.add_fault("wrong_user")

    assert refresh(token) is Ending.FRESH
    token.refresh_from_db()
    assert prove_pair(token_id=token.pk, generation=token.generation) is False

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("revoked", None, None)
    assert endings() == [("permanent", "user_mismatch")]
    assert recorded()[-1] == "tokens.revoked"
    assert "another user" in all_logs.text
    assert jose.accounts().json()["error"] == "token_revoked"


def test_fresh_pair_that_flowlu_refuses_is_given_up(refreshing, token):
    refresh(token)
    token.refresh_from_db()
    refreshing.state.expire_token(access_token_of(token))

    assert prove_pair(token_id=token.pk, generation=token.generation) is False

    token.refresh_from_db()
    assert (token.needs_proof, token.sealed_access_token, token.sealed_refresh_token) == (False, None, None)
    assert endings() == [("permanent", "refused_when_proven")]


def test_undecryptable_refresh_token_is_told_once_and_kept(refreshing, token, all_logs):
    damaged = bytes(token.sealed_refresh_token)[:-1] + bytes([token.sealed_refresh_token[-1] ^ 1])
    OAuthToken.objects.update(sealed_refresh_token=damaged)

    assert refresh(token) is Ending.OVER
    with nothing_changes():
        assert refresh(token) is Ending.OVER

    token.refresh_from_db()
    assert bytes(token.sealed_refresh_token) == damaged
    assert endings() == [("permanent", "undecryptable")]
    assert sent(refreshing) == 0
    assert "does not unseal" in all_logs.text


def test_proof_of_what_is_not_there_is_none(refreshing, token):
    with nothing_changes():
        assert prove_pair(token_id=token.pk, generation=token.generation) is False
        assert prove_pair(token_id=0, generation=1) is False


def test_fresh_pair_that_does_not_unseal_waits_for_no_proof(refreshing, token, all_logs):
    refresh(token)
    token.refresh_from_db()
    OAuthToken.objects.update(sealed_access_token=b"damaged")

    assert prove_pair(token_id=token.pk, generation=token.generation) is False

    token.refresh_from_db()
    assert (token.needs_proof, bytes(token.sealed_access_token)) == (False, b"damaged")
    assert f"Token #{token.pk} does not unseal" in all_logs.text


@pytest.mark.parametrize(("refused", "may"), [(False, True), (True, False)])
def test_pair_that_another_worker_proved_meanwhile_is_left_as_it_is(refreshing, token, monkeypatch, refused, may):
    refresh(token)
    token.refresh_from_db()
    if refused:
        refreshing.state.expire_token(access_token_of(token))
    real = FlowluClient.current_user

    def ask(self, portal, access_token):
        try:
            return real(self, portal, access_token)
        finally:
            OAuthToken.objects.update(state="active", needs_proof=False, stale_at=None)

    monkeypatch.setattr(FlowluClient, "current_user", ask)

    assert prove_pair(token_id=token.pk, generation=token.generation) is may

    token.refresh_from_db()
    assert (token.state, token.sealed_access_token is None) == ("active", False)
    assert endings() == [("fresh", "")]


@pytest.fixture
def deny(token):
    """Put what the row holds on the deny list, as a revocation of the same token elsewhere does."""

    def put(column="access_fingerprint"):
        there = factories.launch(token.installation.application, user_id="77")
        gone = factories.token(there.installation, there.portal_user, "gone")
        revocation = revoke_tokens(target=RevocationTarget.of_token(gone.pk), **WHY).revocation
        RevokedFingerprint.objects.create(
            fingerprint=getattr(token, column),
            fingerprint_key_id=token.fingerprint_key_id,
            revocation=revocation,
            revoked_at=timezone.now(),
        )
        return revocation

    return put


def assert_cut_under(revocation, token):
    token.refresh_from_db()
    revocation.refresh_from_db()
    assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("revoked", None, None)
    assert (token.revocation, revocation.tokens_cut) == (revocation, 2)
    assert OAuthToken.objects.filter(revocation=revocation).count() == 2
    event = AuditEvent.objects.filter(verb="tokens.revoked").latest("sequence")
    assert (event.actor_kind, event.target_id) == ("system", str(token.pk))
    assert (event.details["tokens_cut"], event.details["in_all"]) == (1, 2)


@pytest.mark.parametrize("column", ["access_fingerprint", "refresh_fingerprint"])
def test_token_that_was_revoked_elsewhere_is_cut_instead_of_refreshed(refreshing, jose, token, deny, column):
    revocation = deny(column)

    assert refresh(token) is Ending.MOVED

    assert sent(refreshing) == 0
    assert endings() == []
    assert_cut_under(revocation, token)
    assert jose.accounts().json()["error"] == "token_revoked"
    with nothing_changes():
        assert refresh(token) is Ending.MOVED
        assert cut_denied(token_id=token.pk) == 0


def test_token_that_is_revoked_elsewhere_meanwhile_gets_no_new_pair(refreshing, jose, token, deny, monkeypatch):
    cuts = []
    got = _during_redemption(monkeypatch, lambda: cuts.append(deny()))

    assert refresh(token) is Ending.MOVED

    [answer], [revocation] = got, cuts
    assert_cut_under(revocation, token)
    assert endings() == [("discarded", "revoked")]
    assert is_revoked(answer.access_token)
    assert is_revoked(answer.refresh_token)
    assert jose.accounts().json()["error"] == "token_revoked"


def test_token_that_is_not_denied_is_not_cut(token):
    with nothing_changes():
        assert cut_denied(token_id=token.pk) == 0


def _during_redemption(monkeypatch, act):
    """Let something happen after the endpoint redeemed and before the answer is written."""
    real = OAuthEndpoint.redeem
    got = []

    def redeem(self, portal, refresh_token):
        try:
            answer = real(self, portal, refresh_token)
            got.append(answer)
        finally:
            act()
        return answer

    monkeypatch.setattr(OAuthEndpoint, "redeem", redeem)
    return got
