"""Pages of other origins: which may ask, which may use an application, and what a browser is told meanwhile.

What a page may ask is the union of all lists; what it may do is the list of its session's application alone.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from flowlu_admin import cross_origin
from flowlu_admin.cross_origin import KnownOrigins
from flowlu_admin.sandbox.server import SandboxServer
from installations.cross_origin import set_allowed_origins
from installations.models import Application, Installation
from installations.services import lock, suspend_installation
from tests import factories
from tests.embedded import Frontend
from tests.unchanged import nothing_changes
from tokens import activity
from tokens.models import EmbedSession

pytestmark = pytest.mark.django_db(transaction=True)

OURS = "https://app.example.com"
THEIRS = "https://other.example.com"
EVIL = "https://evil.example"
OWN = "http://testserver"
PUBLIC = "https://testserver"
WHY = {"actor": factories.superactor(), "reason": "A test."}
ROUTES = ("session", "session/token", "permissions", "flowlu/crm/account/list", "nothing")
# What no list can hold, although a browser or a program may send it.
NEVER = [
    "null",
    "",
    "*",
    EVIL,
    f"{OURS}.evil.example",
    f"{OURS}:8443",
    "http://app.example.com",
    f"{OURS}/",
    OURS.upper(),
]


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def allow(app_id: str, *origins: str) -> None:
    application = Application.objects.get(app_id=app_id)
    set_allowed_origins(application_id=application.pk, origins=origins, **WHY)
    cross_origin.known = cross_origin.KnownOrigins()  # some seconds later


def on(page: Frontend, origin: str | None) -> Frontend:
    """Have the page send this Origin from now on, as a browser would."""
    page.api.credentials(**({} if origin is None else {"HTTP_ORIGIN": origin}))
    return page


def preflight(path: str, origin: str | None, method: str = "POST", **headers: str) -> Any:
    headers = {"Access-Control-Request-Method": method, **headers}
    return APIClient().options(path, headers=headers if origin is None else {"Origin": origin, **headers})


def cors(response: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in response.items() if name.lower().startswith("access-control-")}


@pytest.fixture
def lists(application: Application) -> None:
    """An origin for the application, and another one for another application."""
    factories.application("com.example.other")
    allow("com.example.desk", OURS)
    allow("com.example.other", THEIRS)


@pytest.fixture
def page(lists: None, ana: Frontend) -> Frontend:
    """A page on an allowed origin with an open session and accounts approved."""
    on(ana, OURS).open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    return ana


EACH: dict[str, Callable[[Frontend], Any]] = {
    "look at the session": lambda page: page.get("session"),
    "ask what is approved": lambda page: page.get("permissions"),
    "read": Frontend.accounts,
    "write": lambda page: page.post("flowlu/crm/account/create", {"name": "New"}),
    "hand over": Frontend.hand_over,
    "revoke the own token": lambda page: page.delete("session/token"),
    "end the session": lambda page: page.delete("session"),
}


# --- What a browser is told -------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("origin", [OURS, THEIRS])
def test_preflight_of_a_known_origin_is_answered_and_says_what_may_be_sent(
    lists: None, route: str, origin: str
) -> None:
    response = preflight(f"/api/v1/{route}", origin)

    assert (response.status_code, response.content) == (200, b"")
    assert cors(response) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST, PUT, DELETE",
        "access-control-allow-headers": "content-type, x-session-token",
        "access-control-expose-headers": "Retry-After, WWW-Authenticate, X-Request-ID",
        "access-control-max-age": "300",
    }
    assert "origin" in response["Vary"].lower()
    assert response["Cache-Control"] == "no-store"
    assert not response.cookies


@pytest.mark.parametrize("origin", [*NEVER, None, OWN, PUBLIC])
def test_preflight_of_any_other_origin_gives_a_browser_nothing(lists: None, origin: str | None) -> None:
    response = preflight("/api/v1/session", origin)

    assert cors(response) == {}
    assert "origin" in response["Vary"].lower()


def test_nothing_is_told_before_an_operator_allows_an_origin(application: Application) -> None:
    assert cors(preflight("/api/v1/session", OURS)) == {}


@pytest.mark.parametrize(
    "address",
    [
        "/service/v1/flowlu/crm/account/list", "/admin/", "/accounts/login/", "/api/schema", "/api/docs", "/embed/",
        "/healthz", "/readyz", "/", "/api/v2/session", "/api/v1", "/x/api/v1/session", "//api/v1/session",
    ],
)  # fmt: skip
def test_nothing_but_the_api_answers_pages_of_other_origins(lists: None, address: str) -> None:
    for origin in (OURS, THEIRS):
        assert cors(preflight(address, origin)) == {}
        assert cors(APIClient().get(address, headers={"Origin": origin})) == {}


def test_other_addresses_cost_no_look_at_the_lists(lists: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        APIClient().get("/healthz", headers={"Origin": OURS})


@pytest.mark.parametrize("origin", [OURS, THEIRS, EVIL, "null", OWN, None])
def test_no_answer_ever_speaks_of_credentials_or_of_every_origin(
    lists: None, ana: Frontend, origin: str | None
) -> None:
    on(ana, origin)
    answers = [preflight(f"/api/v1/{route}", origin, Cookie="operator_session=x") for route in ROUTES]
    answers += [ana.handshake(), *(call(ana) for call in EACH.values()), ana.get("nothing")]

    for answer in answers:
        assert "access-control-allow-credentials" not in cors(answer)
        assert "access-control-allow-private-network" not in cors(answer)
        assert cors(answer).get("access-control-allow-origin", origin) == origin
        assert answer.has_header("access-control-allow-origin") is (origin in (OURS, THEIRS))
        assert "origin" in answer["Vary"].lower()
        assert not answer.cookies


def test_refusals_of_every_kind_can_be_read_by_the_page(page: Frontend, settings: Any) -> None:
    settings.CALL_RATE = "7/d"
    refused = {
        "invalid_session": on(Frontend(APIClient(), page.sandbox, "acme.flowlu.com"), OURS).get("session"),
        "invalid_request": page.api.post("/api/v1/session", {}, format="json"),
        "insufficient_scope": page.get("flowlu/fin/invoice/list"),
        "unsupported_media_type": page.api.generic(
            "PUT", "/api/v1/session/token", "x", "text/plain", headers=page.headers
        ),
        "method_not_allowed": page.put("permissions", {}),
        "not_found": page.get("nothing"),
        "application_unknown": page.handshake(app_id="com.example.none"),
        "origin_not_allowed": page.handshake(app_id="com.example.other"),
    }
    suspend_installation(installation_id=Installation.objects.get().pk, **WHY)
    refused["installation_suspended"] = page.accounts()
    for _ in range(6):
        refused["rate_limited"] = page.accounts()

    for code, response in refused.items():
        assert response.json()["error"] == code
        assert cors(response)["access-control-allow-origin"] == OURS
        assert cors(response)["access-control-expose-headers"] == "Retry-After, WWW-Authenticate, X-Request-ID"
    assert refused["rate_limited"].has_header("Retry-After")


def test_failure_on_our_side_can_be_read_by_the_page(page: Frontend) -> None:
    assert OURS in cross_origin.known

    with connection.execute_wrapper(_away):
        response = page.accounts()

    assert error(response) == (500, "server_error")
    assert cors(response)["access-control-allow-origin"] == OURS


# --- The handshake ----------------------------------------------------------------------------------------------


def test_allowed_origin_opens_a_session_and_uses_it(page: Frontend) -> None:
    for name, call in EACH.items():
        response = call(page)
        assert response.status_code in (200, 204), (name, response.content)
        assert cors(response)["access-control-allow-origin"] == OURS


@pytest.mark.parametrize("origin", [*NEVER, THEIRS])
def test_any_other_origin_opens_none_and_flowlu_is_not_asked(lists: None, ana: Frontend, origin: str) -> None:
    with nothing_changes():
        response = on(ana, origin).handshake()

    assert error(response) == (403, "origin_not_allowed")
    assert response["WWW-Authenticate"] == 'Session error="origin_not_allowed"'
    assert ana.sandbox.state.requests() == []


@pytest.mark.parametrize("origin", [None, OWN, PUBLIC])
def test_our_own_pages_and_programs_need_no_origin(ana: Frontend, origin: str | None) -> None:
    assert on(ana, origin).handshake().status_code == 201
    assert ana.get("session").status_code == 200
    assert ana.delete("session").status_code == 204


def test_own_origin_is_the_one_that_was_asked_for_or_that_is_set(ana: Frontend, settings: Any) -> None:
    settings.PUBLIC_URL = "https://Desk.Example.com:8443"
    assert on(ana, "https://desk.example.com:8443").handshake().status_code == 201
    # a development machine has two names
    for host in ("127.0.0.1:8000", "localhost:8000"):
        ana.api.credentials(HTTP_ORIGIN=f"http://{host}", HTTP_HOST=host)
        assert ana.handshake().status_code == 201
        ana.api.credentials(HTTP_ORIGIN="http://127.0.0.1:9000", HTTP_HOST=host)
        assert error(ana.handshake()) == (403, "origin_not_allowed")


def test_scheme_is_a_part_of_the_own_origin(ana: Frontend, settings: Any) -> None:
    settings.PUBLIC_URL = "https://desk.example.com"
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    ana.api.credentials(HTTP_ORIGIN="https://testserver", HTTP_HOST="testserver", HTTP_X_FORWARDED_PROTO="https")
    assert ana.handshake().status_code == 201

    ana.api.credentials(HTTP_ORIGIN="http://testserver", HTTP_HOST="testserver", HTTP_X_FORWARDED_PROTO="https")
    assert error(ana.handshake()) == (403, "origin_not_allowed")


def test_host_that_is_not_ours_makes_no_origin_ours(ana: Frontend) -> None:
    ana.api.credentials(HTTP_ORIGIN="http://evil.example", HTTP_HOST="evil.example")

    assert ana.handshake().status_code == 400
    assert ana.sandbox.state.requests() == []


@pytest.mark.parametrize("name", ["Referer", "X-Forwarded-Host", "X-Forwarded-Origin", "Sec-Fetch-Site", "X-Origin"])
def test_no_other_header_says_where_a_page_is(lists: None, ana: Frontend, name: str) -> None:
    for value in (OURS, OWN, "testserver", "same-origin"):
        ana.api.credentials(**{"HTTP_ORIGIN": EVIL, f"HTTP_{name.upper().replace('-', '_')}": value})
        assert error(ana.handshake()) == (403, "origin_not_allowed")


def test_order_at_the_handshake(lists: None, ana: Frontend) -> None:
    Application.objects.update(allowed_portals=["globex.flowlu.com"])
    lock(target=Application.objects.get(app_id="com.example.desk"), **WHY)
    on(ana, EVIL)

    assert error(ana.handshake(access_token="")) == (400, "invalid_request")
    assert error(ana.handshake(app_id="com.example.none")) == (403, "application_unknown")
    assert error(ana.handshake()) == (403, "origin_not_allowed")
    assert error(on(ana, None).handshake()) == (403, "portal_not_allowed")


# --- Each request of a session ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("origin", [EVIL, THEIRS, "null", "", f"{OURS}:8443"])
def test_session_is_of_no_use_to_a_page_of_another_origin(page: Frontend, name: str, origin: str) -> None:
    page.sandbox.state.clear_requests()
    activity.flush()

    with nothing_changes():
        response = EACH[name](on(page, origin))
        activity.flush()

    assert error(response) == (403, "origin_not_allowed")
    assert page.sandbox.state.requests() == []
    assert EACH[name](on(page, OURS)).status_code in (200, 204)


def test_page_that_is_refused_keeps_no_session_alive(page: Frontend) -> None:
    activity.flush()
    before = timezone.now() - timedelta(minutes=5)
    EmbedSession.objects.update(last_used_at=before)

    on(page, EVIL).get("session")
    activity.flush()
    assert EmbedSession.objects.get().last_used_at == before

    on(page, OURS).get("session")
    activity.flush()
    assert EmbedSession.objects.get().last_used_at > before


@pytest.mark.parametrize("name", EACH)
def test_origin_that_is_left_out_is_refused_from_the_next_request_on(page: Frontend, name: str) -> None:
    allow("com.example.desk", "https://new.example.com")
    page.sandbox.state.clear_requests()

    assert error(EACH[name](page)) == (403, "origin_not_allowed")
    assert page.sandbox.state.requests() == []
    # and the session is still there for one that is allowed
    assert EACH[name](on(page, "https://new.example.com")).status_code in (200, 204)


def test_session_of_one_application_is_of_no_use_on_an_origin_of_another(
    page: Frontend, sandbox: SandboxServer
) -> None:
    other = on(Frontend(APIClient(), sandbox, "acme.flowlu.com", "3"), THEIRS)
    assert other.handshake(app_id="com.example.other").status_code == 201

    other.session_token, page.session_token = page.session_token, other.session_token

    assert error(other.get("session")) == (403, "origin_not_allowed")
    assert error(page.get("session")) == (403, "origin_not_allowed")


def test_order_in_a_session(page: Frontend) -> None:
    lock(target=Application.objects.get(app_id="com.example.desk"), **WHY)
    on(page, EVIL)

    assert error(page.get("flowlu/..")) == (403, "origin_not_allowed")
    assert error(page.accounts()) == (403, "origin_not_allowed")
    page.session_token = "unknown"
    assert error(page.accounts()) == (401, "invalid_session")
    assert error(on(page, OURS).get("session")) == (401, "invalid_session")


def test_refused_origin_does_not_use_up_what_the_session_may_call(page: Frontend, settings: Any) -> None:
    settings.CALL_RATE = "3/d"
    for _ in range(10):
        assert error(on(page, EVIL).accounts()) == (403, "origin_not_allowed")

    assert on(page, OURS).accounts().status_code == 200


def test_damaged_list_allows_nobody(page: Frontend) -> None:
    for damaged in ("https://app.example.com", {OURS: True}, [[OURS]], 7):
        Application.objects.filter(app_id="com.example.desk").update(allowed_origins=damaged)
        assert error(page.get("session")) == (403, "origin_not_allowed")
        assert on(page, None).get("session").status_code == 200
        on(page, OURS)


# --- What it costs ----------------------------------------------------------------------------------------------


def test_call_from_another_origin_is_one_statement_like_any_other(
    page: Frontend, django_assert_num_queries: Any
) -> None:
    page.accounts()

    with django_assert_num_queries(1):
        assert page.accounts().status_code == 200
    with django_assert_num_queries(1):
        assert error(on(page, EVIL).accounts()) == (403, "origin_not_allowed")


def test_strangers_cost_the_database_one_statement_in_some_seconds(lists: None) -> None:
    with CaptureQueriesContext(connection) as made:
        for number in range(50):
            preflight("/api/v1/session", f"https://a{number}.evil.example")
            preflight("/api/v1/session", OURS)

    assert len(made) == 1


def test_change_is_known_after_some_seconds(lists: None) -> None:
    assert cors(preflight("/api/v1/session", OURS)) != {}
    application = Application.objects.get(app_id="com.example.desk")
    read_at = cross_origin.known._read_at
    assert read_at is not None
    set_allowed_origins(application_id=application.pk, origins=[EVIL], **WHY)

    cross_origin.known._read_at = time.monotonic() - cross_origin.KEPT_SECONDS + 2
    assert cors(preflight("/api/v1/session", OURS)) != {}
    assert cors(preflight("/api/v1/session", EVIL)) == {}

    cross_origin.known._read_at = time.monotonic() - cross_origin.KEPT_SECONDS
    assert cors(preflight("/api/v1/session", OURS)) == {}
    assert cors(preflight("/api/v1/session", EVIL)) != {}
    assert cross_origin.known._read_at > read_at


def test_database_that_is_away_costs_no_answer_its_headers(lists: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cors(preflight("/api/v1/session", OURS)) != {}
    monkeypatch.setattr(cross_origin.known, "_read_at", None)

    with connection.execute_wrapper(_away):
        answers = [preflight("/api/v1/session", OURS), preflight("/api/v1/session", EVIL)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [bool(cors(answer)) for answer in answers] == [True, False]


def _away(*_args: Any) -> None:
    raise OperationalError("The database is away.")


def test_locked_application_takes_its_origins_out_of_the_union(lists: None) -> None:
    lock(target=Application.objects.get(app_id="com.example.desk"), **WHY)
    cross_origin.known = cross_origin.KnownOrigins()

    assert cors(preflight("/api/v1/session", OURS)) == {}
    assert cors(preflight("/api/v1/session", THEIRS)) != {}


def test_of_two_that_find_the_origins_old_one_reads_them(application: Application) -> None:
    known = KnownOrigins()
    answers: list[bool] = []
    asks = Thread(target=lambda: answers.append("https://app.example.com" in known))
    with known._reading:
        asks.start()
        time.sleep(0.2)  # until it waits
        known._read_at = time.monotonic()
    asks.join()

    # Had it read them as well it would need a connection of its own, on which nothing is there.
    assert (answers, known._origins) == ([False], frozenset())
