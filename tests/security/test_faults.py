"""Every way in which a portal can fail × everything that asks one: a documented code, in time, and nothing is changed.

The faults are switched on over the sandbox's own HTTP control, as anybody who tries the service would.
"""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flowlu_admin.sandbox.faults import UPSTREAM_TEXT
from flowlu_admin.sandbox.server import SandboxServer
from flowlu_admin.sandbox.state import FAULT_KINDS
from installations.flowlu.configured import flowlu_client
from installations.models import Installation
from installations.services import approve_scopes
from tests import factories
from tests.embedded import Frontend
from tests.unchanged import nothing_changes
from tokens import day_counts
from tokens.models import DayCount, OAuthToken

pytestmark = pytest.mark.django_db(transaction=True)

TOTAL_SECONDS = 2.0
PATIENCE = 20  # what a busy machine may take on top; without a deadline the slow faults take a minute
Answer = tuple[int, str]

OK: Answer = (200, "")
STALE, INVALID = (401, "token_stale"), (401, "invalid_token")
DENIED, NOT_FOUND, REFUSED_INPUT = (403, "flowlu_denied"), (404, "not_found"), (422, "flowlu_invalid")
LIMITED, ERROR = (429, "rate_limited"), (502, "flowlu_error")
UNAVAILABLE, TIMED_OUT = (503, "flowlu_unavailable"), (504, "flowlu_timeout")

# Fault, its options, what a forwarded call answers, and what a handshake and a hand-over answer.
CASES: list[tuple[str, dict[str, Any], Answer, Answer]] = [
    ("delay", {"delay_seconds": 60}, TIMED_OUT, TIMED_OUT),
    ("drip", {"delay_seconds": 0.3}, TIMED_OUT, TIMED_OUT),
    ("reset", {}, UNAVAILABLE, UNAVAILABLE),
    ("close_before_body", {}, UNAVAILABLE, UNAVAILABLE),
    ("oversized", {}, ERROR, ERROR),
    ("malformed", {}, ERROR, ERROR),
    # What a call brings back is the application's own business, as long as it is JSON in the envelope.
    ("wrong_types", {}, OK, ERROR),
    ("html", {}, ERROR, ERROR),
    ("empty", {}, ERROR, ERROR),
    ("no_envelope", {}, ERROR, ERROR),
    ("redirect", {}, ERROR, ERROR),
    ("redirect", {"location": "http://169.254.169.254/latest/meta-data/"}, ERROR, ERROR),
    ("status_401", {}, STALE, INVALID),
    ("status_403", {}, DENIED, DENIED),
    ("status_429", {"retry_after": "31"}, LIMITED, LIMITED),
    ("status_429", {"retry_after": None}, LIMITED, LIMITED),
    ("status_429", {"retry_after": "soon\tish"}, LIMITED, LIMITED),
    ("status_500", {}, ERROR, ERROR),
    ("status_503", {}, ERROR, ERROR),
    ("validation_200", {}, REFUSED_INPUT, REFUSED_INPUT),
    ("error_200", {"error_code": 10}, ERROR, ERROR),
    ("error_200", {"error_code": 11}, STALE, INVALID),
    ("error_200", {"error_code": 12}, ERROR, ERROR),
    ("error_200", {"error_code": 13}, ERROR, ERROR),
    ("error_200", {"error_code": 20}, NOT_FOUND, NOT_FOUND),
    ("error_200", {"error_code": 21}, REFUSED_INPUT, REFUSED_INPUT),
    ("error_200", {"error_code": 22}, DENIED, DENIED),
    ("error_200", {"error_code": 30}, NOT_FOUND, NOT_FOUND),
    ("error_200", {"error_code": 31}, NOT_FOUND, NOT_FOUND),
    ("error_200", {"error_code": 0}, ERROR, ERROR),
    ("error_200", {"error_code": 987654}, ERROR, ERROR),
    ("expire_token", {}, STALE, INVALID),
]
NAMES = [" ".join([kind, *(str(value) for value in options.values())]) for kind, options, _call, _identity in CASES]


def control(sandbox: SandboxServer, method: str, what: str, values: dict[str, Any]) -> None:
    link = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
    link.request(method, f"/_sandbox/{what}", json.dumps(values), {"Content-Type": "application/json"})
    response = link.getresponse()
    assert response.status < 300, response.read()
    link.close()


@contextmanager
def fault(sandbox: SandboxServer, kind: str, **options: Any) -> Iterator[None]:
    control(sandbox, "POST", "faults", {"portal": "acme.flowlu.com", "fault": kind, **options})
    sandbox.state.clear_requests()
    yield
    control(sandbox, "DELETE", "faults", {"portal": "acme.flowlu.com"})


@pytest.fixture(autouse=True)
def _short_deadlines(settings: Any) -> None:
    settings.FLOWLU_CONNECT_SECONDS, settings.FLOWLU_READ_SECONDS = 1.0, 1.0
    settings.FLOWLU_TOTAL_SECONDS = TOTAL_SECONDS


@pytest.fixture
def page(ana: Frontend) -> Frontend:
    ana.open()
    approve_scopes(
        installation_id=Installation.objects.get().pk,
        requested=["crm.accounts.full"],
        actor=factories.superactor(),
        reason="A test.",
    )
    return ana


def answer_of(response: Any) -> Answer:
    body = response.json()
    return response.status_code, body.get("error", "") if isinstance(body, dict) else ""


def another_pair(page: Frontend) -> dict[str, str]:
    pair = page.sandbox.state.issue_tokens(page.portal, page.user_id)
    return {"access_token": pair.access_token, "expires_at": pair.expires_at_text}


ASKS: dict[str, Callable[[Frontend], Any]] = {
    "a read": Frontend.accounts,
    "a write": lambda page: page.post("flowlu/crm/account/create", {"name": "Northwind"}),
    "a delete": lambda page: page.post("flowlu/crm/account/delete/1"),
    "a handshake": lambda page: page.handshake(**another_pair(page)),
    "a first handshake of another user": lambda page: Frontend(page.api, page.sandbox, page.portal, "3").handshake(),
    "a hand-over": lambda page: page.put("session/token", another_pair(page)),
}


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(("kind", "options", "call", "identity"), CASES, ids=NAMES)
def test_fault_ends_in_its_code_in_time_and_changes_nothing(
    page: Frontend, ask: str, kind: str, options: dict[str, Any], call: Answer, identity: Answer
) -> None:
    expected = identity if "hand" in ask else call
    began = OAuthToken.objects.values().get()

    with fault(page.sandbox, kind, **options):
        started = time.monotonic()
        if expected == STALE:
            # The one change that a failure may make: the refused pair is not sent again.
            response = ASKS[ask](page)
            assert OAuthToken.objects.values().get() == began | {
                "state": "stale",
                "stale_at": OAuthToken.objects.get().stale_at,
                "sealed_access_token": None,
            }
        else:
            with nothing_changes():
                response = ASKS[ask](page)
        assert time.monotonic() - started < TOTAL_SECONDS + PATIENCE

        sent = page.sandbox.state.requests()
        # The application opened no second session on the way; what was sent was sent once.
        assert [(entry.portal, entry.fault) for entry in sent] == [("acme.flowlu.com", kind)]
        assert page.sandbox.state.counters().get("redirect_followed", 0) == 0
        # What needs no portal is not troubled.
        assert page.get("session").status_code == page.get("permissions").status_code == 200
        assert len(page.sandbox.state.requests()) == 1

    assert answer_of(response) == expected
    assert UPSTREAM_TEXT not in response.content.decode()
    assert (expected == LIMITED and options["retry_after"] == "31") is ("Retry-After" in response.headers)
    if "Retry-After" in response.headers:
        assert response.headers["Retry-After"] == "31"


@pytest.mark.parametrize(("kind", "options", "call", "identity"), CASES, ids=NAMES)
def test_session_goes_on_when_the_fault_is_over(
    page: Frontend, kind: str, options: dict[str, Any], call: Answer, identity: Answer
) -> None:
    with fault(page.sandbox, kind, **options):
        page.accounts()

    if call == STALE:
        page.refresh()
        assert page.hand_over().status_code == 204
    assert page.accounts().status_code == 200


def test_every_fault_of_the_sandbox_has_a_row() -> None:
    assert {kind for kind, *_rest in CASES} == set(FAULT_KINDS)


def test_fault_of_one_portal_is_not_another_s(page: Frontend, gus: Frontend) -> None:
    gus.open()
    for kind, options, *_answers in CASES:
        with fault(page.sandbox, kind, **options):
            assert gus.handshake().status_code == 201


def test_portal_that_is_not_there(page: Frontend, settings: Any) -> None:
    settings.FLOWLU_PORTAL_URL = "http://127.0.0.1:9"
    for ask, make in ASKS.items():
        with nothing_changes():
            assert answer_of(make(page)) == UNAVAILABLE, ask


def test_portal_that_is_gone_is_not_asked_for_a_while_and_changes_nothing(
    page: Frontend, gus: Frontend, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused without a try, with the time to come again; another portal is not, and whoever is back is asked."""
    names = {"acme.flowlu.com": "127.0.0.2", "globex.flowlu.com": "127.0.0.1"}  # nobody listens at the first
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *how, **more: look_up(names.get(host, host), *how, **more))
    monkeypatch.setattr(page.sandbox, "refusal_of", lambda _request: None)  # it answers to these names, too
    settings.FLOWLU_PORTAL_URL = page.sandbox.portal_url_template.replace("localhost", "{portal}")
    settings.PORTAL_FAILURES, settings.PORTAL_PAUSE_SECONDS = 2, 3600
    page.sandbox.state.clear_requests()

    found = []
    with nothing_changes():
        for ask, make in ASKS.items():
            response = make(page)
            assert answer_of(response) == UNAVAILABLE, ask
            found.append(response.headers.get("Retry-After"))
    assert (found[:2], set(found[2:])) == ([None, None], {"3600"})
    assert gus.open().session_token
    assert {entry.portal for entry in page.sandbox.state.requests()} == {"globex.flowlu.com"}
    day_counts.flush()
    assert DayCount.objects.get(subject="upstream", outcome="not_asked").number == len(ASKS) - 2

    names["acme.flowlu.com"] = "127.0.0.1"
    assert answer_of(page.accounts()) == UNAVAILABLE
    flowlu_client()._breaker._troubled["acme.flowlu.com"].again_at = time.monotonic()
    assert [page.accounts().status_code for _ in range(3)] == [200, 200, 200]


def test_calls_under_way_to_one_portal_are_bounded(page: Frontend, settings: Any) -> None:
    """Checked here for its answer; tests/security/races has it under real load."""
    settings.PORTAL_CONCURRENCY = 1
    with flowlu_client()._slots.hold("acme.flowlu.com"):
        with nothing_changes():
            for ask, make in ASKS.items():
                response = make(page)
                assert answer_of(response) == LIMITED, ask
                assert response.headers["Retry-After"] == "1"
        assert Frontend(page.api, page.sandbox, "globex.flowlu.com").handshake().status_code == 201
    assert page.accounts().status_code == 200
