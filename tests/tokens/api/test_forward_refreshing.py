"""Calls on a pair that this service refreshes: before it expires, after a refusal, and what the page is told."""

from typing import Any

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from tests.embedded import Frontend
from tests.refreshed import access_token_of, endings, page, soon
from tokens.models import OAuthToken, RefreshAttempt

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def jose(refreshing: SandboxServer, application: Any, api: Any) -> Frontend:
    return page(refreshing, application, api)


@pytest.fixture
def token(jose: Frontend) -> OAuthToken:
    return OAuthToken.objects.get()


def calls(jose: Frontend) -> list[tuple[str, int]]:
    return [(entry.path, entry.status) for entry in jose.sandbox.state.requests()]


def test_pair_with_time_left_costs_one_read_and_no_refresh(jose: Frontend, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert jose.accounts().status_code == 200
    assert endings() == []


def test_pair_that_is_about_to_expire_is_refreshed_and_proven_first(jose: Frontend, token: OAuthToken) -> None:
    soon(token)
    jose.sandbox.state.clear_requests()

    assert jose.accounts().status_code == 200

    assert calls(jose) == [("core/user/get", 200), ("crm/account/list", 200)]
    assert endings() == [("fresh", "")]
    assert RefreshAttempt.objects.get().trigger == "call"
    assert jose.accounts().status_code == 200
    assert len(endings()) == 1


def test_pair_that_flowlu_refuses_is_refreshed_and_the_call_made_once_more(jose: Frontend, token: OAuthToken) -> None:
    jose.sandbox.state.expire_token(jose.access_token)
    jose.sandbox.state.clear_requests()

    assert jose.accounts().status_code == 200

    assert calls(jose) == [("crm/account/list", 401), ("core/user/get", 200), ("crm/account/list", 200)]
    assert RefreshAttempt.objects.get().trigger == "refused"


def test_second_refusal_is_the_answer(jose: Frontend, token: OAuthToken) -> None:
    jose.sandbox.state.add_fault("acme", "status_401", path="crm")

    response = jose.accounts()

    assert (response.status_code, response.json()["error"]) == (401, "token_stale")
    assert [path for path, _status in calls(jose)].count("crm/account/list") == 2


def test_failure_for_now_uses_what_there_is(jose: Frontend, token: OAuthToken) -> None:
    soon(token)
    jose.sandbox.state.oauth.add_fault("status_503")

    assert jose.accounts().status_code == 200
    assert jose.accounts().status_code == 200
    assert endings() == [("transient", "status_503")]


def test_failure_for_now_with_nothing_left_says_try_later(jose: Frontend, token: OAuthToken) -> None:
    jose.sandbox.state.expire_token(jose.access_token)
    jose.sandbox.state.oauth.add_fault("status_503")

    for _ in range(2):
        response = jose.accounts()
        # Not token_stale: the page would refresh through the SDK and spend the very token that is kept here.
        assert (response.status_code, response.json()["error"]) == (503, "flowlu_unavailable")
    assert endings() == [("transient", "status_503")]


@pytest.mark.parametrize("kind", ["invalid_grant", "reset_after"])
def test_pair_that_cannot_be_refreshed_asks_the_user_back(jose: Frontend, token: OAuthToken, kind: str) -> None:
    jose.sandbox.state.expire_token(jose.access_token)
    jose.sandbox.state.oauth.add_fault(kind)

    for _ in range(2):
        assert jose.accounts().json()["error"] == "token_stale"
    assert len(endings()) == 1


def test_pair_waits_for_its_proof_and_is_used_after_it(jose: Frontend, token: OAuthToken) -> None:
    soon(token)
    jose.sandbox.state.add_fault("acme", "status_500", times=1, path="core")

    assert jose.accounts().json()["error"] == "flowlu_unavailable"
    token.refresh_from_db()
    assert (token.state, token.needs_proof) == ("stale", True)
    assert jose.accounts().status_code == 200
    assert len(endings()) == 1


def test_token_of_another_user_is_never_used(jose: Frontend, token: OAuthToken) -> None:
    soon(token)
    jose.sandbox.state.oauth.add_fault("wrong_user")

    assert jose.accounts().json()["error"] == "token_revoked"
    assert ("crm/account/list", 200) not in calls(jose)


def test_caller_who_finds_another_at_it_uses_the_pair_as_long_as_it_does(jose: Frontend, token: OAuthToken) -> None:
    soon(token)
    RefreshAttempt.objects.create(oauth_token=token, generation=token.generation)

    assert jose.accounts().status_code == 200
    jose.sandbox.state.expire_token(access_token_of(token))
    response = jose.accounts()
    assert (response.status_code, response.json()["error"]) == (503, "flowlu_unavailable")
    assert response["Retry-After"] == "1"


def test_frontends_own_pairs_are_left_to_it(jose: Frontend, token: OAuthToken, application: Any) -> None:
    type(application).objects.update(refreshed_by="frontend")
    soon(token)
    assert jose.accounts().status_code == 200
    jose.sandbox.state.expire_token(jose.access_token)

    assert jose.accounts().json()["error"] == "token_stale"
    assert endings() == []


def test_session_tells_who_refreshes(jose: Frontend) -> None:
    assert jose.get("session").json()["application"]["refreshed_by"] == "server"
