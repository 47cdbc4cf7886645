"""POST, GET and DELETE /api/v1/session: who may open one, what it tells, that it ends."""

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from installations.models import AuditEvent, Evidence, Installation, Portal, PortalUser
from installations.services import lock, suspend_installation
from tests import factories
from tests.embedded import Frontend
from tokens.api.parsers import HANDSHAKE_BYTES
from tokens.models import EmbedSession, OAuthToken

pytestmark = pytest.mark.django_db(transaction=True)


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_first_launch_is_recorded_as_pending_and_answers_as_documented(ana: Frontend) -> None:
    response = ana.handshake()

    assert response.status_code == 201
    assert response["Cache-Control"] == "no-store"
    body = response.json()
    installation = Installation.objects.get()
    assert body["user"] == {"id": "2", "name": "José Núñez", "is_portal_admin": False}
    assert body["portal"] == "acme.flowlu.com"
    assert body["installation"] == {"id": str(installation.pk), "status": "pending_approval"}
    assert body["permissions"] == {"approved": [], "described": []}
    assert len(body["session_token"]) == 43
    assert EmbedSession.objects.get().token_hash != body["session_token"]
    assert Evidence.objects.get().kind == Evidence.Kind.LAUNCH
    assert list(AuditEvent.objects.order_by("sequence").values_list("verb", flat=True)) == [
        "application.registered",
        "installation.first_seen",
        "token.stored",
    ]


def test_launching_again_and_again_adds_no_evidence(ana: Frontend, settings: Any) -> None:
    settings.LIVENESS_EVIDENCE_HOURS = 24 * 365 * 1000  # no period ends while this runs
    points = ["first", "second", "third"]

    assert [ana.handshake(integration_point=point).status_code for point in points] == [201] * 3

    assert Evidence.objects.get().integration_point == "third"


def test_identity_is_what_flowlu_says_not_what_the_body_says(ana: Frontend) -> None:
    body = ana.handshake(user_id="1", user={"id": "1"}, is_portal_admin=True).json()

    assert body["user"]["id"] == "2"
    assert body["user"]["is_portal_admin"] is False


def test_portal_is_lower_cased(ana: Frontend) -> None:
    assert ana.handshake(portal="ACME.Flowlu.com").json()["portal"] == "acme.flowlu.com"


@pytest.mark.parametrize(
    "portal",
    [
        "acme.flowlu.com\n",
        " acme.flowlu.com",
        "acme.flowlu.com.",
        "https://acme.flowlu.com",
        "acme.flowlu.com:443",
        "user@acme.flowlu.com",
        "acme.flowlu.com/path",
        "acme.flowlu.com.evil.com",
        "evilflowlu.com",
        "a.b.flowlu.com",
        ".flowlu.com",
        "",
        "127.0.0.1",
        "аcme.flowlu.com",
        "acme.flowlu.com#x",
        "-acme.flowlu.com",
    ],
)
def test_what_is_no_portal_is_refused_before_any_request(ana: Frontend, portal: str) -> None:
    before = len(ana.sandbox.state.requests())

    assert error(ana.handshake(portal=portal)) == (403, "portal_not_allowed")
    assert len(ana.sandbox.state.requests()) == before
    assert Portal.objects.count() == 0


def test_unknown_application_is_refused_before_any_request(ana: Frontend) -> None:
    assert error(ana.handshake(app_id="com.example.other")) == (403, "application_unknown")
    assert ana.sandbox.state.requests() == []


def test_portal_that_the_application_does_not_allow_is_refused(ana: Frontend) -> None:
    from installations.models import Application

    Application.objects.update(allowed_portals=["globex.flowlu.com"])

    assert error(ana.handshake()) == (403, "portal_not_allowed")
    assert ana.sandbox.state.requests() == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"access_token": None}, "access_token"),
        ({"access_token": ""}, "access_token"),
        ({"access_token": 7}, "access_token"),
        ({"access_token": "with space"}, "access_token"),
        ({"access_token": "x" * 4097}, "access_token"),
        ({"access_token": "tok\nInjected: 1"}, "access_token"),
        ({"portal": 5}, "portal"),
        ({"portal": None}, "portal"),
        ({"app_id": ["a"]}, "app_id"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": 1}, "expires_at"),
        ({"refresh_token": {}}, "refresh_token"),
        ({"app_version": "v" * 51}, "app_version"),
    ],
)
def test_malformed_body_names_the_field(ana: Frontend, changes: dict[str, Any], field: str) -> None:
    response = ana.handshake(**changes)

    assert error(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == {field}


@pytest.mark.parametrize(
    ("_case", "body", "expected"),
    [
        ("not JSON", b"{", (400, "invalid_request")),
        ("an array", b"[]", (400, "invalid_request")),
        ("duplicate key", b'{"portal": "a", "portal": "b"}', (400, "invalid_request")),
        ("not UTF-8", b"\xff", (400, "invalid_request")),
        ("deep", b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", (400, "invalid_request")),
        ("empty", b"", (400, "invalid_request")),
        ("many small values", b'{"a": [' + b"0," * 6000 + b"0]}", (400, "invalid_request")),
        ("over 64 KiB", b'{"a": "' + b"x" * 65536 + b'"}', (413, "request_too_large")),
    ],
)
def test_malformed_document_is_refused(ana: Frontend, _case: str, body: bytes, expected: tuple[int, str]) -> None:
    response = ana.api.post("/api/v1/session", body, content_type="application/json")

    assert error(response) == expected


def test_other_media_types_and_accept_headers_are_refused(ana: Frontend) -> None:
    assert ana.api.post("/api/v1/session", "a=b", content_type="text/plain").status_code == 415
    assert ana.api.post("/api/v1/session", {}, format="json", headers={"Accept": "text/html"}).status_code == 406


def test_optional_fields_may_be_null_and_unknown_ones_are_ignored(ana: Frontend) -> None:
    response = ana.handshake(
        refresh_token=None, expires_at=None, app_version=None, integration_point=None, language=None, other=[1]
    )

    assert response.status_code == 201
    assert response.json()["token"] == {"state": "active", "expires_at": None}


def test_token_that_flowlu_does_not_accept_opens_nothing(ana: Frontend) -> None:
    assert error(ana.handshake(access_token="nobody-knows-this")) == (401, "invalid_token")
    assert Portal.objects.count() == 0
    assert OAuthToken.objects.count() == 0


def test_token_of_another_portal_opens_nothing(ana: Frontend) -> None:
    assert error(ana.handshake(portal="globex.flowlu.com")) == (401, "invalid_token")
    assert Portal.objects.count() == 0


def test_code_11_with_status_200_is_an_invalid_token(ana: Frontend) -> None:
    ana.sandbox.state.configure("acme", auth_failure="error_11")

    assert error(ana.handshake(access_token="nobody-knows-this")) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("status_500", (502, "flowlu_error")),
        ("status_503", (502, "flowlu_error")),
        ("html", (502, "flowlu_error")),
        ("redirect", (502, "flowlu_error")),
        ("no_envelope", (502, "flowlu_error")),
        ("wrong_types", (502, "flowlu_error")),
        ("status_429", (429, "rate_limited")),
        ("reset", (503, "flowlu_unavailable")),
    ],
)
def test_failing_portal_opens_nothing(ana: Frontend, fault: str, expected: tuple[int, str]) -> None:
    ana.sandbox.state.add_fault("acme", fault)

    assert error(ana.handshake()) == expected
    assert Portal.objects.count() == 0


def test_user_id_zero_or_text_is_no_identity(ana: Frontend) -> None:
    ana.sandbox.state.add_fault("acme", "error_200", error_code=30)

    assert ana.handshake().status_code == 404
    assert PortalUser.objects.count() == 0


def test_get_answers_the_same_without_the_session_token(ana: Frontend) -> None:
    opened = ana.handshake().json()

    body = ana.get("session").json()

    assert "session_token" not in body
    assert {**body, "session_token": opened["session_token"]} == opened
    assert body["token"]["state"] == "active"


def test_deleted_session_is_over_and_its_token_is_not(ana: Frontend) -> None:
    ana.open()

    assert ana.delete("session").status_code == 204
    assert error(ana.get("session")) == (401, "invalid_session")
    assert OAuthToken.objects.get().state == "active"


@pytest.mark.parametrize("session_token", ["", "x", "x" * 43, "x" * 5000, "\udce9"])
def test_no_or_unknown_session_token_is_invalid(ana: Frontend, session_token: str) -> None:
    ana.session_token = session_token.encode("utf-8", "surrogateescape").decode("latin-1")

    response = ana.get("session")

    assert error(response) == (401, "invalid_session")
    assert response["WWW-Authenticate"] == 'Session error="invalid_session"'


def test_idle_session_ends(ana: Frontend, settings: Any) -> None:
    ana.open()

    with time_machine.travel(timezone.now() + timedelta(seconds=settings.EMBED_SESSION_IDLE + 1)):
        assert error(ana.get("session")) == (401, "invalid_session")


def test_session_in_use_ends_at_its_longest_life(ana: Frontend, settings: Any) -> None:
    ana.open()
    later = timezone.now() + timedelta(seconds=settings.EMBED_SESSION_MAX + 1)
    EmbedSession.objects.update(last_used_at=later)

    with time_machine.travel(later):
        assert error(ana.get("session")) == (401, "invalid_session")


def test_get_answers_in_every_state(ana: Frontend) -> None:
    ana.open()
    installation = Installation.objects.get()
    actor = factories.superactor()

    suspend_installation(installation_id=installation.pk, actor=actor, reason="A test.")
    assert ana.get("session").json()["installation"]["status"] == "suspended"
    for target in (installation, installation.portal, installation.application, PortalUser.objects.get()):
        lock(target=target, actor=actor, reason="A test.")
    assert ana.get("session").status_code == 200
    assert ana.get("permissions").status_code == 200
    assert ana.delete("session/token").status_code == 204
    assert ana.get("session").json()["token"]["state"] == "revoked"
    assert ana.delete("session").status_code == 204


@pytest.mark.parametrize("what", ["portal", "application", "installation", "portal_user", "suspended"])
def test_launch_is_refused_while_locked_or_suspended(ana: Frontend, what: str) -> None:
    ana.open()
    installation, user = Installation.objects.get(), PortalUser.objects.get()
    actor, sessions = factories.superactor(), EmbedSession.objects.count()
    if what == "suspended":
        suspend_installation(installation_id=installation.pk, actor=actor, reason="A test.")
    else:
        target = {
            "portal": installation.portal,
            "application": installation.application,
            "installation": installation,
            "portal_user": user,
        }[what]
        lock(target=target, actor=actor, reason="A test.")

    expected = {"portal_user": "user_locked", "suspended": "installation_suspended"}.get(what, "installation_locked")
    assert error(ana.handshake()) == (403, expected)
    assert EmbedSession.objects.count() == sessions


def test_handshakes_are_limited_by_address_and_portal(ana: Frontend, gus: Frontend, settings: Any) -> None:
    settings.HANDSHAKE_RATE = "2/d"
    ana.open()
    ana.open()

    response = ana.handshake()

    assert error(response) == (429, "rate_limited")
    assert 1 <= int(response["Retry-After"]) <= 86_400
    assert gus.handshake().status_code == 201


def test_made_up_portal_names_do_not_get_an_address_more_than_the_tenfold(ana: Frontend, settings: Any) -> None:
    settings.HANDSHAKE_RATE = "1/d"

    codes = [ana.handshake(portal=f"made-up-{number}.flowlu.com", app_id="unknown").status_code for number in range(12)]

    assert codes == [403] * 10 + [429] * 2


class Watched(BytesIO):
    """A body that knows whether it was read."""

    was_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.was_read = True
        return super().read(size)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"portal": ', (400, "invalid_request")),
        (b"[]", (400, "invalid_request")),
        (b'{"portal": "' + b"x" * HANDSHAKE_BYTES + b'"}', (413, "request_too_large")),
    ],
    ids=["no-json", "no-object", "too-large"],
)
def test_body_of_an_address_beyond_its_rate_is_not_read(
    ana: Frontend, settings: Any, body: bytes, answer: tuple[int, str]
) -> None:
    settings.HANDSHAKE_RATE = "1/d"

    def send(address: str) -> tuple[tuple[int, str], bool]:
        stream = Watched(body)
        extra: dict[str, Any] = {"wsgi.input": stream, "REMOTE_ADDR": address}
        response = ana.api.generic("POST", "/api/v1/session", body, "application/json", **extra)
        return error(response), stream.was_read

    for _ in range(10):
        assert send("192.0.2.7") == (answer, True)
    assert send("192.0.2.7") == ((429, "rate_limited"), False)
    assert send("192.0.2.8") == (answer, True)
    assert ana.handshake().status_code == 201


def test_calls_are_limited_by_session(ana: Frontend, gus: Frontend, settings: Any) -> None:
    settings.CALL_RATE = "1/d"
    ana.open()
    gus.open()
    ana.get("session")

    assert error(ana.get("session")) == (429, "rate_limited")
    assert gus.get("session").status_code == 200


def test_session_that_is_over_before_the_answer_is_made_is_not_given_out(ana: Frontend, settings: Any) -> None:
    settings.EMBED_SESSION_MAX = 0

    response = ana.handshake()

    assert error(response) == (401, "token_stale")
    assert "session_token" not in response.json()


def test_refresh_token_is_kept_only_by_choice_and_after_an_approval(ana: Frontend) -> None:
    from installations.models import Application

    ana.handshake(refresh_token=ana.pair.refresh_token)
    assert OAuthToken.objects.get().sealed_refresh_token is None

    Application.objects.update(stores_refresh_tokens=True)
    ana.handshake(refresh_token=ana.pair.refresh_token)
    assert OAuthToken.objects.get().sealed_refresh_token is None  # nothing is approved yet

    Installation.objects.update(status="active")
    Application.objects.update(stores_refresh_tokens=False)
    ana.handshake(refresh_token=ana.pair.refresh_token)
    assert OAuthToken.objects.get().sealed_refresh_token is None  # nobody chose to keep them

    Application.objects.update(stores_refresh_tokens=True)
    ana.handshake(refresh_token=ana.pair.refresh_token)
    assert OAuthToken.objects.get().sealed_refresh_token is not None


def test_paths_of_the_api_that_do_not_exist_answer_json(ana: Frontend) -> None:
    for path in ("/api/v1/session/", "/api/v1/tokens", "/api/x", "/api/"):
        assert error(ana.api.get(path)) == (404, "not_found")


def test_methods_that_are_not_offered_answer_405(ana: Frontend) -> None:
    ana.open()
    for method in ("put", "patch", "options"):
        assert error(getattr(ana.api, method)("/api/v1/session", headers=ana.headers)) == (405, "method_not_allowed")


def test_operator_cookie_opens_nothing(ana: Frontend, superuser: Any) -> None:
    ana.api.force_login(superuser)

    assert error(ana.get("session")) == (401, "invalid_session")
    assert error(ana.get("flowlu/crm/account/list")) == (401, "invalid_session")
