"""Refreshes beside refreshes, beside revocations, and in workers that are killed: one redemption, and revoking wins."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application
from tests import factories
from tests.refreshed import access_token_of, refresh_token_of, refreshed_here
from tests.security.races.conftest import PORTAL, Page, endpoints_of
from tests.security.races.invariants import everything_holds
from tests.security.races.victim import POINTS
from tests.security.races.workers import Workers, environment_of, wait_for
from tokens import selectors
from tokens.models import OAuthToken, RefreshAttempt
from tokens.services import wiping
from tokens.services.storing import Pair, store_pair_locked

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("races"), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def served(page: Page, application: Application, refreshing: SandboxServer) -> Page:
    refreshed_here(application)
    return page


def brought(page: Page) -> OAuthToken:
    """Store another pair of the page's user, as a launch brings it, and return its row."""
    pair = page.sandbox.state.issue_tokens(PORTAL, page.user_id)
    with transaction.atomic():
        found = Pair(pair.access_token, pair.refresh_token, timezone.now() + timedelta(hours=1))
        return store_pair_locked(page.installation, page.user, found).token


def order(token: OAuthToken) -> dict[str, Any]:
    return {"job": "refresh", "token": token.pk, "generation": token.generation}


def nothing_was_redeemed_twice(sandbox: SandboxServer) -> None:
    summary = sandbox.state.oauth.summary()
    assert (summary["redeemed_twice"], summary["killed"]) == (0, 0)


def everything_unseals() -> None:
    for token in OAuthToken.objects.exclude(sealed_access_token=None):
        assert access_token_of(token)
    for token in OAuthToken.objects.exclude(sealed_refresh_token=None):
        assert refresh_token_of(token)


def test_one_of_four_redeems_and_no_pair_is_lost(workers: Workers, served: Page) -> None:
    token = brought(served)

    def race(number: int) -> str:
        token.refresh_from_db()

        ended = workers.at_once(*[order(token)] * 4)

        found = sorted(one.value for one in ended)
        assert found.count("fresh") == 1, (found, workers.seed)
        assert set(found) <= {"fresh", "busy", "moved"}, (found, workers.seed)
        generation = token.generation
        token.refresh_from_db()
        assert (token.state, token.generation) == ("active", generation + 1), workers.seed
        assert served.sandbox.state.is_live(access_token_of(token)), workers.seed
        assert served.sandbox.state.is_live(refresh_token_of(token)), workers.seed
        assert served.sandbox.state.oauth.summary()["redemptions"] == number + 1
        return "all at once" if "busy" in found else "one after another"

    workers.rounds(race, expect=("all at once", "one after another"))
    nothing_was_redeemed_twice(served.sandbox)
    assert set(RefreshAttempt.objects.values_list("outcome", flat=True)) == {"fresh"}
    everything_holds()
    everything_unseals()


def test_same_refresh_token_in_two_rows_is_redeemed_once(workers: Workers, served: Page) -> None:
    def race(number: int) -> str:
        one = brought(served)
        with transaction.atomic():
            both = Pair(f"another-access-{number}", refresh_token_of(one), one.expires_at)
            other = store_pair_locked(served.installation, served.user, both).token

        ended = workers.at_once(order(one), order(other))

        assert sorted(found.value for found in ended) == ["fresh", "over"], workers.seed
        OAuthToken.objects.update(state="stale")
        return ended[0].value

    workers.rounds(race, expect=("fresh", "over"))
    nothing_was_redeemed_twice(served.sandbox)


def test_calls_of_backend_code_redeem_once_however_many_need_it(workers: Workers, served: Page) -> None:
    factories.purpose("account-sync", acts_as="user")
    token = brought(served)
    call = {"job": "act", "portal": PORTAL, "app_id": served.application.app_id, "user": served.user_id}

    def race(number: int) -> str:
        OAuthToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())

        ended = workers.at_once(*[call] * 4)

        found = {one.value for one in ended}
        assert found <= {"ok", "flowlu_unavailable"}, (found, workers.seed)
        assert "ok" in found, workers.seed
        assert served.sandbox.state.oauth.summary()["redemptions"] == number + 1, workers.seed
        token.refresh_from_db()
        assert served.sandbox.state.is_live(refresh_token_of(token)), workers.seed
        return "all served" if found == {"ok"} else "some are to come again"

    workers.rounds(race, expect=("all served",))
    nothing_was_redeemed_twice(served.sandbox)


@pytest.mark.parametrize("cut", ["token", "user", "uninstall"])
def test_revoking_beats_refreshing(workers: Workers, served: Page, cut: str) -> None:
    state = served.sandbox.state

    def race(number: int) -> str:
        if cut == "uninstall":
            served.open()
        token = brought(served)
        family = state._by_refresh[refresh_token_of(token)].family
        here = served.installation.pk
        narrowed = {"token": {"token": token.pk}, "user": {"user": served.user.pk}}.get(cut, {})
        act = {"job": "uninstall" if cut == "uninstall" else "revoke", "installation": here} | narrowed

        refreshed, revoked = workers.at_once(order(token), act)

        assert (revoked.refused, bool(revoked.value)) == ("", True), workers.seed
        token.refresh_from_db()
        assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("revoked", None, None)
        # Whatever of the family lives on at Flowlu is worth nothing here.
        for pair in [pair for pair in list(state._by_access.values()) if pair.family == family]:
            assert selectors.is_revoked(pair.access_token), workers.seed
            assert selectors.is_revoked(pair.refresh_token), workers.seed
        outcome = token.refresh_attempts.values_list("outcome", flat=True).first()
        assert outcome in (None, "fresh", "discarded"), (outcome, workers.seed)
        assert (refreshed.value == "fresh") is (outcome == "fresh"), workers.seed
        if number % 50 == 0:
            everything_holds()
        return outcome or "not begun"

    workers.rounds(race, expect=("fresh", "discarded", "not begun"))
    nothing_was_redeemed_twice(served.sandbox)
    everything_holds()
    everything_unseals()


REDEEMED = {"the answer is there", "the pair is not committed", "the pair is stored", "the proof is not committed",
            "the pair is proven", "after it is redeemed"}  # fmt: skip
STORED = {"the pair is stored", "the proof is not committed", "the pair is proven"}
NOT_BEGUN = {"before the attempt", "the attempt is not committed"}


def killed(workers: Workers, page: Page, token: OAuthToken, point: str) -> None:
    """Let a worker die at this point of refreshing the token."""
    sandbox = page.sandbox
    held = {"before it is redeemed": "delay_before", "after it is redeemed": "delay_after"}.get(point)
    if held:
        sandbox.state.oauth.add_fault(held, times=1, delay_seconds=60)
    before = sandbox.state.oauth.summary()["redemptions"]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.security.races.victim", point, str(token.pk), str(token.generation)],
        env=environment_of(workers.portal_url, **endpoints_of(sandbox)),
    ) as victim:
        if held:
            wait_for(lambda: token.refresh_attempts.filter(outcome="started").exists())
            if held == "delay_after":
                wait_for(lambda: sandbox.state.oauth.summary()["redemptions"] > before)
            else:
                wait_for(lambda: not sandbox.state.oauth.faults)
            os.kill(victim.pid, signal.SIGKILL)
        assert victim.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize("revoked_meanwhile", [False, True], ids=["goes on", "is revoked"])
@pytest.mark.parametrize("point", POINTS)
def test_worker_that_is_killed_leaves_nothing_broken(
    workers: Workers, served: Page, point: str, revoked_meanwhile: bool
) -> None:
    token = brought(served)
    generation = token.generation

    killed(workers, served, token, point)

    everything_unseals()
    if revoked_meanwhile:
        [cut] = workers.at_once({"job": "revoke", "installation": token.installation_id, "token": token.pk})
        assert cut.value == 1
    attempt = token.refresh_attempts.first()
    assert (attempt is None) is (point in NOT_BEGUN)
    if attempt is not None:
        assert attempt.outcome == ("fresh" if point in STORED else "started")
    # Before its time is over nobody replays it, and after it neither.
    [again] = workers.at_once(order(OAuthToken.objects.get(pk=token.pk)))
    if point not in NOT_BEGUN | STORED and not revoked_meanwhile:
        assert again.value == "busy"
    RefreshAttempt.objects.filter(outcome="started").update(started_at=timezone.now() - timedelta(minutes=5))
    labelled = wiping.label_lost_attempts(lambda: False)
    assert labelled == (0 if point in NOT_BEGUN | STORED else 1)
    token.refresh_from_db()
    if revoked_meanwhile:
        assert (token.state, token.sealed_access_token, token.sealed_refresh_token) == ("revoked", None, None)
        [again] = workers.at_once(order(token))
        assert again.value == "moved"
    elif point in NOT_BEGUN | STORED:
        # It went on from where it was: with a first attempt, or with the next one.
        assert again.value == "fresh"
        assert token.generation == generation + (1 if point in NOT_BEGUN else 2)
        assert (token.state, served.sandbox.state.is_live(access_token_of(token))) == ("active", True)
    else:
        assert token.refresh_attempts.get().outcome == "unknown"
        assert (token.state, token.sealed_refresh_token, token.generation) == ("active", None, generation)
        [again] = workers.at_once(order(token))
        assert again.value == "over"
    nothing_was_redeemed_twice(served.sandbox)
    everything_holds()
    everything_unseals()
    # The run resumes: the user comes back, and it works.
    served.open()
    assert served.frontend.accounts().status_code == 200


def test_pair_that_waits_for_its_proof_after_a_kill_is_proven_by_the_sweep(workers: Workers, served: Page) -> None:
    both = {"refresh_token": served.frontend.pair.refresh_token, "access_token": served.frontend.pair.access_token}
    assert served.frontend.put("session/token", both).status_code == 204
    token = served.token

    killed(workers, served, token, "the pair is stored")

    token.refresh_from_db()
    assert (token.state, token.needs_proof) == ("stale", True)
    assert wiping.refresh_what_expires(lambda: False) == 1
    assert served.frontend.accounts().status_code == 200
    nothing_was_redeemed_twice(served.sandbox)
