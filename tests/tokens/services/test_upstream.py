"""Telling Flowlu what was revoked: bounded, refresh token first, and never said to be done before it was confirmed."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.flowlu.oauth_endpoint import OAuthEndpoint
from tests import factories
from tests.refreshed import page
from tests.tokens.services.test_refresh_pair import _during_redemption
from tests.unchanged import last_event, nothing_changes, recorded
from tokens import vault
from tokens.models import OAuthToken, Revocation, UpstreamRevocation
from tokens.services import revocation as revocation_verbs
from tokens.services import upstream as upstream_verbs
from tokens.services.refreshing import Ending, refresh_pair
from tokens.services.revocation import resume_revocation, revoke_tokens, uninstall_installation
from tokens.services.storing import Pair, store_pair_locked
from tokens.services.upstream import close_upstream, retry_upstream, sum_up, tell, tell_due
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)
WHY = {"actor": factories.superactor(), "reason": "A test."}


@pytest.fixture
def jose(revoking, application, api):
    return page(revoking, application, api)


def revoke():
    token = OAuthToken.objects.get()
    return revoke_tokens(target=RevocationTarget.of_token(token.pk), **WHY).revocation


def case():
    return UpstreamRevocation.objects.get()


def hints(sandbox):
    counters = sandbox.state.counters()
    return counters.get("oauth:hint:refresh", 0), counters.get("oauth:hint:access", 0)


def come_due():
    UpstreamRevocation.objects.filter(state="pending").update(next_try_at=timezone.now())


def test_revoked_pair_is_taken_back_by_flowlu_and_wiped(revoking, jose):
    revocation = revoke()

    found = case()
    revocation.refresh_from_db()
    assert (found.state, found.attempts, found.error, found.next_try_at) == ("confirmed", 1, "", None)
    assert (found.sealed_access_token, found.sealed_refresh_token, found.seal_key_id) == (None, None, "")
    assert found.confirmed_at is not None
    assert revocation.upstream == "confirmed"
    assert revoking.state.is_live(jose.pair.access_token) is False
    assert revoking.state.is_live(jose.pair.refresh_token) is False
    assert hints(revoking) == (1, 1)
    assert recorded()[-2:] == ["tokens.revoked", "upstream.confirmed"]


def test_without_an_endpoint_nothing_is_kept_and_nothing_told(revoking, jose, settings):
    settings.FLOWLU_REVOCATION_URL = ""

    assert revoke().upstream == "not_possible"
    assert UpstreamRevocation.objects.count() == 0
    assert hints(revoking) == (0, 0)


def test_refresh_token_is_told_first_and_once(revoking, jose):
    revoking.state.oauth.add_fault("delay_before", endpoint="revoke", times=1, delay_seconds=0.01)
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", times=1)

    revoke()

    found = case()
    assert (found.state, found.error) == ("pending", "status_503")
    assert (found.sealed_refresh_token, found.sealed_access_token is None) == (None, False)
    assert hints(revoking) == (1, 0)
    come_due()
    assert tell_due() == 1
    assert case().state == "confirmed"
    assert hints(revoking) == (1, 1)


def test_cut_holds_whatever_the_endpoint_says(revoking, jose):
    revoking.state.oauth.add_fault("reset_before", endpoint="revoke")

    revocation = revoke()

    revocation.refresh_from_db()
    assert revocation.upstream == "pending"
    token = OAuthToken.objects.get()
    assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("revoked", None, None)
    assert jose.accounts().json()["error"] == "token_revoked"


def test_tries_are_bounded_and_then_it_is_irrevocable_for_all_to_see(revoking, jose, settings):
    revoking.state.oauth.add_fault("status_500", endpoint="revoke")

    revocation = revoke()
    for number in range(1, 6):
        found = case()
        assert (found.state, found.attempts) == ("pending", number)
        wait = found.next_try_at - found.last_tried_at
        assert timedelta(seconds=5 * 2 ** (number - 1)) <= wait <= timedelta(seconds=15 * 2 ** (number - 1))
        assert tell_due() == 0
        come_due()
        assert tell_due() == 1

    revocation.refresh_from_db()
    found = case()
    assert (found.state, found.attempts, found.error, found.next_try_at) == ("irrevocable", 6, "status_500", None)
    assert found.sealed_access_token is not None
    assert revocation.upstream == "irrevocable"
    assert tell_due() == 0
    event = last_event()
    assert (event.verb, event.actor_kind) == ("upstream.irrevocable", "system")
    assert event.details["error"] == "status_500"


def test_token_type_that_is_not_supported_is_irrevocable_at_once(revoking, jose):
    revoking.state.oauth.add_fault("unsupported_token_type", endpoint="revoke")

    revoke()

    assert (case().state, case().attempts, case().error) == ("irrevocable", 1, "unsupported_token_type")


def test_retry_after_of_the_endpoint_is_kept_to(revoking, jose):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", retry_after="1800")

    revoke()

    found = case()
    assert timedelta(minutes=29) < found.next_try_at - found.last_tried_at <= timedelta(minutes=30)


def test_value_that_does_not_unseal_is_irrevocable_at_once(revoking, jose):
    OAuthToken.objects.update(sealed_access_token=b"x" * 100, sealed_refresh_token=None)

    revoke()

    assert (case().state, case().error) == ("irrevocable", "undecryptable")
    assert hints(revoking) == (0, 0)


def test_worker_that_died_leaves_its_row_to_the_next(revoking, jose):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", times=1)
    revoke()
    UpstreamRevocation.objects.update(attempts=2, next_try_at=timezone.now() + timedelta(seconds=60))
    assert tell(upstream_id=case().pk) is False

    come_due()
    assert tell(upstream_id=case().pk) is True
    assert (case().state, case().attempts) == ("confirmed", 3)


def test_tries_that_each_end_with_their_worker_are_bounded_too(revoking, jose, settings):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", times=1)
    revoke()
    UpstreamRevocation.objects.update(attempts=settings.UPSTREAM_TRIES)  # as many as were killed left it
    told = hints(revoking)
    come_due()

    assert tell_due() == 1

    assert (case().state, case().error, case().next_try_at) == ("irrevocable", "worker_lost", None)
    assert hints(revoking) == told
    assert last_event().verb == "upstream.irrevocable"


def test_all_of_an_installation_move_in_one_statement(revoking, jose, django_assert_max_num_queries):
    token = OAuthToken.objects.get()
    for number in range(5):
        with transaction.atomic():
            store_pair_locked(token.installation, token.portal_user, Pair(f"access-{number}", f"refresh-{number}"))
    OAuthToken.objects.filter(pk=token.pk).update(state="stale", sealed_access_token=None, sealed_refresh_token=None)
    revoking.state.oauth.add_fault("reset_before", endpoint="revoke")

    with django_assert_max_num_queries(60):
        uninstall_installation(installation_id=token.installation_id, **WHY)

    rows = UpstreamRevocation.objects.select_related("oauth_token").order_by("oauth_token")
    assert rows.count() == 5  # the wiped one has nothing to tell
    found = [vault.unseal_access_token(str(row.oauth_token.uuid), row.sealed_access_token) for row in rows]
    assert found == [f"access-{number}" for number in range(5)]
    assert Revocation.objects.get().tokens_cut == 6


def irrevocable(revoking):
    revoking.state.oauth.add_fault("unsupported_token_type", endpoint="revoke")
    revoke()
    revoking.state.oauth.clear_faults()
    return case()


def test_irrevocable_case_is_tried_again_on_request(revoking, jose, responder):
    found = irrevocable(revoking)

    assert retry_upstream(upstream_id=found.pk, actor=factories.actor(responder), reason="It is back.") is True

    assert case().state == "confirmed"
    assert Revocation.objects.get().upstream == "confirmed"
    assert recorded()[-2:] == ["upstream.retried", "upstream.confirmed"]
    with nothing_changes():
        assert retry_upstream(upstream_id=found.pk, actor=factories.actor(responder), reason="Again.") is False


def test_case_is_closed_anyway_with_a_name_and_a_reason(revoking, jose, superuser):
    found = irrevocable(revoking)

    assert close_upstream(upstream_id=found.pk, actor=factories.actor(superuser), reason="They are gone.") is True

    found = case()
    assert (found.state, found.closed_by, found.closed_reason) == ("closed", "superuser", "They are gone.")
    assert (found.sealed_access_token, found.sealed_refresh_token, found.seal_key_id) == (None, None, "")
    assert Revocation.objects.get().upstream == "closed"
    assert revoking.state.is_live(jose.pair.access_token) is True  # and it says so: closed, not confirmed
    event = last_event()
    assert (event.verb, event.reason, event.actor_name) == ("upstream.closed", "They are gone.", "superuser")
    with nothing_changes():
        assert close_upstream(upstream_id=found.pk, actor=factories.actor(superuser), reason="Again.") is False


def test_closing_needs_a_stronger_permission_than_revoking(revoking, jose, responder, unpermitted):
    found = irrevocable(revoking)

    for actor in (factories.actor(responder), unpermitted):
        with nothing_changes(), pytest.raises(NotPermitted):
            close_upstream(upstream_id=found.pk, actor=actor, reason="A test.")
    with nothing_changes(), pytest.raises(NotPermitted):
        retry_upstream(upstream_id=found.pk, actor=unpermitted, reason="A test.")
    with nothing_changes(), pytest.raises(ReasonRequired):
        close_upstream(upstream_id=found.pk, actor=factories.superactor(), reason=" ")


def test_case_that_is_being_told_is_not_closed(revoking, jose):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke")
    revoke()

    with nothing_changes(), pytest.raises(StateConflict):
        close_upstream(upstream_id=case().pk, **WHY)
    with nothing_changes(), pytest.raises(StateConflict):
        close_upstream(upstream_id=0, **WHY)
    with nothing_changes():
        assert retry_upstream(upstream_id=case().pk, **WHY) is False


def test_pair_that_came_back_after_the_revocation_is_told_too(revoking, jose, monkeypatch):

    token = OAuthToken.objects.get()
    got = _during_redemption(monkeypatch, revoke)

    refresh_pair(token_id=token.pk, generation=token.generation, trigger="call")

    [fresh] = got
    assert UpstreamRevocation.objects.filter(state="confirmed").count() == 2
    assert Revocation.objects.get().upstream == "confirmed"
    assert revoking.state.is_live(fresh.access_token) is False
    assert revoking.state.is_live(fresh.refresh_token) is False


def test_ledger_follows_a_pair_that_came_back_also_when_the_worker_died_before_summing_up(revoking, jose, monkeypatch):
    token = OAuthToken.objects.get()
    _during_redemption(monkeypatch, revoke)
    revoking.state.oauth.add_fault("status_503", endpoint="revoke")
    refresh_pair(token_id=token.pk, generation=token.generation, trigger="call")
    assert Revocation.objects.get().upstream == "pending"
    Revocation.objects.update(upstream="confirmed")  # as it was before

    come_due()
    assert tell_due() == 2

    assert Revocation.objects.get().upstream == "pending"


def test_summing_up_says_nothing_where_there_is_no_case(revoking, jose, settings):
    settings.FLOWLU_REVOCATION_URL = ""
    revocation = revoke()

    with nothing_changes():
        sum_up(revocation_id=revocation.pk)


@pytest.mark.postgresql
def test_pair_that_comes_back_and_a_run_in_batches_do_not_wait_in_a_circle(revoking, jose, monkeypatch):
    token = OAuthToken.objects.get()
    factories.token(token.installation, token.portal_user, "second-token")
    here = RevocationTarget.of_installation(token.installation_id)
    ended, has_ledger_row = {}, threading.Event()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [mine] = cursor.fetchone()
    really_cut = revocation_verbs.cut_next_locked

    def wait_until_the_refresh_waits():
        give_up_at = time.monotonic() + 20
        while time.monotonic() < give_up_at:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s", [mine])
                if cursor.fetchone() != (0,):
                    return
        raise AssertionError("the refresh did not get as far as the row of the ledger")

    def cut(*arguments):
        has_ledger_row.set()
        wait_until_the_refresh_waits()
        return really_cut(*arguments)

    def go_on():
        try:
            ended["run"] = resume_revocation(revocation_id=Revocation.objects.get().pk, batch=1, **WHY).revocation.state
        except Exception as error:
            ended["run"] = repr(error)
        finally:
            connections.close_all()

    def interrupt(_done, _of):
        raise KeyboardInterrupt

    run = threading.Thread(target=go_on)

    def revoke_in_part():
        with pytest.raises(KeyboardInterrupt):
            revoke_tokens(target=here, batch=1, on_progress=interrupt, **WHY)
        monkeypatch.setattr(revocation_verbs, "cut_next_locked", cut)
        run.start()
        assert has_ledger_row.wait(20)

    got = _during_redemption(monkeypatch, revoke_in_part)
    ended["refresh"] = refresh_pair(token_id=token.pk, generation=token.generation, trigger="call")
    run.join(30)

    assert ended == {"refresh": Ending.MOVED, "run": "done"}
    assert Revocation.objects.get().tokens_cut == 2
    assert Revocation.objects.get().upstream == "confirmed"
    assert revoking.state.is_live(got[0].access_token) is False


def test_token_that_holds_nothing_any_more_makes_no_case(revoking, jose):
    OAuthToken.objects.update(
        state="stale", stale_at=timezone.now(), sealed_access_token=None, sealed_refresh_token=None
    )

    assert revoke().upstream == "not_possible"
    assert UpstreamRevocation.objects.count() == 0
    assert hints(revoking) == (0, 0)


def test_case_with_a_refresh_token_only_is_told_with_it_alone(revoking, jose):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", times=1)
    revoke()
    UpstreamRevocation.objects.update(sealed_access_token=None)
    come_due()

    assert tell_due() == 1
    assert case().state == "confirmed"
    assert hints(revoking) == (1, 0)


def test_stopped_sweep_tells_nothing(revoking, jose):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", times=1)
    revoke()
    come_due()

    with nothing_changes():
        assert tell_due(stopped=lambda: True) == 0


def test_try_that_ends_after_another_one_changes_nothing(revoking, jose, monkeypatch):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", times=1)
    revoke()
    come_due()
    real = OAuthEndpoint.revoke

    def tell_slowly(self, *arguments):
        real(self, *arguments)
        monkeypatch.setattr(OAuthEndpoint, "revoke", real)
        come_due()
        assert tell(upstream_id=case().pk) is True  # another worker, which took this one for dead

    monkeypatch.setattr(OAuthEndpoint, "revoke", tell_slowly)

    assert tell(upstream_id=case().pk) is True
    assert case().state == "confirmed"
    assert recorded().count("upstream.confirmed") == 1


def test_revocation_is_confirmed_when_its_last_pair_is(revoking, jose):
    token = OAuthToken.objects.get()
    factories.token(token.installation, token.portal_user, "second-token")
    revoking.state.oauth.add_fault("status_503", endpoint="revoke")
    revoke_tokens(target=RevocationTarget.of_installation(token.installation_id), **WHY)
    revoking.state.oauth.clear_faults()
    come_due()
    first, second = UpstreamRevocation.objects.order_by("pk")

    assert tell(upstream_id=first.pk) is True
    assert (Revocation.objects.get().upstream, recorded().count("upstream.confirmed")) == ("pending", 0)
    assert tell(upstream_id=second.pk) is True
    assert (Revocation.objects.get().upstream, recorded().count("upstream.confirmed")) == ("confirmed", 1)


def test_case_that_another_worker_takes_in_the_same_moment_is_left_to_it(revoking, jose, monkeypatch):
    revoking.state.oauth.add_fault("status_503", endpoint="revoke", times=1)
    revoke()
    come_due()
    Revocation.objects.update(upstream="confirmed")  # so that it sums up before it takes the case
    monkeypatch.setattr(upstream_verbs, "sum_up", lambda revocation_id: UpstreamRevocation.objects.update(attempts=7))

    assert tell(upstream_id=case().pk) is False
    assert hints(revoking) == (0, 0)
