"""Who may call: tokens bound to user and portal, keys without a user, approved scopes, user rights, the rate limit."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from flowlu_admin.sandbox.book import SandboxError
from flowlu_admin.sandbox.rights import covers
from flowlu_admin.sandbox.server import SandboxServer
from tests.flowlu_admin.sandbox.conftest import Client


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer "}])
def test_without_a_known_token_it_is_401_with_code_11(client: Client, headers: dict[str, str]) -> None:
    answer = client.request("GET", "/acme.flowlu.com/api/v1/module/core/user/get", headers=headers)
    assert (answer.status, answer.error_code) == (401, 11)


def test_a_portal_may_answer_code_11_with_http_200(client: Client, sandbox: SandboxServer) -> None:
    sandbox.state.configure("acme", auth_failure="error_11")
    answer = client.call("core/user/get", "nonsense")
    assert (answer.status, answer.error_code) == (200, 11)


def test_a_token_in_a_parameter_is_no_credential(client: Client, token: str) -> None:
    assert client.call("core/user/get", query={"access_token": token}).status == 401
    assert client.call("core/user/get", query={"api_key": token}).status == 401


def test_only_bearer_is_taken(client: Client, token: str) -> None:
    path = "/acme.flowlu.com/api/v1/module/core/user/get"
    assert client.request("GET", path, headers={"Authorization": f"Token {token}"}).status == 401
    assert client.request("GET", path, headers={"Authorization": f"bearer {token}"}).status == 200


@pytest.mark.parametrize("portal", ["globex.flowlu.com", "nowhere.flowlu.com"])
def test_a_token_works_on_the_portal_of_its_user_only(client: Client, token: str, portal: str) -> None:
    answer = client.call("core/user/get", token, portal=portal)
    assert (answer.status, answer.error_code) == (401, 11)


def test_an_expired_token_is_refused_until_it_is_refreshed(client: Client, sandbox: SandboxServer) -> None:
    pair = sandbox.state.issue_tokens("acme", "2")
    sandbox.state.expire_token(pair.access_token)
    assert client.call("core/user/get", pair.access_token).status == 401
    renewed = sandbox.state.refresh(pair.refresh_token)
    assert client.call("core/user/get", renewed.access_token).json["response"]["id"] == "2"


def test_a_lifetime_runs_out_by_itself(client: Client, sandbox: SandboxServer) -> None:
    pair = sandbox.state.issue_tokens("acme", "2", expires_in=1)
    assert client.call("core/user/get", pair.access_token).status == 200
    time.sleep(1.1)
    assert client.call("core/user/get", pair.access_token).status == 401


def test_a_refresh_ends_the_old_pair_and_works_once(client: Client, sandbox: SandboxServer) -> None:
    old = sandbox.state.issue_tokens("acme", "2")
    new = sandbox.state.refresh(old.refresh_token)
    assert client.call("core/user/get", old.access_token).status == 401
    assert client.call("core/user/get", new.access_token).status == 200
    assert (new.portal, new.user_id, new.app_id) == (old.portal, old.user_id, old.app_id)
    with pytest.raises(SandboxError, match="used up"):
        sandbox.state.refresh(old.refresh_token)


def test_expiry_is_utc_text_without_a_zone(sandbox: SandboxServer) -> None:
    sandbox.state.configure("acme", access_lifetime=7200)
    text = sandbox.state.as_sdk(sandbox.state.issue_tokens("acme", "1"))["expires_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)
    left = datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(seconds=7190) < left <= timedelta(seconds=7200)


def test_removing_the_application_ends_its_tokens_on_that_portal_only(client: Client, sandbox: SandboxServer) -> None:
    gone = sandbox.state.issue_tokens("acme", "2")
    stays = sandbox.state.issue_tokens("globex", "2")
    assert sandbox.state.remove_application("acme") == 1
    assert client.call("core/user/get", gone.access_token).status == 401
    assert client.call("core/user/get", stays.access_token, portal="globex.flowlu.com").status == 200
    with pytest.raises(SandboxError, match="unknown"):
        sandbox.state.refresh(gone.refresh_token)
    with pytest.raises(SandboxError, match="not installed"):
        sandbox.state.issue_tokens("acme", "2")
    sandbox.state.install_application("acme")
    assert client.call("core/user/get", sandbox.state.issue_tokens("acme", "2").access_token).status == 200


def test_a_token_is_in_no_repr(sandbox: SandboxServer) -> None:
    pair = sandbox.state.issue_tokens("acme", "2")
    assert pair.access_token not in repr(pair)
    assert pair.refresh_token not in repr(pair)


def test_a_key_is_the_system_and_has_no_user(client: Client, sandbox: SandboxServer) -> None:
    key = sandbox.state.create_api_key("acme")
    assert re.fullmatch(r"[A-Za-z0-9]{51}", key)
    assert client.call("crm/account/list", query={"api_key": key}).json["response"]["total"] == 34
    assert client.call("crm/account/list", form={"api_key": key}).json["response"]["total"] == 34
    created = client.call("crm/account/create", form={"api_key": key, "name": "By key"})
    assert "id" in created.json["response"]
    assert client.call("core/user/get", query={"api_key": key}).status == 401
    assert client.call("core/user/get/1", query={"api_key": key}).json["response"]["id"] == "1"


def test_a_key_is_no_bearer_token_and_no_other_portals_key(client: Client, sandbox: SandboxServer) -> None:
    key = sandbox.state.create_api_key("acme")
    assert client.call("crm/account/list", key).status == 401
    assert client.call("crm/account/list", portal="globex.flowlu.com", query={"api_key": key}).status == 401
    sandbox.state.delete_api_key("acme", key)
    assert client.call("crm/account/list", query={"api_key": key}).status == 401


def test_what_is_not_approved_is_403_or_code_22(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.approve("acme", ["task.full"])
    refused = client.call("crm/account/list", token)
    assert (refused.status, refused.error_code) == (403, 22)
    sandbox.state.configure("acme", scope_refusal="error_22")
    refused = client.call("crm/account/list", token)
    assert (refused.status, refused.error_code) == (200, 22)
    assert client.call("task/tasks/list", token).status == 200
    sandbox.state.approve("acme", None)
    assert "response" in client.call("crm/account/list", token).json


def test_read_does_not_reach_writes_though_a_delete_is_a_get(client: Client, sandbox: SandboxServer) -> None:
    with SandboxServer(requested_scopes=["crm.read"]) as other:
        administrator = other.state.issue_tokens("acme", "1").access_token
        for path, form in (
            ("crm/account/delete/101", None),
            ("crm/account/update/101", {"name": "x"}),
            ("crm/account/create", {"name": "x"}),
        ):
            assert Client(other).call(path, administrator, form=form).status == 403
        assert Client(other).call("crm/account/get/101", administrator).json["response"]["name"] == "Northwind Traders"


def test_the_own_profile_needs_no_scope_and_others_do(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.approve("acme", [])
    assert client.call("core/user/get", token).json["response"]["id"] == "1"
    assert client.call("core/user/get/2", token).status == 403
    assert client.call("core/user/list", token).status == 403


@pytest.mark.parametrize(
    ("_case", "scopes", "call", "expected"),
    [
        ("no level means read", ["crm"], ("crm", "account", "list"), True),
        ("no level does not write", ["crm"], ("crm", "account", "create"), False),
        ("highest level counts", ["crm.read", "crm.full"], ("crm", "account", "create"), True),
        ("a module scope swallows its parts", ["crm.read", "crm.accounts.full"], ("crm", "account", "create"), False),
        ("a part covers its models", ["crm.accounts.full"], ("crm", "account", "create"), True),
        ("a part covers no other model", ["crm.accounts.full"], ("crm", "lead", "list"), False),
        ("deals are leads", ["crm.deals"], ("crm", "lead", "list"), True),
        ("tasks is not task", ["tasks.full"], ("task", "tasks", "list"), False),
        ("crm.contacts is not crm.accounts", ["crm.contacts.read"], ("crm", "account", "list"), False),
        ("user.me is not users", ["user.me.full"], ("core", "user", "list"), False),
        ("users", ["users"], ("core", "user", "list"), True),
        ("nothing", [], ("crm", "account", "list"), False),
    ],
)
def test_scope_merge_rules(_case: str, scopes: list[str], call: tuple[str, str, str], expected: bool) -> None:
    assert covers(scopes, *call) is expected


@pytest.mark.parametrize(
    ("_case", "user_id", "path", "form", "allowed"),
    [
        ("no CRM rights", "4", "crm/account/list", None, False),
        ("no rights at all", "5", "task/tasks/list", None, False),
        ("may read", "3", "crm/account/list", None, True),
        ("may not write", "3", "crm/account/create", {"name": "x"}, False),
        ("may write", "2", "crm/account/create", {"name": "x"}, True),
        ("no finance", "2", "fin/invoice/list", None, False),
        ("administrator", "1", "fin/invoice/list", None, True),
    ],
)
def test_the_users_own_rights_hold_within_the_scopes(
    client: Client,
    sandbox: SandboxServer,
    _case: str,
    user_id: str,
    path: str,
    form: dict[str, str] | None,
    allowed: bool,
) -> None:
    answer = client.call(path, sandbox.state.issue_tokens("acme", user_id).access_token, form=form)
    assert answer.status == 200
    if allowed:
        assert "response" in answer.json
    else:
        assert answer.error_code == 22


def test_too_many_requests_in_a_second_are_429(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.configure("acme", rate_limit=1)
    answers = [client.call("core/user/get", token) for _ in range(6)]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 4
    assert refused[0].headers["Retry-After"] == "1"
    assert sandbox.state.requests()[-1].status in (200, 429)
    elsewhere = sandbox.state.issue_tokens("globex", "1").access_token
    assert client.call("core/user/get", elsewhere, portal="globex.flowlu.com").status == 200
    sandbox.state.configure("acme", rate_limit=0)
    assert client.call("core/user/get", token).status == 200
