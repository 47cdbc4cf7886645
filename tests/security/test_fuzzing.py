"""Every address of the API document, asked at random: no error of the server, and no answer that the document lacks.

What is sent follows the document, or breaks it at some place; with a session, without one, and one after the other with
the session that an answer before it opened.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from rest_framework.test import APIClient
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, Installation
from tests import factories
from tests.embedded import Frontend

pytestmark = pytest.mark.django_db(transaction=True)

OPERATIONS = {
    "GET /api/v1/flowlu/{path}",
    "POST /api/v1/flowlu/{path}",
    "GET /api/v1/permissions",
    "GET /api/v1/session",
    "POST /api/v1/session",
    "DELETE /api/v1/session",
    "PUT /api/v1/session/token",
    "DELETE /api/v1/session/token",
}
# The document cannot say which portals, tokens and calls there are, so what follows it may be refused; and a query that
# nobody reads breaks nothing.
_NOT_SAID = [positive_data_acceptance, negative_data_rejection]
_STRESS = bool(os.environ.get("STRESS"))
_TRIES = 200 if _STRESS else 8


@pytest.fixture
def documented(sandbox: SandboxServer, application: Application, api: APIClient, settings: Any) -> Any:
    settings.ALLOWED_HOSTS = ["localhost", "testserver"]
    Frontend(api, sandbox, "acme.flowlu.com").open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    return schemathesis.openapi.from_wsgi("/api/schema", get_wsgi_application())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_no_answer_is_an_error_of_the_server_or_not_documented(
    documented: Any, sandbox: SandboxServer, api: APIClient, mode: GenerationMode
) -> None:
    found = {
        f"{each.method.upper()} {each.path}": each for each in (one.ok() for one in documented.get_all_operations())
    }
    assert found.keys() == OPERATIONS

    def with_a_session() -> dict[str, str]:
        # Of its own for each request: what is revoked or ended would answer the rest.
        return Frontend(api, sandbox, "acme.flowlu.com").open().headers

    for operation in found.values():
        ask_at_random(operation, mode, with_a_session, _TRIES)
        ask_at_random(operation, mode, dict, _TRIES // 4)


def ask_at_random(operation: Any, mode: GenerationMode, headers: Callable[[], dict[str, str]], tries: int) -> None:
    @settings(
        max_examples=tries,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        derandomize=not _STRESS,  # the same requests each time, others under STRESS
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(headers=headers(), excluded_checks=_NOT_SAID)

    ask()


def test_no_order_of_requests_to_one_session_leads_to_another_answer(
    documented: Any, sandbox: SandboxServer, api: APIClient
) -> None:
    """The document's links are followed: a session is opened, and its calls come in any order, the last ones too."""
    seen: Counter[tuple[str, int]] = Counter()
    ended: set[str] = set()

    class Session(documented.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            # The document cannot say which tokens and calls there are. What is drawn for them has its test above.
            page = Frontend(api, sandbox, "acme.flowlu.com")
            if case.operation.label == "POST /api/v1/session":
                case.body = page.launch_values()
            elif case.operation.label == "PUT /api/v1/session/token":
                case.body = {"access_token": page.pair.access_token, "expires_at": page.pair.expires_at_text}
            elif "path" in case.path_parameters:
                case.path_parameters["path"] = "crm/account/list"
                case.query = case.body = {}

        def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
            seen[case.operation.label, response.status_code] += 1
            case.validate_response(response, excluded_checks=_NOT_SAID)
            session = (case.headers or {}).get("X-Session-Token", "")
            if session in ended:
                assert response.status_code == 401, case.operation.label
                seen["ended", 401] += 1
            elif case.operation.label == "DELETE /api/v1/session" and response.status_code == 204:
                ended.add(session)

    Session.run(
        settings=settings(
            max_examples=_TRIES,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            derandomize=not _STRESS,
        )
    )

    assert {operation for operation, status in seen if status < 300} == OPERATIONS
    assert seen["ended", 401] > 0
