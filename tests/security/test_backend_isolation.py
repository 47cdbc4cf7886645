"""Backend use over two portals, two applications and several users: each client reaches its own pairs and no other."""

import itertools
from typing import Any

import pytest
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, Installation, Portal
from installations.services import approve_scopes
from tests import factories
from tests.backend import Backend
from tests.embedded import Frontend
from tokens.models import ApiKey, OAuthToken, Purpose, ServiceCall
from tokens.services.api_keys import revoke_api_key
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)

PORTALS = ("acme.flowlu.com", "globex.flowlu.com")
OTHER_APP = "com.example.other"
APPS = (factories.APP_ID, OTHER_APP)


@pytest.fixture
def keys(sandbox: SandboxServer, application: Application) -> dict[tuple[str, str], str]:
    """Both applications on both portals, opened by user 2 of each, each installation with an API key of its own."""
    factories.application(OTHER_APP)
    factories.purpose("sync")
    nightly = factories.purpose("nightly", acts_as="system")
    found = {}
    for portal, app_id in itertools.product(PORTALS, APPS):
        frontend = Frontend(APIClient(raise_request_exception=False), sandbox, portal)
        assert frontend.handshake(app_id=app_id).status_code == 201
        installation = Installation.objects.get(portal__domain=portal, application__app_id=app_id)
        approve_scopes(
            installation_id=installation.pk,
            requested=["crm.accounts.full"],
            actor=factories.superactor(),
            reason="A test.",
        )
        found[portal, app_id] = sandbox.state.create_api_key(portal)
        factories.api_key(installation, found[portal, app_id], purposes=[nightly])
    sandbox.state.clear_requests()
    return found


def client(name: str, purposes: list[str], apps: list[str], portals: list[str]) -> str:
    return factories.service_client(
        name,
        purposes=list(Purpose.objects.filter(code__in=purposes)),
        applications=list(Application.objects.filter(app_id__in=apps)),
        portals=list(Portal.objects.filter(domain__in=portals)),
    ).key


def test_client_reaches_its_own_pairs_and_nothing_else(
    keys: dict[tuple[str, str], str], sandbox: SandboxServer
) -> None:
    """Every client that may do one thing in one place, asked for everything everywhere."""
    kinds = {"sync": "user:{}@{}/2", "nightly": "system:{}@{}"}
    for number, mine in enumerate(itertools.product(kinds, APPS, PORTALS)):
        key = client(f"client {number}", [mine[0]], [mine[1]], [mine[2]])
        for purpose, app_id, portal in itertools.product(kinds, APPS, PORTALS):
            sandbox.state.clear_requests()
            response = Backend(key, purpose=purpose, act_as=kinds[purpose].format(app_id, portal)).get()
            sent = [(r.portal, r.auth, r.user_id) for r in sandbox.state.requests()]
            if (purpose, app_id, portal) == mine:
                assert response.status_code == 200
                assert sent == [(portal, "token", "2") if purpose == "sync" else (portal, "api_key", None)]
            else:
                assert response.status_code == 403
                assert response.json()["error"] in {
                    "purpose_not_allowed",
                    "application_not_allowed",
                    "portal_not_allowed",
                }
                assert sent == []
    assert ServiceCall.objects.count() == 64


def test_each_call_uses_the_credential_of_its_own_installation(keys: dict[tuple[str, str], str]) -> None:
    key = client("all", ["sync", "nightly"], list(APPS), list(PORTALS))
    for portal, app_id in keys:
        assert Backend(key, purpose="sync", act_as=f"user:{app_id}@{portal}/2").get().status_code == 200
        assert Backend(key, purpose="nightly", act_as=f"system:{app_id}@{portal}").get().status_code == 200

    for call in ServiceCall.objects.select_related("oauth_token", "api_key"):
        used: Any = call.oauth_token or call.api_key
        assert used.installation_id == call.installation_id


@pytest.mark.parametrize("kind", ["token", "key"])
def test_what_is_revoked_in_one_place_goes_on_in_all_others(keys: dict[tuple[str, str], str], kind: str) -> None:
    key = client("all", ["sync", "nightly"], list(APPS), list(PORTALS))
    here = Installation.objects.get(portal__domain=PORTALS[0], application__app_id=APPS[0])
    if kind == "token":
        revoke_tokens(target=RevocationTarget.of_installation(here.pk), actor=factories.superactor(), reason="A test.")
        purpose, act_as = "sync", "user:{}@{}/2"
    else:
        row = ApiKey.objects.get(installation=here)
        revoke_api_key(api_key_id=row.pk, actor=factories.superactor(), reason="A test.")
        purpose, act_as = "nightly", "system:{}@{}"

    found = {
        (portal, app_id): Backend(key, purpose=purpose, act_as=act_as.format(app_id, portal)).get().status_code
        for portal, app_id in keys
    }

    assert found.pop((PORTALS[0], APPS[0])) == 403
    assert set(found.values()) == {200}


def test_users_of_one_installation_are_apart(keys: dict[tuple[str, str], str], sandbox: SandboxServer) -> None:
    second = Frontend(APIClient(raise_request_exception=False), sandbox, PORTALS[0], "3").open()
    key = client("sync", ["sync"], [APPS[0]], [PORTALS[0]])
    act_as = f"user:{APPS[0]}@{PORTALS[0]}/"
    sandbox.state.expire_token(second.access_token)
    sandbox.state.clear_requests()

    assert Backend(key, purpose="sync", act_as=act_as + "3").get().json()["error"] == "token_stale"
    assert Backend(key, purpose="sync", act_as=act_as + "2").get().status_code == 200
    assert [r.user_id for r in sandbox.state.requests()] == [None, "2"]
    assert OAuthToken.objects.filter(state="stale").get().portal_user.flowlu_user_id == "3"


def test_embedded_api_never_uses_an_api_key(keys: dict[tuple[str, str], str], sandbox: SandboxServer) -> None:
    page = Frontend(APIClient(raise_request_exception=False), sandbox, PORTALS[0]).open()
    sandbox.state.expire_token(page.access_token)
    sandbox.state.clear_requests()

    headers = {"X-Purpose": "nightly", "X-Act-As": f"system:{APPS[0]}@{PORTALS[0]}"}
    for _ in range(2):
        refused = page.api.get("/api/v1/flowlu/crm/account/list", headers={**page.headers, **headers})
        assert refused.json()["error"] == "token_stale"

    assert [r.auth for r in sandbox.state.requests()] == ["token"]
    assert ServiceCall.objects.count() == 0


def test_rows_name_who_acted_for_whom_and_only_them(keys: dict[tuple[str, str], str]) -> None:
    key = client("sync", ["sync"], [APPS[0]], [PORTALS[0]])
    Backend(key, purpose="sync", act_as=f"user:{APPS[0]}@{PORTALS[0]}/2").get()

    named = ServiceCall.objects.values_list(
        "portal_user__portal__domain", "portal_user__flowlu_user_id", "service_client__name", "purpose__code"
    )
    assert list(named) == [(PORTALS[0], "2", "sync", "sync")]
