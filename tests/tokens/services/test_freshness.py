"""What a call asks before it uses a pair that is refreshed here: it never holds a thread beyond its portal's places."""

from typing import Any

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from installations.errors import FlowluUnavailable, RateLimited
from installations.flowlu.configured import flowlu_client
from tests.embedded import Frontend
from tests.refreshed import endings, page
from tests.unchanged import nothing_changes
from tokens import selectors
from tokens.access import Caller
from tokens.models import OAuthToken, RefreshAttempt
from tokens.services.freshness import fresh_caller

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
