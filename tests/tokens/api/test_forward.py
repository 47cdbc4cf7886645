"""GET and POST /api/v1/flowlu/…: the order of refusals, what goes out, what comes back."""

import itertools
import time
from typing import Any

import pytest

from installations.models import AuditEvent, Installation, PortalUser
from installations.services import (
    approve_scopes,
    lock,
    resume_installation,
    suspend_installation,
    unlock,
    withdraw_scopes,
)
from tests import factories
from tests.embedded import Frontend
from tests.weighed import MIB, weighed
from tokens.api.parsers import CALL_BYTES
from tokens.models import OAuthToken
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def approve(*scopes: str) -> Installation:
    installation = Installation.objects.get()
    approve_scopes(installation_id=installation.pk, requested=scopes, actor=factories.superactor(), reason="A test.")
    return installation


@pytest.fixture
def jose(ana: Frontend) -> Frontend:
    """An open session with CRM accounts approved in full."""
    ana.open()
    approve("crm.accounts.full")
    ana.sandbox.state.clear_requests()
    return ana


def test_call_is_refused_before_approval_without_a_request_and_works_after(ana: Frontend) -> None:
    ana.open()
    ana.sandbox.state.clear_requests()

    refused = ana.accounts()

    assert error(refused) == (403, "insufficient_scope")
    assert refused.json()["required_scope"] == "crm.accounts.read"
    assert refused["WWW-Authenticate"] == 'Session error="insufficient_scope"'
    assert ana.sandbox.state.requests() == []

    approve("crm.accounts.read")
    allowed = ana.accounts()
    assert allowed.status_code == 200
    assert allowed.json()["items"][0]["name"]
    assert [(r.user_id, r.path) for r in ana.sandbox.state.requests()] == [("2", "crm/account/list")]


def test_scope_covers_its_models_and_level_only(jose: Frontend) -> None:
    withdraw_scopes(
        installation_id=Installation.objects.get().pk,
        codes=["crm.accounts"],
        actor=factories.superactor(),
        reason="A test.",
    )
    approve("crm.accounts.read")

    assert jose.accounts().status_code == 200
    assert jose.post("flowlu/crm/account/create", {"name": "New"}).json()["required_scope"] == "crm.accounts.full"
    assert error(jose.get("flowlu/crm/lead/list")) == (403, "insufficient_scope")
    assert jose.get("flowlu/nowhere/thing/list").json()["required_scope"] is None


def test_parameters_go_out_as_flowlu_takes_them(jose: Frontend) -> None:
    response = jose.get("flowlu/crm/account/list", limit="3", page="2", **{"filter[type]": "1"})

    assert response.status_code == 200
    assert len(response.json()["items"]) == 3
    assert response.json()["page"] == 2


def test_write_needs_post_and_is_refused_as_get_only_after_the_scope(jose: Frontend) -> None:
    assert error(jose.get("flowlu/crm/account/delete/1")) == (405, "method_not_allowed")
    assert error(jose.get("flowlu/crm/lead/delete/1")) == (403, "insufficient_scope")
    assert jose.sandbox.state.requests() == []


def test_create_update_and_delete_reach_flowlu_with_its_own_methods(jose: Frontend) -> None:
    created = jose.post("flowlu/crm/account/create", {"name": "Nueva", "type": 1})
    new_id = created.json()["id"]
    assert jose.post(f"flowlu/crm/account/update/{new_id}", {"name": "Nueva SA"}).status_code == 200
    assert jose.post(f"flowlu/crm/account/delete/{new_id}").status_code == 200
    assert error(jose.get(f"flowlu/crm/account/get/{new_id}")) == (404, "not_found")
    assert [r.method for r in jose.sandbox.state.requests()] == ["POST", "POST", "GET", "GET"]


@pytest.mark.parametrize(
    "path",
    [
        "crm/account",
        "crm/account/list/1/2",
        "crm/account/list/",
        "crm//list",
        "CRM/account/list",
        "crm/account/list/x",
        "crm/account/get/-1",
        "crm/account/get/1%0a",
        "crm/../task/list",
        "crm/%2e%2e/list",
        "crm/account;x=1/list",
        "crm/account%00/list",
        "crm/асcount/list",
        "",
        "../session",
        "crm%2faccount%2flist%2f1%2f2",
    ],
)
def test_path_outside_the_grammar_is_refused_without_a_request(jose: Frontend, path: str) -> None:
    response = jose.api.get(f"/api/v1/flowlu/{path}", headers=jose.headers)

    assert response.status_code in (400, 404)
    assert response.json()["error"] in ("invalid_request", "not_found")
    assert jose.sandbox.state.requests() == []


@pytest.mark.parametrize(
    "name",
    ["api_key", "access_token", "module", "model", "action", "id", "_method", "api_key[]", "API_KEY", "api.key",
     "api key", "a[b", "x\x00", "é", "id[0]"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["query", "body"])
def test_parameter_that_could_change_the_call_is_refused(jose: Frontend, name: str, place: str) -> None:
    if place == "query":
        response = jose.get("flowlu/crm/account/list", **{name: "1"})
    else:
        response = jose.post("flowlu/crm/account/list", {name: "1"})

    assert error(response) == (400, "invalid_request")
    assert jose.sandbox.state.requests() == []


def test_long_name_of_many_values_is_refused_before_it_is_multiplied(jose: Frontend) -> None:
    """The body has no more than a call may have; written out as parameters it would have a thousand times as much."""
    body = {"k" * (CALL_BYTES - 8000): [1] * 1000}

    response, peak = weighed(lambda: jose.post("flowlu/crm/lead/create", body))

    assert peak < 24 * MIB  # the body itself is held several times over, by the test's client as well
    assert error(response) == (400, "invalid_request")
    assert response.json()["fields"] == {"parameters": "is not a parameter name"}
    assert jose.sandbox.state.requests() == []


def test_authorization_header_is_refused(jose: Frontend) -> None:
    response = jose.api.get(
        "/api/v1/flowlu/crm/account/list", headers={**jose.headers, "Authorization": "Bearer other"}
    )

    assert error(response) == (400, "invalid_request")
    assert jose.sandbox.state.requests() == []


def test_refusals_come_in_the_documented_order(jose: Frontend) -> None:
    installation, user, actor = Installation.objects.get(), PortalUser.objects.get(), factories.superactor()
    suspend_installation(installation_id=installation.pk, actor=actor, reason="A test.")
    assert error(jose.accounts()) == (403, "installation_suspended")
    lock(target=installation, actor=actor, reason="A test.")
    assert error(jose.accounts()) == (403, "installation_locked")
    lock(target=user, actor=actor, reason="A test.")
    assert error(jose.accounts()) == (403, "user_locked")
    revoke_tokens(target=RevocationTarget.of_installation(installation.pk), actor=actor, reason="A test.")
    assert error(jose.accounts()) == (401, "token_revoked")
    assert error(jose.get("flowlu/Bad")) == (400, "invalid_request")
    jose.delete("session")
    assert error(jose.get("flowlu/Bad")) == (401, "invalid_session")
    assert jose.sandbox.state.requests() == []


@pytest.mark.parametrize("what", ["portal", "application", "installation", "portal_user"])
def test_lock_holds_and_unlock_gives_back(jose: Frontend, what: str) -> None:
    installation = Installation.objects.get()
    target: Any = {
        "portal": installation.portal,
        "application": installation.application,
        "installation": installation,
        "portal_user": PortalUser.objects.get(),
    }[what]

    lock(target=target, actor=factories.superactor(), reason="A test.")
    assert jose.accounts().status_code == 403
    unlock(target=target, actor=factories.superactor(), reason="A test.")
    assert jose.accounts().status_code == 200


def test_resumed_installation_works_again(jose: Frontend) -> None:
    installation_id, actor = Installation.objects.get().pk, factories.superactor()
    suspend_installation(installation_id=installation_id, actor=actor, reason="A test.")
    resume_installation(installation_id=installation_id, actor=actor, reason="A test.")

    assert jose.accounts().status_code == 200


def test_withdrawn_scope_refuses_the_next_call_and_the_installation_stays_active(jose: Frontend) -> None:
    installation = Installation.objects.get()
    withdraw_scopes(
        installation_id=installation.pk, codes=["crm.accounts"], actor=factories.superactor(), reason="A test."
    )

    assert error(jose.accounts()) == (403, "insufficient_scope")
    assert Installation.objects.get().status == "active"


def test_uninstalled_answers_token_revoked_and_a_new_launch_starts_with_nothing(jose: Frontend) -> None:
    uninstall_installation(
        installation_id=Installation.objects.get().pk, actor=factories.superactor(), reason="A test."
    )
    assert error(jose.accounts()) == (401, "token_revoked")
    assert error(jose.handshake()) == (401, "token_revoked")  # the very token that was revoked

    jose.refresh()
    body = jose.handshake().json()

    assert body["installation"]["status"] == "pending_approval"
    assert body["permissions"]["approved"] == []
    assert list(Installation.objects.order_by("generation").values_list("generation", "status")) == [
        (1, "uninstalled"),
        (2, "pending_approval"),
    ]


@pytest.mark.parametrize("auth_failure", ["status_401", "error_11"])
def test_stale_token_is_said_handed_over_and_works_again(jose: Frontend, auth_failure: Any) -> None:
    jose.sandbox.state.configure("acme", auth_failure=auth_failure)
    jose.sandbox.state.expire_token(jose.access_token)

    assert error(jose.accounts()) == (401, "token_stale")
    row = OAuthToken.objects.get()
    assert row.state == "stale"
    assert row.sealed_access_token is None
    assert jose.get("session").json()["token"]["state"] == "stale"
    seen = len(jose.sandbox.state.requests())
    assert error(jose.accounts()) == (401, "token_stale")
    assert len(jose.sandbox.state.requests()) == seen  # known to be stale: nobody is asked again

    jose.refresh()
    assert jose.hand_over().status_code == 204
    assert jose.accounts().status_code == 200


def test_token_that_does_not_unseal_is_stale_and_operators_are_told(jose: Frontend) -> None:
    row = OAuthToken.objects.get()
    sealed = bytearray(bytes(row.sealed_access_token or b""))
    sealed[-1] ^= 1
    OAuthToken.objects.update(sealed_access_token=bytes(sealed))

    assert error(jose.accounts()) == (401, "token_stale")
    assert jose.sandbox.state.requests() == []
    assert OAuthToken.objects.get().sealed_access_token is not None
    assert AuditEvent.objects.get(verb="token.undecryptable").details == {"reason": "tampered", "key_id": "k1"}
    assert error(jose.accounts()) == (401, "token_stale")
    assert AuditEvent.objects.filter(verb="token.undecryptable").count() == 1


def test_flowlu_refuses_the_user_by_its_own_rights(ana: Frontend) -> None:
    tom = Frontend(ana.api, ana.sandbox, "acme.flowlu.com", user_id="4").open()
    approve("crm.accounts.read")

    assert error(tom.accounts()) == (403, "flowlu_denied")


@pytest.mark.parametrize(
    ("fault", "options", "expected"),
    [
        ("status_401", {}, (401, "token_stale")),
        ("status_403", {}, (403, "flowlu_denied")),
        ("status_429", {}, (429, "rate_limited")),
        ("status_500", {}, (502, "flowlu_error")),
        ("status_503", {}, (502, "flowlu_error")),
        ("redirect", {}, (502, "flowlu_error")),
        ("html", {}, (502, "flowlu_error")),
        ("malformed", {}, (502, "flowlu_error")),
        ("empty", {}, (502, "flowlu_error")),
        ("no_envelope", {}, (502, "flowlu_error")),
        ("oversized", {}, (502, "flowlu_error")),
        ("reset", {}, (503, "flowlu_unavailable")),
        ("validation_200", {}, (422, "flowlu_invalid")),
        ("error_200", {"error_code": 10}, (502, "flowlu_error")),
        ("error_200", {"error_code": 11}, (401, "token_stale")),
        ("error_200", {"error_code": 12}, (502, "flowlu_error")),
        ("error_200", {"error_code": 13}, (502, "flowlu_error")),
        ("error_200", {"error_code": 20}, (404, "not_found")),
        ("error_200", {"error_code": 21}, (422, "flowlu_invalid")),
        ("error_200", {"error_code": 22}, (403, "flowlu_denied")),
        ("error_200", {"error_code": 30}, (404, "not_found")),
        ("error_200", {"error_code": 31}, (404, "not_found")),
        ("error_200", {"error_code": 99}, (502, "flowlu_error")),
    ],
)
def test_every_upstream_failure_ends_in_its_code_and_is_tried_once(
    jose: Frontend, fault: str, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    jose.sandbox.state.add_fault("acme", fault, **options)

    response = jose.accounts()

    assert error(response) == expected
    # A fault is logged when it has run its course, which may be after our side gave up.
    deadline = time.monotonic() + 5
    while not jose.sandbox.state.requests() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(jose.sandbox.state.requests()) == 1
    assert OAuthToken.objects.get().state == ("stale" if expected[1] == "token_stale" else "active")
    if fault == "status_429":
        assert response["Retry-After"] == "7"


def test_permissions_answers_with_the_checks_of_the_call_itself(jose: Frontend) -> None:
    cases = itertools.product(("crm", "task"), ("account", "lead", "tasks"), ("list", "get", "create", "delete"))
    for module, model, action in cases:
        answer = jose.get("permissions", module=module, model=model, action=action).json()
        outcome = jose.post(f"flowlu/{module}/{model}/{action}", {}).json()
        refused = outcome.get("error") == "insufficient_scope"
        assert answer["allowed"] is (not refused), (module, model, action)
        if refused:
            assert answer["required_scope"] == outcome["required_scope"]
            assert answer["error"] == "insufficient_scope"
    assert jose.get("permissions").json()["approved"] == ["crm.accounts.full"]
    assert error(jose.get("permissions", module="crm")) == (400, "invalid_request")


def test_hot_path_is_one_read_and_no_write(jose: Frontend, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1) as captured:
        assert jose.accounts().status_code == 200
    assert captured.captured_queries[0]["sql"].lstrip().startswith("SELECT")


@pytest.mark.parametrize("value", ["json", "html", "csv", ""])
def test_parameter_named_format_is_forwarded_as_any_other(jose: Frontend, value: str) -> None:
    assert jose.get("flowlu/crm/account/list", format=value).status_code == 200
    assert [request.parameters for request in jose.sandbox.state.requests()] == [("format",)]
