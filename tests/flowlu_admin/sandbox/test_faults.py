"""Every fault as a client sees it, where it applies, and how it ends."""

import http.client
import json
import threading
import time

import pytest

from flowlu_admin.sandbox.book import SandboxError
from flowlu_admin.sandbox.faults import UPSTREAM_TEXT
from flowlu_admin.sandbox.server import SandboxServer
from flowlu_admin.sandbox.state import FAULT_KINDS
from tests.flowlu_admin.sandbox.conftest import Client

PATH = "crm/account/list"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("status_401", 401),
        ("status_403", 403),
        ("status_429", 429),
        ("status_500", 500),
        ("status_503", 503),
        ("redirect", 302),
        ("html", 200),
        ("malformed", 200),
        ("wrong_types", 200),
        ("error_200", 200),
        ("validation_200", 200),
        ("no_envelope", 200),
        ("empty", 200),
        ("oversized", 200),
    ],
)
def test_a_fault_answers_with_its_status_and_is_logged(
    client: Client, sandbox: SandboxServer, token: str, fault: str, status: int
) -> None:
    sandbox.state.add_fault("acme", fault, times=1)
    assert client.call(PATH, token).status == status
    logged = sandbox.state.requests()[-1]
    assert (logged.status, logged.fault, logged.path) == (status, fault, PATH)
    assert "items" in client.call(PATH, token).json["response"]


def test_bodies_of_the_faults(client: Client, sandbox: SandboxServer, token: str) -> None:
    def body_of(fault: str) -> bytes:
        sandbox.state.add_fault("acme", fault, times=1)
        return client.call(PATH, token).body

    with pytest.raises(json.JSONDecodeError):
        json.loads(body_of("malformed"))
    assert body_of("empty") == b""
    assert b"<h1>" in body_of("html")
    assert "response" not in json.loads(body_of("no_envelope"))
    assert json.loads(body_of("validation_200"))["error"] == "validation"
    assert json.loads(body_of("error_200"))["error"]["error_msg"] == UPSTREAM_TEXT
    oversized = body_of("oversized")
    assert len(oversized) > 10 * 1024 * 1024
    assert set(json.loads(oversized)) == {"response"}


def test_retry_after_and_error_code_can_be_chosen(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.add_fault("acme", "status_429", times=1, retry_after="31")
    assert client.call(PATH, token).headers["Retry-After"] == "31"
    sandbox.state.add_fault("acme", "status_429", times=1, retry_after=None)
    assert "Retry-After" not in client.call(PATH, token).headers
    sandbox.state.add_fault("acme", "error_200", times=1, error_code=13)
    assert client.call(PATH, token).error_code == 13


def test_a_redirect_that_is_followed_is_counted(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.add_fault("acme", "redirect", times=1)
    location = client.call(PATH, token).headers["Location"]
    assert sandbox.state.counters().get("redirect_followed", 0) == 0
    client.request("GET", location)
    assert sandbox.state.counters()["redirect_followed"] == 1


def test_a_delay_answers_late(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.add_fault("acme", "delay", delay_seconds=0.3)
    started = time.monotonic()
    assert client.call(PATH, token).json["response"]["total"] == 34
    assert time.monotonic() - started >= 0.3


def test_a_drip_never_stalls_a_single_read_and_takes_long_in_all(
    client: Client, sandbox: SandboxServer, token: str
) -> None:
    sandbox.state.add_fault("acme", "drip", path="crm/pipeline", delay_seconds=0.002)
    client.timeout = 1.0
    started = time.monotonic()
    assert client.call("crm/pipeline/list", token).json["response"]["total"] == 1
    assert time.monotonic() - started > 0.2


def test_a_reset_is_a_reset(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.add_fault("acme", "reset", times=1)
    with pytest.raises(ConnectionResetError) as caught:
        client.call(PATH, token)
    assert not isinstance(caught.value, http.client.RemoteDisconnected)
    assert sandbox.state.requests()[-1].status == 0
    assert client.call(PATH, token).status == 200


def test_close_before_body_breaks_the_promise_of_a_length(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.add_fault("acme", "close_before_body", times=1)
    with pytest.raises(http.client.IncompleteRead):
        client.call(PATH, token)


def test_expiry_in_the_middle_is_real(client: Client, sandbox: SandboxServer) -> None:
    pair = sandbox.state.issue_tokens("acme", "1")
    sandbox.state.add_fault("acme", "expire_token", times=1)
    assert client.call(PATH, pair.access_token).status == 401
    assert client.call(PATH, pair.access_token).status == 401
    assert client.call(PATH, sandbox.state.refresh(pair.refresh_token).access_token).status == 200


def test_a_fault_holds_for_its_path_its_portal_and_its_times(
    client: Client, sandbox: SandboxServer, token: str
) -> None:
    sandbox.state.add_fault("acme", "status_500", path="crm/account", times=2)
    elsewhere = sandbox.state.issue_tokens("globex", "1").access_token
    assert client.call("crm/account_category/list", token).status == 200
    assert client.call("task/tasks/list", token).status == 200
    assert client.call(PATH, elsewhere, portal="globex.flowlu.com").status == 200
    assert [client.call(PATH, token).status for _ in range(3)] == [500, 500, 200]


def test_a_fault_without_times_lasts_until_it_is_cleared(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.add_fault("acme", "status_503")
    assert [client.call(PATH, token).status for _ in range(3)] == [503, 503, 503]
    sandbox.state.clear_faults()
    assert client.call(PATH, token).status == 200


def test_switching_a_fault_off_lets_go_whom_it_holds_back(client: Client, sandbox: SandboxServer, token: str) -> None:
    sandbox.state.add_fault("acme", "delay", delay_seconds=60)
    started = time.monotonic()
    threading.Timer(0.2, sandbox.state.clear_faults).start()
    assert client.call(PATH, token).status == 200
    assert 0.2 <= time.monotonic() - started < 10


def test_what_has_begun_to_drip_comes_at_once_when_it_is_switched_off(
    client: Client, sandbox: SandboxServer, token: str
) -> None:
    whole = client.call(PATH, token).body
    sandbox.state.add_fault("acme", "drip")
    threading.Timer(0.7, sandbox.state.clear_faults).start()
    assert client.call(PATH, token).body == whole


def test_stopping_does_not_wait_for_a_delay() -> None:
    sandbox = SandboxServer()
    sandbox.start()
    sandbox.state.add_fault("acme", "delay", delay_seconds=60, times=1)
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    connection.request("GET", "/acme.flowlu.com/api/v1/module/core/user/get")
    while sandbox.state.portal("acme").faults:  # until the request holds it
        time.sleep(0.01)
    time.sleep(0.1)
    started = time.monotonic()
    sandbox.stop()
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.getresponse()
    connection.close()
    assert time.monotonic() - started < 30


def test_an_unknown_fault_names_the_known_ones(sandbox: SandboxServer) -> None:
    with pytest.raises(SandboxError, match="close_before_body"):
        sandbox.state.add_fault("acme", "gremlins")
    assert len(FAULT_KINDS) == 19
