"""The open points of Flowlu's wire: each is written and read as it is set, and what cannot be set says why."""

import json
from typing import Any

import pytest

from installations.errors import FlowluDenied, FlowluInvalid, NotFound, RateLimited, TokenStale
from installations.flowlu.calls import build_call
from installations.flowlu.client import FlowluClient, Limits
from installations.flowlu.wire import (
    ERROR_CODES,
    TOKEN_HEADER,
    Wire,
    fault_of_token_header,
    nested,
    read_error_codes,
)

from .conftest import RawPortal

ACME = "acme.flowlu.test"
TOKEN = "canary-token-5cb1"


def client(portal: RawPortal, wire: Wire) -> FlowluClient:
    return FlowluClient(
        lambda name: f"http://127.0.0.1:{portal.port}",
        allow_private=True,
        allow_http=True,
        limits=Limits(connect=1.5, read=1.5, total=2.0),
        wire=wire,
    )


def test_defaults_are_what_is_assumed() -> None:
    pairs = dict(part.split("=") for part in ERROR_CODES.split(","))
    assert Wire().error_codes == read_error_codes(pairs)
    assert Wire().token_header == TOKEN_HEADER
    assert Wire().credential("t") == {"Authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("template", "sent"),
    [
        ("Authorization: {token}", f"Authorization: {TOKEN}"),
        ("X-Access-Token:{token}", f"X-Access-Token: {TOKEN}"),
        ('Authorization: OAuth token="{token}"', f'Authorization: OAuth token="{TOKEN}"'),
    ],
)
def test_token_goes_into_the_header_that_is_set_and_nowhere_else(portal: RawPortal, template: str, sent: str) -> None:
    portal.answer_json(b'{"response": 1}')
    client(portal, Wire(token_header=template)).call(ACME, build_call("crm", "lead", "list"), TOKEN)
    (request,) = portal.requests
    assert sent in request.decode().split("\r\n")
    assert request.count(TOKEN.encode()) == 1


def test_write_goes_out_as_json_where_that_is_set(portal: RawPortal) -> None:
    portal.answer_json(b'{"response": {"id": 7}}')
    asked = client(portal, Wire(body="json"))
    asked.call(ACME, build_call("crm", "lead", "create", None, [("name", "ü"), ("tags[]", "x")]), TOKEN)
    asked.call_as_system(ACME, build_call("crm", "lead", "list", None, [("page", "2")]), "key")
    bodies = [request.partition(b"\r\n\r\n") for request in portal.requests]
    assert all(b"Content-Type: application/json" in head for head, _, _ in bodies)
    assert [json.loads(body) for _, _, body in bodies] == [
        {"name": "ü", "tags": ["x"]},
        {"page": "2", "api_key": "key"},
    ]


def test_delete_is_a_post_where_that_is_set_and_reads_stay_gets(portal: RawPortal) -> None:
    portal.answer_json(b'{"response": {"id": 7}}')
    asked = client(portal, Wire(delete_method="POST"))
    asked.call(ACME, build_call("crm", "lead", "delete", "7"), TOKEN)
    asked.call(ACME, build_call("crm", "lead", "get", "7"), TOKEN)
    assert [request.split(b"/", 1)[0] for request in portal.requests] == [b"POST ", b"GET "]


@pytest.mark.parametrize(
    ("code", "kind"), [(411, TokenStale), (420, NotFound), (421, FlowluInvalid), (422, FlowluDenied)]
)
def test_error_code_means_what_is_set(portal: RawPortal, code: int, kind: type[Exception]) -> None:
    portal.answer_json(json.dumps({"error": {"error_code": code}}).encode())
    wire = Wire(error_codes=((411, "stale"), (420, "not_found"), (421, "invalid"), (422, "denied")))
    with pytest.raises(kind) as caught:
        client(portal, wire).call(ACME, build_call("crm", "lead", "list"), TOKEN)
    assert type(caught.value) is kind


def test_wait_is_read_from_the_header_that_is_set(portal: RawPortal) -> None:
    portal.answer_json(b"", "429 Too Many Requests", "Retry-After: 9\r\nX-RateLimit-Reset: 4\r\n")
    with pytest.raises(RateLimited) as caught:
        client(portal, Wire(retry_header="x-ratelimit-reset")).call(ACME, build_call("crm", "lead", "list"), TOKEN)
    assert caught.value.retry_after == 4


@pytest.mark.parametrize(
    ("pairs", "written"),
    [
        ([], {}),
        ([("a", "1"), ("b", "")], {"a": "1", "b": ""}),
        ([("a", "1"), ("a", "2")], {"a": "2"}),
        ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
        ([("a[b][c]", "1"), ("a[b][d]", "2")], {"a": {"b": {"c": "1", "d": "2"}}}),
        ([("a[0][b]", "1"), ("a[1][b]", "2")], {"a": [{"b": "1"}, {"b": "2"}]}),
        ([("a[1]", "1"), ("a[0]", "2")], {"a": {"1": "1", "0": "2"}}),
        ([("a[1]", "1"), ("a[]", "2")], {"a": {"1": "1", "2": "2"}}),
        ([("a[1]", "1"), ("a[2]", "2"), ("a[]", "3"), ("a[]", "4")], {"a": {"1": "1", "2": "2", "3": "3", "4": "4"}}),
        ([("a[1]", "1"), ("a[][b]", "2")], {"a": {"1": "1", "2": {"b": "2"}}}),
        ([("a", "1"), ("a[b]", "2")], {"a": {"b": "2"}}),
        ([("a[b]", "1"), ("a[b][c]", "2"), ("a", "3")], {"a": "3"}),
    ],
)
def test_form_pairs_as_an_object(pairs: list[tuple[str, str]], written: dict[str, Any]) -> None:
    assert nested(pairs) == written


@pytest.mark.parametrize("name", ["host", "Cookie", "Content-Length", "Transfer-Encoding", "X Token", "", "1-Token"])
def test_header_that_is_not_for_tokens_is_refused(name: str) -> None:
    assert fault_of_token_header(f"{name}: {{token}}") != ""
    assert fault_of_token_header("X-Token: {token}") == ""


def test_observation_tells_numbers_and_names_and_nothing_that_the_portal_wrote(portal: RawPortal) -> None:
    portal.answer_json(
        b'{"error": {"error_code": 20, "error_msg": "canary"}}',
        "404 Not Found",
        "Date: Mon, 30 Nov 2026 10:00:00 GMT\r\nX-RateLimit-Limit: 5\r\nX-RateLimit-Note: canary\r\nX-Odd: 3\r\n",
    )
    found = client(portal, Wire()).observe(ACME, build_call("crm", "lead", "list"), TOKEN, Wire())
    assert (found.status, found.shape, found.error_code, found.rate_headers) == (
        404, "code", 20, {"X-RateLimit-Limit": "5"},
    )  # fmt: skip
    assert isinstance(found.error, NotFound)
    assert found.at is not None
    assert found.at.isoformat() == "2026-11-30T10:00:00+00:00"
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b'{"response": {"name": "canary"}}', "response"),
        (b'{"error": "validation", "details": {}}', "named"),
        (b"<p>canary", "other"),
    ],
)
def test_observation_says_in_which_form_the_answer_is(portal: RawPortal, body: bytes, shape: str) -> None:
    portal.answer_json(body, headers="Date: canary\r\n")
    found = client(portal, Wire()).observe(ACME, build_call("crm", "lead", "list"), TOKEN, Wire())
    assert (found.shape, found.error_code, found.at) == (shape, None, None)
    assert "canary" not in repr(found)
