"""The client against real sockets: every answer has one meaning, and none leaks an address or a token."""

import gzip
import json
import os
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from installations.errors import (
    DomainError,
    FlowluDenied,
    FlowluError,
    FlowluInvalid,
    FlowluTimeout,
    FlowluUnavailable,
    InvalidToken,
    NotFound,
    RateLimited,
    TokenStale,
)
from installations.flowlu.addresses import AddressInfo
from installations.flowlu.calls import FlowluCall, build_call
from installations.flowlu.client import FlowluClient, FlowluUser, Limits

from .conftest import RawPortal, drip, http

TOKEN = "canary-token-5cb1"
SHORT = Limits(connect=1.5, read=1.5, total=2.0, body=100_000)  # room for a busy machine
LIST = build_call("crm", "lead", "list", None, [("search", "canary-search")])
ACME = "acme.flowlu.test"


@pytest.fixture
def client(portal: RawPortal) -> FlowluClient:
    return FlowluClient(
        lambda name: f"http://127.0.0.1:{portal.port}", allow_private=True, allow_http=True, limits=SHORT
    )


def _refusal(client: FlowluClient, kind: type[DomainError]) -> DomainError:
    """Make a call that must fail, and look through everything that the failure could leak."""
    with pytest.raises(kind) as caught:
        client.call(ACME, LIST, TOKEN)
    error = caught.value
    assert type(error) is kind
    assert error.__cause__ is None
    assert error.__context__ is None
    everything = "".join(traceback.format_exception(error)) + repr(error.context) + repr(error.response_fields())
    for secret in (TOKEN, "canary", "127.0.0.1", "secret-upstream-text"):
        assert secret not in everything
    return error


def test_a_read_goes_out_as_get_with_the_token_in_its_header_only(portal: RawPortal, client: FlowluClient) -> None:
    portal.answer_json(b'{"response": {"items": [], "total": 0}}')
    call = build_call("crm", "lead", "list", None, [("page", "2"), ("filter[name]", "a&b ü")])
    assert client.call(ACME, call, TOKEN).response == {"items": [], "total": 0}
    (request,) = portal.requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /api/v1/module/crm/lead/list?page=2&filter%5Bname%5D=a%26b+%C3%BC HTTP/1.1"
    assert f"Authorization: Bearer {TOKEN}" in lines
    assert "Accept: application/json" in lines
    assert "Accept-Encoding: identity" in lines
    assert request.count(TOKEN.encode()) == 1


def test_a_write_goes_out_as_form(portal: RawPortal, client: FlowluClient) -> None:
    portal.answer_json(b'{"response": {"id": 7}}')
    call = build_call("crm", "lead", "create", None, [("name", "a&b"), ("tags[]", "x")])
    assert client.call(ACME, call, TOKEN).response == {"id": 7}
    head, _, body = portal.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/module/crm/lead/create HTTP/1.1\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert body == b"name=a%26b&tags%5B%5D=x"


def test_a_delete_is_a_get_and_an_empty_write_still_a_post(portal: RawPortal, client: FlowluClient) -> None:
    portal.answer_json(b'{"response": {"id": 7}}')
    client.call(ACME, build_call("crm", "lead", "delete", "7"), TOKEN)
    client.call(ACME, build_call("crm", "lead", "archive", "7"), TOKEN)
    assert portal.requests[0].startswith(b"GET /api/v1/module/crm/lead/delete/7 ")
    assert portal.requests[1].startswith(b"POST /api/v1/module/crm/lead/archive/7 ")


KEY = "canary-api-key-77f0"


@pytest.mark.parametrize(
    "call",
    [
        LIST,
        build_call("crm", "account", "get", "7"),
        build_call("crm", "account", "delete", "7"),
        build_call("crm", "account", "create", None, [("name", "x&api_key=y")]),
    ],
    ids=lambda call: call.action,
)
def test_an_api_key_goes_out_in_the_body_of_a_post_and_in_no_address(
    portal: RawPortal, client: FlowluClient, caplog: pytest.LogCaptureFixture, call: FlowluCall
) -> None:
    portal.answer_json(b'{"response": {"id": 7}}')
    with caplog.at_level("DEBUG", logger="urllib3"):
        client.call_as_system(ACME, call, KEY)

    head, _, body = portal.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/module/crm/" + call.path.split("/crm/")[1].encode() + b" HTTP/1.1\r\n")
    assert b"authorization" not in head.lower()
    assert KEY.encode() not in head
    assert parse_qsl(body.decode(), keep_blank_values=True) == [*call.params, ("api_key", KEY)]
    assert "POST /api/v1/module/crm/" in caplog.text  # urllib3 says what it does
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/?x\r\nContent-Length: 0\r\n\r\n", FlowluError),
        (http(b'{"error": {"error_code": 11}}'), TokenStale),
        (http(b"no json " + KEY.encode()), FlowluError),
        (b"", FlowluTimeout),
    ],
)
def test_no_failure_of_a_call_with_a_key_tells_it(
    portal: RawPortal,
    client: FlowluClient,
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
    kind: type[DomainError],
) -> None:
    portal.answer(answer)
    with caplog.at_level("DEBUG", logger="urllib3"), pytest.raises(kind) as caught:
        client.call_as_system(ACME, LIST, KEY)

    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert "canary" not in "".join(traceback.format_exception(error)) + repr(error.context) + caplog.text
    assert len(portal.requests) == 1


@pytest.mark.parametrize("key", ["", "a b", "a\r\nb", "schl\u00fcssel", "x" * 4097])
def test_what_cannot_be_a_key_is_never_sent(portal: RawPortal, client: FlowluClient, key: str) -> None:
    with pytest.raises(InvalidToken):
        client.call_as_system(ACME, LIST, key)
    assert portal.requests == []


def test_one_connection_serves_many_calls(portal: RawPortal, client: FlowluClient) -> None:
    portal.answer_json(b'{"response": 1}')
    for _ in range(5):
        client.call(ACME, LIST, TOKEN)
    assert (len(portal.requests), portal.connections) == (5, 1)


@pytest.mark.parametrize("at_once", [8, 40])
def test_as_many_connections_are_kept_as_calls_may_be_under_way(portal: RawPortal, at_once: int) -> None:
    together = threading.Barrier(at_once)

    def answered_together(connection: socket.socket) -> None:
        together.wait(30)
        connection.sendall(http(b'{"response": 1}'))

    limits = Limits(connect=10, read=30, total=30, at_once=at_once)
    client = FlowluClient(
        lambda _portal: f"http://127.0.0.1:{portal.port}", allow_private=True, allow_http=True, limits=limits
    )
    portal.answer_json(b'{"response": 1}')
    client.call(ACME, LIST, TOKEN)
    portal.script = answered_together
    with ThreadPoolExecutor(at_once) as callers:
        for _round in range(3):
            list(callers.map(lambda _caller: client.call(ACME, LIST, TOKEN), range(at_once)))

    assert (len(portal.requests), portal.connections) == (1 + 3 * at_once, at_once)


def test_a_forked_process_opens_its_own_connections(portal: RawPortal, client: FlowluClient) -> None:
    portal.answer_json(b'{"response": 1}')
    client.call(ACME, LIST, TOKEN)
    child = os.fork()
    if child == 0:
        try:
            client.call(ACME, LIST, TOKEN)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    client.call(ACME, LIST, TOKEN)
    assert (len(portal.requests), portal.connections) == (3, 2)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "a\nb", "ü", "a\0", "a\t", "a" * 4097])
def test_a_token_that_cannot_be_a_header_is_never_sent(portal: RawPortal, client: FlowluClient, token: str) -> None:
    with pytest.raises(InvalidToken):
        client.call(ACME, LIST, token)
    assert portal.connections == 0


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "404 Not Found"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10, FlowluError),
        (11, TokenStale),
        ("11", TokenStale),
        (12, FlowluError),
        (13, FlowluError),
        (20, NotFound),
        (21, FlowluInvalid),
        (22, FlowluDenied),
        (30, NotFound),
        (31, NotFound),
        (99, FlowluError),
        (True, FlowluError),
        (None, FlowluError),
        ({}, FlowluError),
        ([11], FlowluError),
    ],
)
def test_error_codes(
    portal: RawPortal, client: FlowluClient, status: str, code: object, kind: type[DomainError]
) -> None:
    body = {"error": {"error_code": code, "error_msg": "secret-upstream-text"}, "response": {"id": 1}}
    portal.answer_json(json.dumps(body).encode(), status)
    _refusal(client, kind)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("401 Unauthorized", b"<html>secret-upstream-text</html>", TokenStale),
        ("401 Unauthorized", b'{"error": {"error_code": 12}}', TokenStale),
        ("403 Forbidden", b"<html>", FlowluDenied),
        ("403 Forbidden", b'{"error": {"error_code": 10}}', FlowluDenied),
        ("403 Forbidden", b'{"error": {"error_code": 11}}', TokenStale),
        ("403 Forbidden", b'{"error": {"error_code": 20}}', NotFound),
        ("403 Forbidden", b'{"response": {"id": 1}}', FlowluDenied),
        ("404 Not Found", b"<html>", FlowluError),
        ("404 Not Found", b'{"response": {"id": 1}}', FlowluError),
        ("500 Oops", b'{"response": {"id": 1}}', FlowluError),
        ("502 Bad Gateway", b'{"error": {"error_code": 11}}', FlowluError),
        ("503 Unavailable", b"", FlowluError),
        ("301 Moved", b"", FlowluError),
        ("302 Found", b'{"response": {"id": 1}}', FlowluError),
        ("307 Temporary", b"", FlowluError),
        ("304 Not Modified", b"", FlowluError),
        ("204 No Content", b"", FlowluError),
        ("200 OK", b"", FlowluError),
        ("200 OK", b"<html>secret-upstream-text</html>", FlowluError),
        ("200 OK", b"[]", FlowluError),
        ("200 OK", b"null", FlowluError),
        ("200 OK", b'"text"', FlowluError),
        ("200 OK", b"{}", FlowluError),
        ("200 OK", b'{"result": 1}', FlowluError),
        ("200 OK", b'{"error": "invalid_grant", "error_descrption": "secret-upstream-text"}', FlowluError),
        ("200 OK", b'{"error": ["secret-upstream-text"]}', FlowluError),
        ("200 OK", b'{"response": NaN}', FlowluError),
        ("200 OK", b'{"response": -Infinity}', FlowluError),
        ("200 OK", b'{"response": 1e999}', FlowluError),
        ("200 OK", b'{"response": "\\ud800"}', FlowluError),
        ("200 OK", b'{"response": "\xff"}', FlowluError),
        ("200 OK", b'{"response": ' + b"9" * 5000 + b"}", FlowluError),
        ("200 OK", b'{"response": ' + b"[" * 40_000 + b"]" * 40_000 + b"}", FlowluError),
        ("200 OK", b'{"response": ' + b"[" * 70 + b"]" * 70 + b"}", FlowluError),
        ("200 OK", b'{"response": 1', FlowluError),
    ],
)  # fmt: skip
def test_statuses_and_bodies(
    portal: RawPortal, client: FlowluClient, status: str, body: bytes, kind: type[DomainError]
) -> None:
    portal.answer_json(body, status, "Location: http://127.0.0.1:1/canary\r\n")
    _refusal(client, kind)
    assert len(portal.requests) == 1


@pytest.mark.parametrize(
    ("body", "response"),
    [
        (b'{"response": {"id": 1, "id": 2}}', {"id": 2}),
        (b'\xef\xbb\xbf{"response": []}', []),
        (b'{"response": null, "error": null}', None),
        (b'{"response": "\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"response": 1.5, "error": {}}', 1.5),
    ],
)
def test_odd_but_usable_answers(portal: RawPortal, client: FlowluClient, body: bytes, response: object) -> None:
    portal.answer_json(body)
    assert client.call(ACME, LIST, TOKEN).response == response


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (
            {"error": {"error_code": 21, "error_details": {"name": "secret-upstream-text", "a[b]": 1}}},
            {"name", "a[b]"},
        ),
        (
            {"error": "validation", "description": "secret-upstream-text", "details": {"email": "x"}},
            {"email"},
        ),
        ({"error": "validation", "details": {"<b>": "x", "a b": "x", "x" * 65: "x", "ok": "x"}}, {"ok"}),
        ({"error": "validation", "details": ["name"]}, set()),
        ({"error": {"error_code": 21}}, set()),
    ],
)
def test_validation_names_fields_and_repeats_no_text(
    portal: RawPortal, client: FlowluClient, body: object, fields: set[str]
) -> None:
    portal.answer_json(json.dumps(body).encode())
    error = _refusal(client, FlowluInvalid)
    assert isinstance(error, FlowluInvalid)
    assert set(error.fields) == fields


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("999999", 3600),
        ("-5", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        ("9" * 500, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
)
def test_rate_limit_passes_a_bounded_retry_after(
    portal: RawPortal, client: FlowluClient, header: str, seconds: int | None
) -> None:
    portal.answer_json(b'{"error": {"error_code": 10}}', "429 Too Many", f"Retry-After: {header}\r\n")
    error = _refusal(client, RateLimited)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_retry_after_may_be_a_date(portal: RawPortal, client: FlowluClient) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    portal.answer_json(b"", "429 Too Many", f"Retry-After: {date}\r\n")
    error = _refusal(client, RateLimited)
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert 95 <= error.retry_after <= 100


def test_retry_after_may_be_a_unix_time(portal: RawPortal, client: FlowluClient) -> None:
    portal.answer_json(b"", "429 Too Many", f"Retry-After: {int(time.time()) + 100}\r\n")
    error = _refusal(client, RateLimited)
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert 95 <= error.retry_after <= 101


def test_answers_beyond_the_cap_are_refused(portal: RawPortal, client: FlowluClient) -> None:
    portal.answer_json(b'{"response": "' + b"x" * SHORT.body + b'"}')
    assert _refusal(client, FlowluError).context["reason"] == "too_large"


def test_an_endless_chunked_answer_is_cut_at_the_cap(portal: RawPortal, client: FlowluClient) -> None:
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    portal.script = drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, 0)
    assert _refusal(client, FlowluError).context["reason"] == "too_large"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-unknown", "gzip, gzip"])
def test_compressed_answers_are_refused_unread(portal: RawPortal, client: FlowluClient, encoding: str) -> None:
    portal.answer_json(gzip.compress(b'{"response": 1}'), headers=f"Content-Encoding: {encoding}\r\n")
    assert _refusal(client, FlowluError).context["reason"] == "compressed"


@pytest.mark.parametrize(
    ("prefix", "endless"),
    [
        (b"", b""),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "status", "headers", "body", "chunks", "until-close", "continue"],
)
def test_a_drip_ends_at_the_deadline(portal: RawPortal, client: FlowluClient, prefix: bytes, endless: bytes) -> None:
    portal.script = drip(prefix, endless, 0.05)
    started = time.monotonic()
    _refusal(client, FlowluTimeout)
    assert time.monotonic() - started < SHORT.total + 20  # it would never end


def test_a_connection_that_timed_out_is_not_used_again(portal: RawPortal, client: FlowluClient) -> None:
    portal.script = lambda connection: time.sleep(SHORT.read + 1)
    _refusal(client, FlowluTimeout)
    portal.answer_json(b'{"response": 1}')
    assert client.call(ACME, LIST, TOKEN).response == 1
    assert portal.connections == 2


def test_a_slow_call_does_not_shorten_the_next_one(portal: RawPortal) -> None:
    # Each call takes more than half of its time: two of them would not fit into one call's. Wide, for busy machines.
    limits = Limits(connect=1, read=1, total=3, body=100_000)
    client = FlowluClient(
        lambda name: f"http://127.0.0.1:{portal.port}", allow_private=True, allow_http=True, limits=limits
    )

    def slow(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
        for byte in b'{"response": 1}':
            time.sleep(0.11)
            connection.sendall(bytes([byte]))

    portal.script = slow
    assert client.call(ACME, LIST, TOKEN).response == 1
    assert client.call(ACME, LIST, TOKEN).response == 1
    assert portal.connections == 1


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _part_of_a_body(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"resp')
    connection.close()


@pytest.mark.parametrize(
    "script",
    [_reset, _part_of_a_body, lambda connection: connection.close()],
    ids=["reset", "part", "closed"],
)
def test_a_broken_connection_is_not_tried_again(
    portal: RawPortal, client: FlowluClient, script: Callable[[socket.socket], None]
) -> None:
    portal.script = script
    _refusal(client, FlowluUnavailable)
    assert len(portal.requests) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"secret-upstream-text\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["no-http", "bad-status", "many-headers", "long-header", "bad-chunk"],
)
def test_what_is_not_http_is_an_error_of_flowlu(portal: RawPortal, client: FlowluClient, raw: bytes) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(raw)
        connection.close()

    portal.script = script
    _refusal(client, FlowluError)
    assert len(portal.requests) == 1


def test_nobody_listening() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = FlowluClient(lambda name: f"http://127.0.0.1:{port}", allow_private=True, allow_http=True, limits=SHORT)
    _refusal(client, FlowluUnavailable)


def test_a_name_that_does_not_resolve() -> None:
    client = FlowluClient(lambda name: "https://nowhere.invalid", allow_private=False, allow_http=False, limits=SHORT)
    _refusal(client, FlowluUnavailable)


@pytest.mark.parametrize(
    "url", ["https://" + "a" * 70 + ".test", "https://", "https://[::1", "nonsense", "ftp://x.test"]
)
def test_an_unusable_address_is_unavailable(url: str) -> None:
    client = FlowluClient(lambda name: url, allow_private=False, allow_http=True, limits=SHORT)
    _refusal(client, FlowluUnavailable)


def test_plain_http_needs_to_be_allowed(portal: RawPortal) -> None:
    client = FlowluClient(
        lambda name: f"http://127.0.0.1:{portal.port}", allow_private=True, allow_http=False, limits=SHORT
    )
    _refusal(client, FlowluUnavailable)
    assert portal.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_private_address_is_refused_before_connecting(portal: RawPortal, host: str) -> None:
    client = FlowluClient(
        lambda name: f"http://{host}:{portal.port}", allow_private=False, allow_http=True, limits=SHORT
    )
    assert _refusal(client, FlowluUnavailable).context == {"reason": "AddressRefused"}
    assert portal.connections == 0


def _at(address: str, port: int) -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


def test_one_private_address_among_public_ones_refuses_the_host(portal: RawPortal) -> None:
    client = FlowluClient(
        lambda name: f"http://acme.flowlu.test:{portal.port}",
        allow_private=False,
        allow_http=True,
        limits=SHORT,
        resolve=lambda host, port: [_at("203.0.114.1", port), _at("127.0.0.1", port)],
    )
    assert _refusal(client, FlowluUnavailable).context == {"reason": "AddressRefused"}
    assert portal.connections == 0


def test_the_address_that_was_checked_is_the_one_connected_to(portal: RawPortal) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[AddressInfo]:
        """Give a good address first and a bad one to whoever asks again."""
        asked.append(host)
        return [_at("127.0.0.1" if len(asked) == 1 else "127.0.0.66", port)]

    portal.answer_json(b'{"response": 1}')
    client = FlowluClient(
        lambda name: f"http://{name}:{portal.port}",
        allow_private=True,
        allow_http=True,
        limits=SHORT,
        resolve=rebinding,
    )
    assert client.call(ACME, LIST, TOKEN).response == 1
    assert asked == [ACME]
    assert f"Host: {ACME}:{portal.port}".encode() in portal.requests[0]


def test_the_next_address_is_tried_when_one_does_not_answer(portal: RawPortal) -> None:
    portal.answer_json(b'{"response": 1}')
    client = FlowluClient(
        lambda name: f"http://{name}:{portal.port}",
        allow_private=True,
        allow_http=True,
        limits=SHORT,
        resolve=lambda host, port: [_at("127.0.0.1", 1), _at("127.0.0.1", port)],
    )
    assert client.call(ACME, LIST, TOKEN).response == 1
    client = FlowluClient(
        lambda name: "http://x.test", allow_private=True, allow_http=True, resolve=lambda host, port: []
    )
    _refusal(client, FlowluUnavailable)


def test_a_proxy_in_the_environment_is_not_used(
    portal: RawPortal, client: FlowluClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    portal.answer_json(b'{"response": 1}')
    assert client.call(ACME, LIST, TOKEN).response == 1


@pytest.mark.parametrize(
    ("record", "user"),
    [
        ({"id": "7", "name": "Ann", "role_admin": 1}, FlowluUser("7", "Ann", True)),
        ({"id": 7, "name": "Ann", "role_admin": "1"}, FlowluUser("7", "Ann", True)),
        ({"id": "7", "name": "Ann", "role_admin": True}, FlowluUser("7", "Ann", True)),
        ({"id": "7", "name": "Ann", "role_admin": 0}, FlowluUser("7", "Ann", False)),
        ({"id": "7", "name": "Ann", "role_admin": "true"}, FlowluUser("7", "Ann", False)),
        ({"id": "7", "name": "Ann", "role_admin": 2}, FlowluUser("7", "Ann", False)),
        ({"id": "7", "name": "Ann", "role_admin": [1]}, FlowluUser("7", "Ann", False)),
        ({"id": "7", "name": None, "username": "ann"}, FlowluUser("7", "ann", False)),
        (
            {"id": "7", "name": " ", "first_name": "Ann", "last_name": "Lee"},
            FlowluUser("7", "Ann Lee", False),
        ),
        ({"id": "7", "last_name": "Lee"}, FlowluUser("7", "Lee", False)),
        ({"id": "7"}, FlowluUser("7", "", False)),
        ({"id": "7", "name": "A\0n\nn\u202e\u2066 x"}, FlowluUser("7", "A n n x", False)),
        ({"id": "7", "name": "x" * 5000}, FlowluUser("7", "x" * 200, False)),
        ({"id": "7", "name": {"a": 1}}, FlowluUser("7", "", False)),
    ],
)
def test_current_user(portal: RawPortal, client: FlowluClient, record: object, user: FlowluUser) -> None:
    portal.answer_json(json.dumps({"response": record}).encode())
    assert client.current_user(ACME, TOKEN) == user
    assert portal.requests[0].startswith(b"GET /api/v1/module/core/user/get HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "record",
    [
        None, [], "7", {}, {"id": None}, {"id": ""}, {"id": "x"}, {"id": 0}, {"id": "0"},
        {"id": "07"}, {"id": -7}, {"id": True}, {"id": 7.0},
        {"id": "7\n"}, {"id": "٧"}, {"id": "1" * 21}, {"id": 10**20}, {"id": ["7"]},
        {"id": "7' OR 1"}, {"items": [{"id": "7"}]},
    ],
)  # fmt: skip
def test_an_answer_without_a_proper_id_is_nobody(portal: RawPortal, client: FlowluClient, record: object) -> None:
    portal.answer_json(json.dumps({"response": record}).encode())
    with pytest.raises(FlowluError):
        client.current_user(ACME, TOKEN)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["response", "error", "error_code", "details", "id"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(
    st.sampled_from([200, 201, 302, 400, 401, 403, 404, 422, 429, 500]),
    json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50),
)
def test_any_answer_is_a_result_or_a_domain_error(
    portal: RawPortal, client: FlowluClient, status: int, body: bytes
) -> None:
    portal.answer(http(body, f"{status} X"))
    try:
        result = client.call(ACME, LIST, TOKEN)
    except DomainError:
        return
    assert status < 300
    json.dumps(result.response, ensure_ascii=False, allow_nan=False).encode()
