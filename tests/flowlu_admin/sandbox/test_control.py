"""The control API over HTTP: the same verbs as in Python, plain errors, and no secret in what it tells."""

import json
from typing import Any

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from flowlu_admin.sandbox.state import SandboxError
from tests.flowlu_admin.sandbox.conftest import Client


def test_tokens_are_issued_expired_and_refreshed(client: Client) -> None:
    issued = client.control("POST", "tokens", {"portal": "acme", "user_id": 2, "expires_in": 60})
    assert issued.status == 201
    assert sorted(issued.json) == ["access_token", "expires_at", "refresh_token"]
    assert issued.headers["Cache-Control"] == "no-store"
    assert client.call("core/user/get", issued.json["access_token"]).json["response"]["id"] == "2"

    expired = client.control("POST", "tokens/expire", {"access_token": issued.json["access_token"]})
    assert expired.status == 200
    assert client.call("core/user/get", issued.json["access_token"]).status == 401

    renewed = client.control("POST", "tokens/refresh", {"refresh_token": issued.json["refresh_token"]})
    assert client.call("core/user/get", renewed.json["access_token"]).status == 200


def test_approved_scopes_can_be_narrowed_and_restored(client: Client, token: str) -> None:
    narrowed = client.control("POST", "approved", {"portal": "acme.flowlu.com", "scopes": ["task.full"]})
    assert narrowed.json == {"approved": ["task.full"]}
    assert client.call("crm/account/list", token).status == 403
    restored = client.control("POST", "approved", {"portal": "acme", "scopes": None})
    assert "crm.full" in restored.json["approved"]
    assert client.call("crm/account/list", token).status == 200


def test_faults_are_added_listed_and_cleared(client: Client, token: str) -> None:
    added = client.control("POST", "faults", {"portal": "acme", "fault": "status_500", "path": "crm"})
    assert added.status == 201
    assert client.control("GET", "faults").json["active"]["acme.flowlu.com"][0]["kind"] == "status_500"
    assert client.call("crm/account/list", token).status == 500
    assert client.control("DELETE", "faults").status == 200
    assert client.call("crm/account/list", token).status == 200


def test_settings_keys_and_removal(client: Client) -> None:
    changed = client.control("POST", "settings", {"portal": "acme", "access_lifetime": 5, "rate_limit": 3})
    assert changed.json == {
        "access_lifetime": 5,
        "auth_failure": "status_401",
        "scope_refusal": "status_403",
        "rate_limit": 3,
    }
    key = client.control("POST", "api-keys", {"portal": "globex"}).json["api_key"]
    assert client.call("crm/account/list", portal="globex.flowlu.com", query={"api_key": key}).status == 200
    client.control("POST", "api-keys/delete", {"portal": "globex", "api_key": key})
    assert client.call("crm/account/list", portal="globex.flowlu.com", query={"api_key": key}).status == 401

    client.control("POST", "tokens", {"portal": "globex", "user_id": "2"})
    assert client.control("POST", "applications/remove", {"portal": "globex"}).json == {"tokens_ended": 1}
    assert client.control("POST", "tokens", {"portal": "globex", "user_id": "2"}).status == 409
    client.control("POST", "applications/install", {"portal": "globex"})
    assert client.control("POST", "tokens", {"portal": "globex", "user_id": "2"}).status == 201


def test_requests_tell_who_called_what_and_no_secret(client: Client, sandbox: SandboxServer) -> None:
    pair = sandbox.state.issue_tokens("acme", "2")
    key = sandbox.state.create_api_key("acme")
    client.call("crm/account/list", pair.access_token, query={"search": "needle"})
    client.call("crm/account/list", query={"api_key": key})
    client.call(f"crm/account/{pair.access_token}", pair.access_token)
    client.request("GET", f"/{pair.access_token}/api/v1/module/core/user/get")

    answer = client.control("GET", "requests")
    log: list[dict[str, Any]] = answer.json["log"]
    assert [(entry["portal"], entry["method"], entry["path"], entry["user_id"], entry["auth"]) for entry in log] == [
        ("acme.flowlu.com", "GET", "crm/account/list", "2", "token"),
        ("acme.flowlu.com", "GET", "crm/account/list", None, "api_key"),
        ("acme.flowlu.com", "GET", "(other)", "2", "token"),
        ("(unknown)", "GET", "core/user/get", None, "none"),
    ]
    assert log[0]["parameters"] == ["search"]
    assert answer.json["counters"]["path:crm/account/list"] == 2
    for secret in (pair.access_token, pair.refresh_token, key, "needle"):
        assert secret.encode() not in answer.body
    assert client.control("GET", "requests?portal=globex").json["log"] == []
    client.control("DELETE", "requests")
    assert client.control("GET", "requests").json == {"counters": {}, "log": []}


def test_a_reset_goes_back_to_the_first_start(client: Client, sandbox: SandboxServer, token: str) -> None:
    client.call("crm/account/delete/101", token)
    sandbox.state.approve("acme", [])
    sandbox.state.add_fault("acme", "empty")
    sandbox.state.remove_application("globex")
    assert client.control("POST", "reset").json == {"ok": True}
    assert client.call("core/user/get", token).status == 401
    anew = client.control("POST", "tokens", {"portal": "acme", "user_id": "1"}).json["access_token"]
    assert client.call("crm/account/get/101", anew).json["response"]["name"] == "Northwind Traders"
    assert client.control("GET", "portals").json["portals"]["globex.flowlu.com"]["is_installed"] is True


@pytest.mark.parametrize(
    ("_case", "path", "payload", "status", "hint"),
    [
        ("no portal", "tokens", {"user_id": "1"}, 400, "portal"),
        ("unknown portal", "tokens", {"portal": "initech", "user_id": "1"}, 404, "globex.flowlu.com"),
        ("unknown user", "tokens", {"portal": "acme", "user_id": "99"}, 404, "99"),
        ("lifetime in words", "tokens", {"portal": "acme", "user_id": "1", "expires_in": "x"}, 400, "expires_in"),
        ("unknown token", "tokens/expire", {"access_token": "x"}, 404, "unknown"),
        ("scope that is not asked for", "approved", {"portal": "acme", "scopes": ["all"]}, 400, "crm.full"),
        ("scopes as text", "approved", {"portal": "acme", "scopes": "crm"}, 400, "list"),
        ("scopes missing", "approved", {"portal": "acme"}, 400, "list"),
        ("unknown fault", "faults", {"portal": "acme", "fault": "x"}, 400, "drip"),
        ("unknown option", "faults", {"portal": "acme", "fault": "drip", "speed": 1}, 400, "delay_seconds"),
        ("times zero", "faults", {"portal": "acme", "fault": "drip", "times": 0}, 400, "times"),
        ("unknown setting", "settings", {"portal": "acme", "colour": "red"}, 400, "rate_limit"),
        ("setting out of range", "settings", {"portal": "acme", "auth_failure": "x"}, 400, "error_11"),
        ("refusal out of range", "settings", {"portal": "acme", "scope_refusal": "x"}, 400, "error_22"),
        ("delay in words", "faults", {"portal": "acme", "fault": "drip", "delay_seconds": "x"}, 400, "0 and 600"),
        ("delay too long", "faults", {"portal": "acme", "fault": "drip", "delay_seconds": 601}, 400, "0 and 600"),
        ("no object", "tokens", [1], 400, "object"),
        ("no such call", "nonsense", {}, 404, "POST /_sandbox/reset"),
    ],
)
def test_a_wrong_call_says_what_would_be_right(
    client: Client, _case: str, path: str, payload: Any, status: int, hint: str
) -> None:
    answer = client.control("POST", path, payload)
    assert answer.status == status
    assert hint in answer.json["error"]


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    answer = client.request("POST", "/_sandbox/tokens", body=b"{")
    assert (answer.status, answer.json) == (400, {"error": "The body is not JSON."})


def test_in_python_scopes_are_no_text_either(sandbox: SandboxServer) -> None:
    with pytest.raises(SandboxError, match="list of scopes"):
        sandbox.state.approve("acme", "crm")
    assert "crm.full" in sandbox.state.approved_scopes(sandbox.state.portal("acme"))


def test_pages_of_other_sites_can_control_nothing(client: Client, sandbox: SandboxServer) -> None:
    body = json.dumps({"portal": "acme", "user_id": "1"}).encode()
    foreign = {"Origin": "http://127.0.0.1:8000"}
    assert client.request("POST", "/_sandbox/tokens", body=body, headers=foreign).status == 403
    assert client.request("POST", "/_sandbox/reset", headers={"Origin": "null"}).status == 403
    rebound = {"Host": "sandbox.example:80"}
    assert client.request("GET", "/_sandbox/requests", headers=rebound).status == 421
    own = {"Origin": f"http://localhost:{sandbox.port}"}
    assert client.request("POST", "/_sandbox/tokens", body=body, headers=own).status == 201
