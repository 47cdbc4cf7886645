"""What a call asks before it uses a pair that is refreshed here: it never holds a thread beyond its portal's places."""

from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from flowlu_admin.sandbox.server import SandboxServer
from installations.errors import FlowluUnavailable, InvalidSession, PortalUnreached, RateLimited, TokenStale
from installations.flowlu.configured import flowlu_client
from tests.embedded import Frontend
from tests.refreshed import endings, page
from tests.unchanged import nothing_changes
from tokens import selectors
from tokens.access import Caller
from tokens.models import OAuthToken, RefreshAttempt
from tokens.services import freshness
from tokens.services.freshness import caller_after_refusal, fresh, fresh_caller

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def one_place(settings: Any) -> None:
    settings.PORTAL_CONCURRENCY = 1


@pytest.fixture
def jose(refreshing: SandboxServer, application: Any, api: Any) -> Frontend:
    return page(refreshing, application, api)


@pytest.fixture
def stale(jose: Frontend) -> Caller:
    OAuthToken.objects.update(state="stale", stale_at=OAuthToken.objects.get().stored_at)
    found = selectors.caller_of_session(OAuthToken.objects.get().sessions.get().pk)
    assert found is not None
    return found


def test_refreshing_holds_a_place_and_gives_it_back(stale: Caller) -> None:
    assert fresh_caller(stale).token_state == "active"
    assert endings() == [("fresh", "")]
    with flowlu_client().place(stale.portal):
        pass


def test_nothing_is_begun_without_a_place(stale: Caller) -> None:
    with flowlu_client().place(stale.portal):
        with nothing_changes(), pytest.raises(RateLimited) as refused:
            fresh_caller(stale)
        assert refused.value.headers() == {"Retry-After": "1"}
    assert endings() == []
    assert fresh_caller(stale).token_state == "active"


def test_nothing_is_begun_for_a_portal_that_is_not_asked(stale: Caller, settings: Any) -> None:
    for _ in range(settings.PORTAL_FAILURES):
        flowlu_client()._breaker.failed(stale.portal)

    with nothing_changes(), pytest.raises(PortalUnreached) as refused:
        fresh_caller(stale)

    assert refused.value.headers() == {"Retry-After": str(settings.PORTAL_PAUSE_SECONDS)}
    assert endings() == []


def test_places_of_another_portal_are_its_own(stale: Caller) -> None:
    with flowlu_client().place("globex.flowlu.com"):
        assert fresh_caller(stale).token_state == "active"


def test_waiting_for_another_holds_a_place_and_ends_soon(stale: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    RefreshAttempt.objects.create(oauth_token_id=stale.token_id, generation=stale.token_generation)
    taken: list[bool] = []
    seen = selectors.caller_of_session

    def look(session_id: int) -> Caller | None:
        try:
            with flowlu_client().place(stale.portal):
                taken.append(False)
        except RateLimited:
            taken.append(True)
        return seen(session_id)

    monkeypatch.setattr(selectors, "caller_of_session", look)
    with pytest.raises(FlowluUnavailable) as refused:
        fresh_caller(stale)

    assert refused.value.headers() == {"Retry-After": "1"}
    assert set(taken) == {True}
    with flowlu_client().place(stale.portal):
        pass


def test_caller_waits_for_the_pair_that_another_worker_brings(stale: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    other = RefreshAttempt.objects.create(oauth_token_id=stale.token_id, generation=stale.token_generation)

    def meanwhile(_seconds: float) -> None:
        RefreshAttempt.objects.filter(pk=other.pk).update(outcome="fresh", finished_at=timezone.now())
        OAuthToken.objects.update(state="active", stale_at=None, generation=stale.token_generation + 1)

    monkeypatch.setattr(freshness.time, "sleep", meanwhile)

    found = fresh_caller(stale)

    assert (found.token_state, found.token_generation) == ("active", stale.token_generation + 1)
    assert endings() == [("fresh", "")]


def test_session_that_ends_meanwhile_gets_no_fresh_pair(stale: Caller, jose: Frontend) -> None:
    OAuthToken.objects.update(generation=stale.token_generation + 1)
    assert jose.delete("session").status_code == 204

    with pytest.raises(InvalidSession):
        fresh_caller(stale)


def test_pair_that_may_not_be_refreshed_asks_the_user_back(stale: Caller, settings: Any) -> None:
    settings.FLOWLU_TOKEN_URL = ""

    with pytest.raises(TokenStale):
        fresh_caller(stale)
    assert endings() == []


def test_pair_that_moves_on_faster_than_anybody_can_look_is_left_to_the_others(stale: Caller) -> None:
    looks: list[Caller] = []

    def again() -> Caller:
        looks.append(replace(stale, token_generation=stale.token_generation + 100 + len(looks)))
        return looks[-1]

    with pytest.raises(FlowluUnavailable) as refused:
        fresh(replace(stale, token_generation=stale.token_generation + 99), again)

    assert refused.value.headers() == {"Retry-After": "1"}
    assert len(looks) == 5
    assert endings() == []


def test_refused_pair_without_a_refresh_token_asks_the_user_back(jose: Frontend) -> None:
    OAuthToken.objects.update(sealed_refresh_token=None)
    jose.sandbox.state.expire_token(jose.access_token)
    caller = selectors.caller_of_session(OAuthToken.objects.get().sessions.get().pk)
    assert caller is not None

    assert caller_after_refusal(caller) is None
    assert jose.accounts().json()["error"] == "token_stale"
    assert endings() == []
