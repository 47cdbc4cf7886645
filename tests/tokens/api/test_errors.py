"""What Django itself refuses is a refusal of the API as well: its code, and neither a log line nor a traceback."""

import logging
from typing import Any

import pytest
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from rest_framework.test import APIClient

from tests.security.test_permission_matrix import PATTERNS
from tokens.api.errors import exception_handler

pytestmark = pytest.mark.django_db

PLACES = ("session", "session/token", "permissions", "flowlu/crm/account/list")
MANY = "&".join(["a"] * 1001)


@pytest.fixture
def stranger() -> APIClient:
    """Somebody without a session or a key, who sees what the server answers to its own failures."""
    return APIClient(enforce_csrf_checks=True, raise_request_exception=False)


def error_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [*(f"/api/v1/{place}" for place in PLACES), "/service/v1/flowlu/crm/account/list"])
def test_more_parameters_than_are_read_are_refused(
    stranger: APIClient, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    response: Any = stranger.generic(method, f"{path}?{MANY}")

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"
    assert response.json()["fields"] == {"parameters": "must be at most 1000"}
    assert response["Cache-Control"] == "no-store"
    assert error_lines(caplog) == []


def test_as_many_parameters_as_are_read_are_no_reason(stranger: APIClient) -> None:
    assert stranger.get("/api/v1/session?" + "&".join(["a"] * 1000)).status_code == 401


@pytest.mark.parametrize(
    "path", sorted(f"/{route}" for route in PATTERNS.values() if "<" not in route and "^" not in route)
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_address_fails_or_logs_for_them(
    stranger: APIClient, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    response: Any = stranger.generic(method, f"{path}?{MANY}", MANY, "application/x-www-form-urlencoded")

    assert response.status_code < 500
    assert error_lines(caplog) == []


@pytest.mark.parametrize("path", ["/api/nothing", "/service/nothing"])
@pytest.mark.parametrize("body", [MANY, "a=" + "x" * 3 * 1024 * 1024], ids=["many", "long"])
def test_form_sent_to_nothing_is_not_read(
    stranger: APIClient, caplog: pytest.LogCaptureFixture, path: str, body: str
) -> None:
    stranger.cookies["operator_csrf"] = "a" * 32

    response: Any = stranger.generic("POST", path, body, "application/x-www-form-urlencoded")

    assert (response.status_code, response.json()["error"]) == (404, "not_found")
    assert error_lines(caplog) == []


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (RequestDataTooBig("canary"), 413, "request_too_large"),
        (SuspiciousOperation("canary"), 400, "invalid_request"),
        (BadRequest("canary"), 400, "invalid_request"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_other_refusals_of_django_have_their_code_and_repeat_nothing(
    caplog: pytest.LogCaptureFixture, raised: Exception, status: int, code: str
) -> None:
    response = exception_handler(raised, {})

    assert (response.status_code, response.data["error"]) == (status, code)
    assert "canary" not in str(response.data)
    assert error_lines(caplog) == []


@pytest.mark.parametrize("path", ["/api/v1/session", "/service/v1/flowlu/crm/account/list", "/api/nothing"])
def test_request_for_another_host_is_answered_as_by_the_api(stranger: APIClient, path: str) -> None:
    response: Any = stranger.get(path, headers={"Host": "canary.example"})

    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert "canary" not in response.content.decode()
    page: Any = stranger.get("/accounts/login/", headers={"Host": "canary.example"})
    assert (page.status_code, page["Content-Type"]) == (400, "text/html; charset=utf-8")
