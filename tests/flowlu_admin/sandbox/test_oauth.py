"""The token and revocation endpoints of the sandbox: single use, families that die, and every fault."""

import base64
import http.client
import json
from urllib.parse import urlencode

import pytest

from flowlu_admin.sandbox.book import OAUTH_FAULT_KINDS
from flowlu_admin.sandbox.server import SandboxServer


def post(sandbox: SandboxServer, path: str, form: dict[str, str], *, secret: str | None = None) -> tuple[int, dict]:
    link = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    name = f"sandbox-client:{sandbox.state.oauth.client_secret if secret is None else secret}"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic " + base64.b64encode(name.encode()).decode(),
    }
    link.request("POST", path, urlencode(form), headers)
    answer = link.getresponse()
    body = answer.read()
    link.close()
    return answer.status, json.loads(body) if body.startswith(b"{") and body.endswith(b"}") else {}


def redeem(sandbox: SandboxServer, refresh_token: str) -> tuple[int, dict]:
    return post(sandbox, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": refresh_token})


def test_a_refresh_token_is_good_once_and_a_second_use_kills_its_family(sandbox: SandboxServer) -> None:
    pair = sandbox.state.issue_tokens("acme", "2")
    other = sandbox.state.issue_tokens("acme", "2")

    status, first = redeem(sandbox, pair.refresh_token)
    assert (status, first["token_type"], first["expires_in"]) == (200, "bearer", 3600)
    assert redeem(sandbox, first["refresh_token"])[0] == 200
    assert redeem(sandbox, pair.refresh_token)[1]["error"] == "invalid_grant"

    assert redeem(sandbox, first["refresh_token"])[1]["error"] == "invalid_grant"
    assert sandbox.state.is_live(other.access_token) is True
    assert sandbox.state.live_pairs("acme") == 1
    summary = sandbox.state.oauth.summary()
    assert (summary["redemptions"], summary["redeemed_twice"], summary["killed"]) == (2, 2, 1)


def test_other_clients_and_other_grants_are_refused(sandbox: SandboxServer) -> None:
    pair = sandbox.state.issue_tokens("acme", "2")

    form = {"grant_type": "refresh_token", "refresh_token": pair.refresh_token}
    assert post(sandbox, "/oauth/token", form, secret="wrong") == (
        401,
        {"error": "invalid_client", "error_descrption": "Sandbox fault: this text belongs to the portal"},
    )
    assert post(sandbox, "/oauth/token", form | {"grant_type": "password"})[1]["error"] == "unsupported_grant_type"
    in_body = form | {"client_id": "sandbox-client", "client_secret": sandbox.state.oauth.client_secret}
    link = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    link.request("POST", "/oauth/token", urlencode(in_body), {"Content-Type": "application/x-www-form-urlencoded"})
    assert link.getresponse().status == 200


def test_revoking_a_refresh_token_ends_the_family_and_an_access_token_itself_alone(sandbox: SandboxServer) -> None:
    one, two = (sandbox.state.issue_tokens("acme", "2") for _ in range(2))

    assert post(sandbox, "/oauth/revoke", {"token": one.refresh_token, "token_type_hint": "refresh_token"})[0] == 200
    assert post(sandbox, "/oauth/revoke", {"token": two.access_token})[0] == 200
    assert post(sandbox, "/oauth/revoke", {"token": "never-issued"})[0] == 200

    assert sandbox.state.is_live(one.access_token) is False
    assert sandbox.state.is_live(two.access_token) is False
    assert redeem(sandbox, two.refresh_token)[0] == 200


REDEEMS = {"delay_after", "reset_after", "close_after", "malformed", "html", "oversized", "no_expires_in",
           "no_refresh_token", "wrong_token_type", "wrong_user", "delay_before"}  # fmt: skip


@pytest.mark.parametrize("kind", OAUTH_FAULT_KINDS)
def test_fault_says_whether_the_token_was_redeemed(sandbox: SandboxServer, kind: str) -> None:
    pair = sandbox.state.issue_tokens("acme", "2")
    sandbox.state.oauth.add_fault(kind, times=1, delay_seconds=0.01)

    try:
        status, body = redeem(sandbox, pair.refresh_token)
    except (ConnectionError, http.client.HTTPException):
        status, body = 0, {}

    assert (sum(sandbox.state.oauth.redeemed.values()) == 1) is (kind in REDEEMS)
    assert ("expires_in" in body) is (kind in REDEEMS - {"reset_after", "close_after", "malformed", "html",
                                                          "no_expires_in"})  # fmt: skip
    if kind.startswith("status_"):
        assert status == int(kind.removeprefix("status_"))


def test_faults_are_switched_over_http_and_counted(sandbox: SandboxServer) -> None:
    def control(method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        link = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
        link.request(method, f"/_sandbox/{path}", json.dumps(body) if body else None)
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())

    assert control("POST", "oauth/faults", {"fault": "status_503", "endpoint": "revoke", "times": 1})[0] == 201
    assert control("POST", "oauth/faults", {"fault": "nonsense"})[0] == 400
    assert control("POST", "oauth/faults", {"fault": "html", "endpoint": "elsewhere"})[0] == 400
    assert [fault["kind"] for fault in control("GET", "oauth")[1]["faults"]] == ["status_503"]
    assert post(sandbox, "/oauth/revoke", {"token": "x"})[0] == 503
    assert post(sandbox, "/oauth/revoke", {"token": "x"})[0] == 200
    assert control("GET", "requests")[1]["counters"]["oauth:revoke:503"] == 1
    assert control("DELETE", "oauth/faults")[0] == 200
