"""Names, paths, parameters and bodies as attack input: refused with a documented code, and nothing leaves for them.

The sandbox counts every request that reaches it; a listening socket waits where a name could lead elsewhere.
"""

import json
import socket
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from django.urls import get_resolver
from hypothesis import HealthCheck, given, settings

from installations.errors import DomainError
from installations.flowlu.calls import build_call, encode_json_body
from installations.flowlu.client import FlowluClient, Limits
from installations.models import Installation, Portal
from installations.portals import normalise_portal
from installations.services import approve_scopes
from tests import factories
from tests.embedded import Frontend
from tests.security.corpus import DOCUMENTS, PARAMETERS, PATHS, PORTALS, UNSAFE_TOKENS, WRONG_VALUES
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db(transaction=True)

SUFFIXES = (".flowlu.com",)
# Where each route of the API takes part; a route that is not named here fails.
TAKES = {
    "session": {"portal", "token", "document", "field"},
    "session-token": {"token", "document", "field"},
    "permissions": {"path"},
    "forward": {"path", "parameter", "document"},
}
REFUSED = {400, 401, 403, 404, 405, 413, 415}


@pytest.fixture
def page(ana: Frontend) -> Iterator[Frontend]:
    """A page that may read and write accounts; nothing that a test sends may reach the portal."""
    ana.open()
    approve_scopes(
        installation_id=Installation.objects.get().pk,
        requested=["crm.accounts.full"],
        actor=factories.superactor(),
        reason="A test.",
    )
    ana.sandbox.state.clear_requests()
    with nothing_changes():
        yield ana
    assert ana.sandbox.state.requests() == []


def refused(response: Any, *codes: str) -> None:
    assert response.status_code in REFUSED, response.content
    body = response.json()
    assert body["error"] in codes, body
    assert body["error_description"]
    assert response.headers["Cache-Control"] == "no-store"


def test_every_route_of_the_api_takes_part() -> None:
    resolver = next(found for found in get_resolver().url_patterns if getattr(found, "namespace", "") == "api")
    assert {pattern.name for pattern in resolver.url_patterns} == TAKES.keys()


@pytest.mark.parametrize("portal", [name for names in PORTALS.values() for name in names])
def test_portal_that_is_none_is_refused(page: Frontend, portal: str) -> None:
    refused(page.handshake(portal=portal), "portal_not_allowed", "invalid_request")
    assert page.api.get("/embed/", {"domain": portal}).status_code in (200, 400)


@given(st.text(max_size=80) | st.from_regex(r"[a-z.@:/#?\\-]{0,30}\.flowlu\.com.{0,6}", fullmatch=True))
def test_whatever_is_taken_for_a_portal_is_one_label_under_an_allowed_suffix(text: str) -> None:
    try:
        found = normalise_portal(text, SUFFIXES)
    except DomainError:
        return
    label, dot, suffix = found.partition(".")
    assert (dot + suffix, found) == (".flowlu.com", text.lower())
    assert label.replace("-", "").replace("_", "").isalnum()
    assert label.isascii()


@pytest.mark.parametrize("path", [path for paths in PATHS.values() for path in paths])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_path_outside_the_grammar_is_refused(page: Frontend, path: str, method: str) -> None:
    response = page.api.generic(method, f"/api/v1/flowlu/{path}", headers=page.headers)

    refused(response, "invalid_request", "not_found", "method_not_allowed")


@pytest.mark.parametrize("part", ["module", "model", "action", "id"])
@pytest.mark.parametrize(
    "text", ["..", "crm/x", "%2e", "CRM", "crm;x", "crm\x00", "сrm", "crm\n", "", " crm", "c" * 65]
)
def test_question_about_a_call_takes_the_same_parts(page: Frontend, part: str, text: str) -> None:
    asked = {"module": "crm", "model": "account", "action": "get", part: text}
    refused(page.get("permissions", **asked), "invalid_request")


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_that_could_become_another_is_refused(page: Frontend, name: str) -> None:
    encodable = name.encode("utf-8", "replace").decode()
    refused(page.get("flowlu/crm/account/list", **{encodable: "1"}), "invalid_request")
    refused(page.get("flowlu/crm/account/list", **{f"{encodable}[]": "1"}), "invalid_request")
    document = json.dumps({name: "1"})
    made = {"content_type": "application/json", "headers": page.headers}
    refused(page.api.post("/api/v1/flowlu/crm/account/list", document, **made), "invalid_request")
    for inside in ({"filter": {name: 1}}, {"filter": [{name: 1}]}):
        try:
            pairs = encode_json_body(inside)
        except DomainError:
            continue
        # Inside a parameter of its own a name is data: Flowlu sees it below `filter`.
        assert all(sent.startswith("filter[") for sent, _value in pairs)


@given(
    st.lists(
        st.tuples(st.text(max_size=20) | st.sampled_from(PARAMETERS), st.text(max_size=20)),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_parameters_are_taken_php_reads_as_they_are_written(params: list[tuple[str, str]]) -> None:
    try:
        call = build_call("crm", "account", "list", None, params)
    except DomainError:
        return
    for name, _value in call.params:
        # PHP turns dots, spaces and an unclosed bracket into underscores and cuts at NUL; none of it is left.
        assert not set(name) & set(". \t\n\r\x00+%&;=#")
        assert name.count("[") == name.count("]")
        assert name.partition("[")[0] not in {"api_key", "access_token", "module", "model", "action", "id", "_method"}
        assert name == name.lower()
        assert name.isascii()


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_body_that_is_no_proper_object_is_refused(page: Frontend, document: bytes) -> None:
    made = {"content_type": "application/json", "headers": page.headers}
    for answer in (
        page.api.post("/api/v1/session", document, **made),
        page.api.put("/api/v1/session/token", document, **made),
    ):
        refused(answer, "invalid_request", "request_too_large")
    if document:  # an empty body is a call without parameters
        answer = page.api.post("/api/v1/flowlu/crm/account/list", document, **made)
        refused(answer, "invalid_request", "request_too_large")


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}])
@pytest.mark.parametrize(
    "media",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/xml",
    ],
)
def test_body_of_another_kind_is_refused(page: Frontend, media: str, headers: dict[str, str]) -> None:
    for path, verb in (
        ("session", page.api.post),
        ("session/token", page.api.put),
        ("flowlu/crm/account/list", page.api.post),
    ):
        answer = verb(f"/api/v1/{path}", b'{"a": 1}', content_type=media, headers={**page.headers, **headers})
        refused(answer, "unsupported_media_type")


@pytest.mark.parametrize("size", [64 * 1024 + 1, 3 * 1024 * 1024])
def test_body_beyond_the_limit_is_refused(page: Frontend, size: int) -> None:
    document = b'{"portal": "' + b"x" * size + b'"}'
    made = {"content_type": "application/json", "headers": page.headers}
    refused(page.api.post("/api/v1/session", document, **made), "request_too_large")
    refused(page.api.put("/api/v1/session/token", document, **made), "request_too_large")
    if size > 1024 * 1024:
        refused(page.api.post("/api/v1/flowlu/crm/account/list", document, **made), "request_too_large")


@pytest.mark.parametrize("value", WRONG_VALUES, ids=str)
@pytest.mark.parametrize(
    "field",
    ["portal", "app_id", "app_version", "access_token", "refresh_token", "expires_at", "integration_point", "language"],
)
def test_value_of_another_type_names_its_field(page: Frontend, field: str, value: object) -> None:
    answers = [page.handshake(**{field: value})]
    if field in ("access_token", "refresh_token", "expires_at"):
        answers.append(page.put("session/token", {"access_token": "x", field: value}))
    for answer in answers:
        refused(answer, "invalid_request")
        assert set(answer.json()["fields"]) == {field}


@pytest.mark.parametrize("field", ["access_token", "refresh_token"])
@pytest.mark.parametrize("text", UNSAFE_TOKENS, ids=ascii)
def test_token_that_could_change_a_header_is_refused(page: Frontend, field: str, text: str) -> None:
    made = {"content_type": "application/json", "headers": page.headers}
    body = {"portal": page.portal, "app_id": "com.example.desk", "access_token": page.access_token, field: text}
    refused(page.api.post("/api/v1/session", json.dumps(body), **made), "invalid_request")
    refused(page.api.put("/api/v1/session/token", json.dumps(body), **made), "invalid_request")


@pytest.mark.parametrize("text", ["x\nSet-Cookie: a=b", "x\r\n\r\n<b>", "\x00", "x" * 10_000, "\ud800"], ids=ascii)
@pytest.mark.parametrize("field", ["app_id", "app_version", "integration_point", "language"])
def test_hint_with_control_characters_or_beyond_its_length_is_refused(page: Frontend, field: str, text: str) -> None:
    body = {"portal": page.portal, "app_id": "com.example.desk", "access_token": "unknown-to-the-portal", field: text}
    answer = page.api.post("/api/v1/session", json.dumps(body), content_type="application/json")
    refused(answer, "invalid_request", "application_unknown")


@pytest.mark.parametrize(
    "text", ["x\nInjected: 1", "a b", "ü", "x" * 5000, "'; DROP TABLE x; --", "%00", "null"], ids=ascii
)
def test_odd_session_token_is_no_session(page: Frontend, text: str) -> None:
    try:
        answer = page.api.get("/api/v1/session", headers={"X-Session-Token": text})
    except UnicodeEncodeError:
        return
    refused(answer, "invalid_session")


# Where a name really leads: production settings, the system's resolver, and a socket that waits for a visitor.


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as waiting:
        waiting.bind(("127.0.0.1", 0))
        waiting.listen()
        waiting.settimeout(0.2)
        yield waiting


def nobody_came(waiting: socket.socket) -> bool:
    try:
        waiting.accept()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:0:7f00:1]",
    ],
)
def test_name_that_leads_inside_is_not_called(listening: socket.socket, host: str) -> None:
    port = listening.getsockname()[1]
    client = FlowluClient(
        lambda portal: f"https://{host}:{port}", allow_private=False, allow_http=False, limits=Limits(connect=1)
    )
    with pytest.raises(DomainError) as caught:
        client.call("acme.flowlu.com", build_call("core", "user", "get"), "a-token")
    assert caught.value.code == "flowlu_unavailable"
    assert nobody_came(listening)


@pytest.mark.parametrize(
    "answers",
    [
        [["8.8.8.8", "127.0.0.1"]],
        [["127.0.0.1", "8.8.8.8"]],
        [["::1"]],
        [["10.0.0.1"]],
        [["169.254.169.254"]],
        [["::ffff:127.0.0.1"]],
        [["64:ff9b::7f00:1"]],
        [["::ffff:0:7f00:1"]],
    ],
    ids=str,
)
def test_name_that_is_answered_with_a_private_address_is_not_called(
    listening: socket.socket, answers: list[list[str]]
) -> None:
    """The second look-up of a rebinding attack would be private: there is none, and any private one refuses all."""
    looked_up: list[str] = []

    def resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[Any, ...]]]:
        looked_up.append(host)
        found = answers[min(len(looked_up), len(answers)) - 1]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in one], socket.SOCK_STREAM, 6, "", (one, listening.getsockname()[1])) for one in found]

    client = FlowluClient(
        lambda portal: f"https://{portal}",
        allow_private=False,
        allow_http=False,
        resolve=resolve,
        limits=Limits(connect=1),
    )
    with pytest.raises(DomainError) as caught:
        client.call("acme.flowlu.com", build_call("core", "user", "get"), "a-token")
    assert caught.value.code == "flowlu_unavailable"
    assert looked_up == ["acme.flowlu.com"]
    assert nobody_came(listening)


def test_without_debug_no_portal_is_called_over_plain_http(ana: Frontend, settings: Any) -> None:
    settings.DEBUG = False

    refused_answer = ana.handshake()

    assert refused_answer.status_code == 503
    assert ana.sandbox.state.requests() == []
    assert Portal.objects.count() == 0


@given(
    document=st.dictionaries(
        st.text(max_size=12),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=12),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        ),
        max_size=6,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_json_object_gets_a_documented_answer(ana: Frontend, document: dict[str, Any]) -> None:
    for path in ("session", "session/token"):
        verb = ana.api.post if path == "session" else ana.api.put
        answer = verb(f"/api/v1/{path}", json.dumps(document), content_type="application/json")
        assert answer.status_code in REFUSED
        assert answer.json()["error"] in (
            "invalid_request",
            "invalid_session",
            "portal_not_allowed",
            "application_unknown",
        )
    assert ana.sandbox.state.requests() == []
