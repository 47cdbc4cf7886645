"""The Python API for code of this project: the same checks and the same rows as the service API, without a key."""

from typing import Any

import pytest
from django.db import transaction

from installations.errors import FlowluError, InvalidRequest
from installations.models import Application, Installation, PortalUser
from installations.services import approve_scopes, lock
from tests import factories
from tests.embedded import Frontend
from tokens.errors import (
    ActsAsNotAllowed,
    InstallationUnknown,
    NoCredential,
    PortalNotAllowedToApplication,
    PurposeDisabled,
    PurposeUnknown,
    ScopeNotInPurpose,
    UserTokenStale,
)
from tokens.models import Purpose, ServiceCall
from tokens.services.acting import Acting, act_as_system, act_as_user

pytestmark = pytest.mark.django_db(transaction=True)

HERE = {"app_id": factories.APP_ID, "portal": "acme.flowlu.com"}


@pytest.fixture
def acting(ana: Frontend) -> Acting:
    ana.open()
    approve_scopes(
        installation_id=Installation.objects.get().pk,
        requested=["crm.accounts.full"],
        actor=factories.superactor(),
        reason="A test.",
    )
    factories.purpose()
    ana.sandbox.state.clear_requests()
    return act_as_user(purpose="account-sync", user_id="2", **HERE)


def rows() -> list[tuple[Any, ...]]:
    return list(ServiceCall.objects.order_by("pk").values_list("service_client", "purpose__code", "call", "outcome"))


def test_call_as_a_user_goes_out_with_their_token_and_leaves_a_row(ana: Frontend, acting: Acting) -> None:
    response: Any = acting.call("crm", "account", "list", params={"limit": 3})
    created: Any = acting.call("crm", "account", "create", params={"name": "Nueva"})
    acting.call("crm", "account", "delete", str(created["id"]))

    assert len(response["items"]) == 3
    assert [(r.method, r.user_id) for r in ana.sandbox.state.requests()] == [("GET", "2"), ("POST", "2"), ("GET", "2")]
    assert rows() == [
        (None, "account-sync", "crm/account/list", "ok"),
        (None, "account-sync", "crm/account/create", "ok"),
        (None, "account-sync", "crm/account/delete", "ok"),
    ]
    assert set(ServiceCall.objects.values_list("portal_user", flat=True)) == {PortalUser.objects.get().pk}


def test_call_as_the_system_goes_out_with_the_key_of_its_purpose(ana: Frontend, acting: Acting) -> None:
    nightly = factories.purpose("nightly", acts_as="system")
    system = act_as_system(purpose="nightly", **HERE)
    with pytest.raises(NoCredential):
        system.call("crm", "account", "list")
    value = ana.sandbox.state.create_api_key("acme")
    factories.api_key(Installation.objects.get(), value, purposes=[nightly])

    assert system.call("crm", "account", "list")

    assert [(r.method, r.auth) for r in ana.sandbox.state.requests()] == [("POST", "api_key")]


def test_every_refusal_is_raised_recorded_and_sends_nothing(ana: Frontend, acting: Acting) -> None:
    unheard = act_as_user(purpose="unheard-of", user_id="2", **HERE)
    as_system = act_as_system(purpose="account-sync", **HERE)
    elsewhere = act_as_user(purpose="account-sync", user_id="2", app_id="com.example.desk", portal="nobody.flowlu.com")
    nobody = act_as_user(purpose="account-sync", user_id="999", **HERE)
    cases: list[tuple[Acting, str, type[Exception], str]] = [
        (unheard, "account", PurposeUnknown, "purpose_unknown"),
        (as_system, "account", ActsAsNotAllowed, "acts_as_not_allowed"),
        (acting, "lead", ScopeNotInPurpose, "scope_not_in_purpose"),
        (elsewhere, "account", InstallationUnknown, "installation_unknown"),
        (nobody, "account", NoCredential, "no_credential"),
        (acting, "Account", InvalidRequest, "invalid_request"),
    ]
    for who, model, error, _code in cases:
        with pytest.raises(error):
            who.call("crm", model, "list")
    Purpose.objects.update(enabled=False)
    with pytest.raises(PurposeDisabled):
        acting.call("crm", "account", "list")

    assert [outcome for *_rest, outcome in rows()] == [*(code for *_rest, code in cases), "purpose_disabled"]
    assert ana.sandbox.state.requests() == []


def test_portal_that_the_application_leaves_out_is_refused_to_code_of_this_project_too(
    ana: Frontend, acting: Acting
) -> None:
    Application.objects.update(allowed_portals=["globex.flowlu.com"])

    with pytest.raises(PortalNotAllowedToApplication):
        acting.call("crm", "account", "list")
    assert [outcome for *_rest, outcome in rows()] == ["portal_not_allowed"]
    assert ana.sandbox.state.requests() == []


def test_lock_of_the_user_holds_for_code_of_this_project_too(ana: Frontend, acting: Acting) -> None:
    lock(target=PortalUser.objects.get(), actor=factories.superactor(), reason="A test.")

    with pytest.raises(Exception, match="user_locked"):
        acting.call("crm", "account", "list")
    assert ana.sandbox.state.requests() == []


def test_failures_of_flowlu_are_raised_and_recorded(ana: Frontend, acting: Acting) -> None:
    ana.sandbox.state.add_fault("acme", "status_500", times=1)
    with pytest.raises(FlowluError):
        acting.call("crm", "account", "list")
    ana.sandbox.state.expire_token(ana.access_token)
    with pytest.raises(UserTokenStale):
        acting.call("crm", "account", "list")

    assert [outcome for *_rest, outcome in rows()] == ["flowlu_error", "token_stale"]


def test_inside_a_transaction_nothing_is_called(ana: Frontend, acting: Acting) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        acting.call("crm", "account", "list")

    assert (ana.sandbox.state.requests(), rows()) == ([], [])
