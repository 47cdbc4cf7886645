"""Backend calls on a pair that this service refreshes, while the user has no page open."""

from typing import Any

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, Installation, Portal
from installations.services import withdraw_scopes
from tests import factories
from tests.backend import Backend
from tests.embedded import Frontend
from tests.refreshed import access_token_of, endings, page, refreshed_here, soon
from tests.unchanged import nothing_changes
from tokens import backend_reads
from tokens.backend_access import BackendCall
from tokens.models import OAuthToken, Purpose, RefreshAttempt, ServiceCall, ServiceClient
from tokens.services.purposes import switch_purpose
from tokens.services.revocation import revoke_tokens
from tokens.services.service_clients import renew_service_key, switch_service_client
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def jose(refreshing: SandboxServer, application: Application, api: Any) -> Frontend:
    found = page(refreshing, application, api)
    assert found.delete("session").status_code == 204  # and went home
    refreshing.state.clear_requests()
    return found


@pytest.fixture
def token(jose: Frontend) -> OAuthToken:
    return OAuthToken.objects.get()


@pytest.fixture
def backend(jose: Frontend) -> Backend:
    made = factories.service_client(
        purposes=[factories.purpose()],
        applications=list(Application.objects.all()),
        portals=list(Portal.objects.all()),
    )
    return Backend(made.key)


def calls(jose: Frontend) -> list[tuple[str, int]]:
    return [(entry.path, entry.status) for entry in jose.sandbox.state.requests()]


def outcomes() -> list[tuple[str, int | None]]:
    return list(ServiceCall.objects.order_by("pk").values_list("outcome", "oauth_token_id"))


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_pair_that_is_about_to_expire_is_refreshed_and_proven_first(
    jose: Frontend, token: OAuthToken, backend: Backend
) -> None:
    soon(token)

    assert backend.get().status_code == 200

    assert calls(jose) == [("core/user/get", 200), ("crm/account/list", 200)]
    assert endings() == [("fresh", "")]
    assert outcomes() == [("ok", token.pk)]
    assert backend.get().status_code == 200
    assert len(endings()) == 1


def test_pair_that_flowlu_refuses_is_refreshed_and_the_call_made_once_more(
    jose: Frontend, token: OAuthToken, backend: Backend
) -> None:
    jose.sandbox.state.expire_token(jose.access_token)

    assert backend.post("crm/account/create", {"name": "Nueva"}).status_code == 200

    assert calls(jose) == [("crm/account/create", 401), ("core/user/get", 200), ("crm/account/create", 200)]
    assert RefreshAttempt.objects.get().trigger == "refused"
    assert outcomes() == [("ok", token.pk)]


def test_stale_pair_is_refreshed_first(jose: Frontend, token: OAuthToken, backend: Backend) -> None:
    OAuthToken.objects.update(state="stale", stale_at=token.stored_at)

    assert backend.get().status_code == 200

    assert calls(jose) == [("core/user/get", 200), ("crm/account/list", 200)]


def test_pair_that_waits_for_its_proof_is_proven_first(jose: Frontend, token: OAuthToken, backend: Backend) -> None:
    soon(token)
    jose.sandbox.state.add_fault("acme", "status_500", times=1, path="core")
    assert error(backend.get()) == (503, "flowlu_unavailable")

    assert backend.get().status_code == 200
    assert len(endings()) == 1
    assert [outcome for outcome, _token in outcomes()] == ["flowlu_unavailable", "ok"]


def test_second_refusal_is_the_answer(jose: Frontend, token: OAuthToken, backend: Backend) -> None:
    jose.sandbox.state.add_fault("acme", "status_401", path="crm")

    assert error(backend.get()) == (403, "token_stale")
    assert [path for path, _status in calls(jose)].count("crm/account/list") == 2
    assert outcomes() == [("token_stale", token.pk)]


def test_failure_for_now_uses_what_there_is(jose: Frontend, token: OAuthToken, backend: Backend) -> None:
    soon(token)
    jose.sandbox.state.oauth.add_fault("status_503")

    assert backend.get().status_code == 200
    assert endings() == [("transient", "status_503")]
    jose.sandbox.state.expire_token(access_token_of(token))
    assert error(backend.get()) == (503, "flowlu_unavailable")


@pytest.mark.parametrize("kind", ["invalid_grant", "reset_after"])
def test_pair_that_cannot_be_refreshed_asks_the_user_back(
    jose: Frontend, token: OAuthToken, backend: Backend, kind: str
) -> None:
    jose.sandbox.state.expire_token(jose.access_token)
    jose.sandbox.state.oauth.add_fault(kind)

    for _ in range(2):
        assert error(backend.get()) == (403, "token_stale")
    assert len(endings()) == 1


def test_token_of_another_user_is_never_used(jose: Frontend, token: OAuthToken, backend: Backend) -> None:
    soon(token)
    jose.sandbox.state.oauth.add_fault("wrong_user")

    assert error(backend.get())[0] == 403
    assert ("crm/account/list", 200) not in calls(jose)


@pytest.mark.parametrize("change", ["withdrawn", "revoked", "purpose off", "client off", "new key"])
def test_what_is_cut_while_the_refresh_takes_its_time_is_not_used(
    jose: Frontend, token: OAuthToken, backend: Backend, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon(token)
    read, seen = backend_reads.decision_of, []

    def read_and_cut(*arguments: Any) -> BackendCall:
        if len(seen) == 1:  # asked anew, after the refresh
            why: dict[str, Any] = {"actor": factories.superactor(), "reason": "A test."}
            if change == "purpose off":
                switch_purpose(purpose_id=Purpose.objects.get().pk, on=False, **why)
            elif change == "client off":
                switch_service_client(client_id=ServiceClient.objects.get().pk, on=False, **why)
            elif change == "new key":
                renew_service_key(client_id=ServiceClient.objects.get().pk, **why)
            elif change == "revoked":
                revoke_tokens(target=RevocationTarget.of_token(token.pk), **why)
            else:
                here = Installation.objects.get().pk
                withdraw_scopes(installation_id=here, codes=["crm.accounts"], **why)
        seen.append(read(*arguments))
        return seen[-1]

    monkeypatch.setattr(backend_reads, "decision_of", read_and_cut)

    refusal = {
        "withdrawn": (403, "insufficient_scope"),
        "revoked": (403, "no_credential"),
        "purpose off": (403, "purpose_disabled"),
        "client off": (401, "invalid_client"),
        "new key": (401, "invalid_client"),
    }[change]
    assert error(backend.get()) == refusal
    assert calls(jose) == [("core/user/get", 200)]


def test_refused_call_refreshes_nothing(jose: Frontend, token: OAuthToken, backend: Backend) -> None:
    soon(token)
    with nothing_changes(but=["tokens.ServiceCall"]):
        assert error(backend.get("task/tasks/list"))[0] == 403
    assert calls(jose) == []


def test_frontends_own_pairs_are_left_to_it(jose: Frontend, token: OAuthToken, backend: Backend) -> None:
    Application.objects.update(refreshed_by="frontend")
    soon(token)
    assert backend.get().status_code == 200
    jose.sandbox.state.expire_token(jose.access_token)

    assert error(backend.get()) == (403, "token_stale")
    assert endings() == []


def test_another_active_token_of_the_user_comes_before_a_refresh(
    jose: Frontend, token: OAuthToken, backend: Backend
) -> None:
    OAuthToken.objects.update(state="stale", stale_at=token.stored_at)
    refreshed_here(Application.objects.get())
    other = jose.sandbox.state.issue_tokens("acme.flowlu.com", "2")
    row = factories.token(token.installation, token.portal_user, other.access_token)

    assert backend.get().status_code == 200
    assert outcomes() == [("ok", row.pk)]
    assert endings() == []
