"""The token and revocation endpoints of the sandbox: single use, families that die, and every fault."""

import base64
import http.client
import json
from urllib.parse import urlencode

import pytest

from flowlu_admin.sandbox import book
from flowlu_admin.sandbox.book import OAUTH_FAULT_KINDS
from flowlu_admin.sandbox.server import SandboxServer
from flowlu_admin.sandbox.state import SandboxError


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


def raw(sandbox: SandboxServer, method: str, body: bytes, authorization: str) -> tuple[int, str]:
    link = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": authorization}
    link.request(method, "/oauth/token", body, headers)
    answer = link.getresponse()
    return answer.status, json.loads(answer.read())["error"]


@pytest.mark.parametrize(
    ("method", "body", "authorization", "answer"),
    [
        ("GET", b"", "", (405, "invalid_request")),
        ("POST", b"grant_type=\xff", "", (400, "invalid_request")),
        ("POST", b"grant_type=refresh_token", "Basic %%%", (401, "invalid_client")),
        ("POST", b"grant_type=refresh_token", "Basic " + base64.b64encode(b"\xff:x").decode(), (401, "invalid_client")),
    ],
)
def test_what_is_no_request_is_refused(
    sandbox: SandboxServer, method: str, body: bytes, authorization: str, answer: tuple[int, str]
) -> None:
    assert raw(sandbox, method, body, authorization) == answer


def test_request_without_a_token_is_refused(sandbox: SandboxServer) -> None:
    assert post(sandbox, "/oauth/token", {"grant_type": "refresh_token"})[1]["error"] == "invalid_request"
    assert post(sandbox, "/oauth/revoke", {"token": ""})[1]["error"] == "invalid_request"


def test_refresh_token_that_is_not_rotated_ends_with_its_family_too(sandbox: SandboxServer) -> None:
    sandbox.state.oauth.add_fault("no_refresh_token")
    assert redeem(sandbox, "never-issued")[1]["error"] == "invalid_grant"


def test_fault_of_another_endpoint_and_numbers_that_are_none(sandbox: SandboxServer) -> None:
    sandbox.state.oauth.add_fault("status_503", endpoint="revoke", times=2)
    assert [post(sandbox, "/oauth/revoke", {"token": "x"})[0] for _ in range(3)] == [503, 503, 200]
    sandbox.state.oauth.add_fault("status_503", endpoint="revoke")
    assert redeem(sandbox, sandbox.state.issue_tokens("acme", "2").refresh_token)[0] == 200
    with pytest.raises(SandboxError, match="must be numbers"):
        sandbox.state.oauth.add_fault("status_503", delay_seconds="soon")  # type: ignore[arg-type]


def test_sandbox_that_runs_for_weeks_forgets_the_oldest(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "_REMEMBERED", 1)
    first, second = (sandbox.state.issue_tokens("acme", "2") for _ in range(2))
    for pair in (first, second):
        redeem(sandbox, pair.refresh_token)

    assert sandbox.state.oauth.family_of_spent(first.refresh_token) is None
    assert sandbox.state.oauth.family_of_spent(second.refresh_token) is not None


def test_faults_of_one_portal_are_switched_off_for_it_alone(sandbox: SandboxServer) -> None:
    sandbox.state.oauth.add_fault("status_503")
    sandbox.state.add_fault("acme", "status_500")

    sandbox.state.clear_faults("acme")

    assert sandbox.state.portal("acme").faults == []
    assert len(sandbox.state.oauth.faults) == 1
