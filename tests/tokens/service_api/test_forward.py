"""GET and POST /service/v1/flowlu/…: who is let through, the order of refusals, what goes out, the row that stays."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone

from installations.models import Application, AuditEvent, Installation, Portal, PortalUser
from installations.scopes import parse
from installations.services import lock, suspend_installation, unlock, withdraw_scopes
from tests import factories
from tests.backend import SYSTEM, USER, Backend
from tests.embedded import Frontend
from tests.unchanged import nothing_changes
from tests.weighed import MIB, weighed
from tokens import activity
from tokens.api.parsers import CALL_BYTES
from tokens.models import ApiKey, OAuthToken, Purpose, ServiceCall, ServiceClient
from tokens.services.api_keys import coverage_of
from tokens.services.revocation import revoke_tokens, uninstall_installation
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def told(response: Any) -> dict[str, Any]:
    """Return what the body says but for the id of the request, which no two share."""
    return {name: value for name, value in response.json().items() if name != "request_id"}


def sent(ana: Frontend) -> list[tuple[str, str, str, str | None]]:
    return [(r.method, r.path, r.auth, r.user_id) for r in ana.sandbox.state.requests()]


def outcomes() -> list[str]:
    return list(ServiceCall.objects.order_by("pk").values_list("outcome", flat=True))


def test_call_goes_out_as_the_user_with_their_stored_token(ana: Frontend, backend: Backend) -> None:
    response = backend.get(limit="3")

    assert response.status_code == 200
    assert len(response.json()["items"]) == 3
    assert response["Cache-Control"] == "no-store"
    assert sent(ana) == [("GET", "crm/account/list", "token", "2")]


def test_write_goes_out_as_the_user(ana: Frontend, backend: Backend) -> None:
    created = backend.post("crm/account/create", {"name": "Nueva"})

    assert created.status_code == 200
    assert backend.post(f"crm/account/delete/{created.json()['id']}").status_code == 200
    assert [(method, user) for method, _path, _auth, user in sent(ana)] == [("POST", "2"), ("GET", "2")]


def test_long_name_of_many_values_is_refused_before_it_is_multiplied(ana: Frontend, backend: Backend) -> None:
    body = {"k" * (CALL_BYTES - 8000): [1] * 1000}

    response, peak = weighed(lambda: backend.post("crm/account/create", body))

    assert peak < 24 * MIB
    assert error(response) == (400, "invalid_request")
    assert response.json()["fields"] == {"parameters": "is not a parameter name"}
    assert sent(ana) == []
    assert outcomes() == ["invalid_request"]


def test_call_as_the_system_goes_out_as_post_with_the_key_in_its_body(ana: Frontend, system: Backend) -> None:
    response = system.get(limit="2")

    assert response.status_code == 200
    assert len(response.json()["items"]) == 2
    assert sent(ana) == [("POST", "crm/account/list", "api_key", None)]
    assert ana.sandbox.state.requests()[0].parameters == ("api_key", "limit")


def test_every_call_is_one_row(ana: Frontend, backend: Backend, system: Backend, installation: Installation) -> None:
    backend.get()
    system.post("crm/account/create", {"name": "By night"})
    backend.get("task/tasks/list")

    client, user = ServiceClient.objects.get(), PortalUser.objects.get()
    token, api_key = OAuthToken.objects.get(), ApiKey.objects.get()
    sync, nightly = Purpose.objects.get(code="account-sync"), Purpose.objects.get(code="nightly")
    rows = list(
        ServiceCall.objects.order_by("pk").values_list(
            "service_client", "purpose", "acts_as", "installation", "portal_user", "oauth_token", "api_key", "call",
            "code", "level", "outcome",
        )
    )  # fmt: skip
    here = installation.pk
    assert rows == [
        (client.pk, sync.pk, "user", here, user.pk, token.pk, None, "crm/account/list", "crm.accounts", "full", "ok"),
        (client.pk, nightly.pk, "system", here, None, None, api_key.pk, "crm/account/create", "crm.accounts", "full",
         "ok"),
        (client.pk, sync.pk, "user", here, user.pk, None, None, "task/tasks/list", "", "", "scope_not_in_purpose"),
    ]  # fmt: skip
    assert all(row.milliseconds is not None for row in ServiceCall.objects.all())


def test_decision_is_one_read_and_the_row_one_write(backend: Backend, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3) as captured:
        assert backend.get().status_code == 200

    words = [query["sql"].split()[0] for query in captured.captured_queries]
    assert words == ["SELECT", "SELECT", "INSERT"]  # who holds the key, the decision, the row


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer fls_unknown", "Basic {key}", "{key}", "Bearer {key}x", "Bearer  {key}",
     "Bearer {key}, Bearer {key}", "Bearer fls_" + "a" * 43, "Session {session}", "Bearer {session}"],
)  # fmt: skip
def test_without_a_service_key_nobody_is_served_and_no_row_is_written(
    ana: Frontend, backend: Backend, authorization: str
) -> None:
    value = authorization.format(key=backend.key, session=ana.session_token)

    with nothing_changes():
        response = backend.get(headers={"Authorization": value, "X-Session-Token": ana.session_token})

    assert error(response) == (401, "invalid_client")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_client"'
    assert sent(ana) == []


def test_operators_cookie_counts_for_nothing(ana: Frontend, backend: Backend, superuser: Any) -> None:
    backend.api.force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")

    assert error(backend.get(headers={"Authorization": ""})) == (401, "invalid_client")
    assert backend.get().status_code == 200


def test_service_key_is_no_session(ana: Frontend, backend: Backend) -> None:
    headers = {"X-Session-Token": backend.key}
    assert error(backend.api.get("/api/v1/session", headers=headers)) == (401, "invalid_session")


def test_client_that_is_switched_off_is_nobody(ana: Frontend, backend: Backend) -> None:
    ServiceClient.objects.update(enabled=False)

    assert error(backend.get()) == (401, "invalid_client")
    assert (sent(ana), outcomes()) == ([], [])


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"X-Purpose": ""}, {"X-Purpose"}),
        ({"X-Purpose": "two, two"}, {"X-Purpose"}),
        ({"X-Purpose": "a b"}, {"X-Purpose"}),
        ({"X-Purpose": "a" * 101}, {"X-Purpose"}),
        ({"X-Act-As": ""}, {"X-Act-As"}),
        ({"X-Act-As": "", "X-Purpose": "ü"}, {"X-Act-As", "X-Purpose"}),
        ({"X-Act-As": f"{USER},{USER}"}, {"X-Act-As"}),
        ({"X-Act-As": f"{USER}, {USER}"}, {"X-Act-As"}),
        ({"X-Act-As": SYSTEM + "/2"}, {"X-Act-As"}),
        ({"X-Act-As": USER.removesuffix("/2")}, {"X-Act-As"}),
        ({"X-Act-As": USER.removesuffix("2")}, {"X-Act-As"}),
        ({"X-Act-As": USER + "/3"}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("/2", "/02")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("/2", "/-2")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("/2", "/٢")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("user:", "USER:")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("user:", "admin:")}, {"X-Act-As"}),
        ({"X-Act-As": " " + USER}, set()),  # white space around a header's value is no part of it (RFC 9110 §5.5)
        ({"X-Act-As": USER.replace("acme.flowlu.com", "acme.flowlu.com@globex.flowlu.com")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("acme.flowlu.com", "globex.flowlu.com/2@acme.flowlu.com")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("acme.flowlu.com", "ACME.flowlu.com")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("acme.flowlu.com", "acme.flowlu.com:443")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("acme.flowlu.com", "https://acme.flowlu.com")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("acme.flowlu.com", "acme.flowlu.com%2f3")}, {"X-Act-As"}),
        ({"X-Act-As": USER.replace("acme", "\u0430cme")}, {"X-Act-As"}),
        ({"X-Act-As": USER + "\x00"}, {"X-Act-As"}),
        ({"X-Act-As": USER + "\u202e"}, {"X-Act-As"}),
        ({"X-Act-As": USER + "\tx"}, {"X-Act-As"}),
        ({"X-Act-As": "user:" + "a" * 4000 + "@acme.flowlu.com/2"}, {"X-Act-As"}),
    ],
)
def test_headers_are_taken_whole_or_not_at_all(
    ana: Frontend, backend: Backend, headers: dict[str, str], fields: set[str]
) -> None:
    response = backend.get(headers={name: value.strip() for name, value in headers.items()})

    if not fields:
        assert response.status_code == 200
        return
    assert error(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == fields
    assert sent(ana) == []
    row = ServiceCall.objects.get()
    assert (row.outcome, row.acts_as, row.call, row.purpose, row.portal_user) == ("invalid_request", "", "", None, None)


@pytest.mark.parametrize("path", ["crm/account", "crm/../x/list", "CRM/account/list", "", "crm/account/list/1/2"])
def test_path_outside_the_grammar_is_refused(ana: Frontend, backend: Backend, path: str) -> None:
    assert error(backend.get(path)) in {(400, "invalid_request"), (404, "not_found")}
    assert sent(ana) == []


@pytest.mark.parametrize("name", ["api_key", "access_token", "API_KEY", "api_key[]", "_method", "module"])
def test_parameter_that_could_be_a_credential_is_refused(ana: Frontend, system: Backend, name: str) -> None:
    assert error(system.get(**{name: "x"})) == (400, "invalid_request")
    assert error(system.post("crm/account/list", {name: "x"})) == (400, "invalid_request")
    assert sent(ana) == []


def test_refusals_as_a_user_come_in_the_documented_order(ana: Frontend, backend: Backend) -> None:
    """Everything is missing; then one thing after the other is put right, from the first check to the last."""
    actor, client, installation = factories.superactor(), ServiceClient.objects.get(), Installation.objects.get()
    user, purpose = PortalUser.objects.get(), Purpose.objects.get(code="account-sync")
    client.purposes.clear()
    client.applications.clear()
    client.portals.clear()
    suspend_installation(installation_id=installation.pk, actor=actor, reason="A test.")
    lock(target=installation, actor=actor, reason="A test.")
    lock(target=user, actor=actor, reason="A test.")
    OAuthToken.objects.update(state="stale", stale_at=timezone.now())
    over = timezone.now() - timedelta(minutes=1)
    Purpose.objects.filter(pk=purpose.pk).update(enabled=False, expires_at=over, acts_as="system", scopes=[])
    backend.purpose = "unheard-of"

    def put_right(code: str) -> None:
        of_it = Purpose.objects.filter(pk=purpose.pk)
        {
            "purpose_unknown": lambda: setattr(backend, "purpose", "account-sync"),
            "purpose_not_allowed": lambda: client.purposes.add(purpose),
            "purpose_disabled": lambda: of_it.update(enabled=True),
            "purpose_expired": lambda: of_it.update(expires_at=None),
            "acts_as_not_allowed": lambda: of_it.update(acts_as="user"),
            "application_not_allowed": lambda: client.applications.add(installation.application),
            "portal_not_allowed": lambda: client.portals.add(installation.portal),
            "scope_not_in_purpose": lambda: of_it.update(scopes=["crm.accounts.read"]),
            "user_locked": lambda: unlock(target=user, actor=actor, reason="A test."),
            "installation_locked": lambda: unlock(target=installation, actor=actor, reason="A test."),
            "installation_suspended": lambda: Installation.objects.update(status="active"),
        }[code]()

    met = []
    while (code := backend.get().json()["error"]) != "token_stale":
        met.append(code)
        put_right(code)
    assert met == [
        "purpose_unknown", "purpose_not_allowed", "purpose_disabled", "purpose_expired", "acts_as_not_allowed",
        "application_not_allowed", "portal_not_allowed", "scope_not_in_purpose", "user_locked", "installation_locked",
        "installation_suspended",
    ]  # fmt: skip
    assert outcomes() == [*met, "token_stale"]

    withdraw_scopes(installation_id=installation.pk, codes=["crm.accounts"], actor=actor, reason="A test.")
    refused = backend.get()
    assert error(refused) == (403, "insufficient_scope")
    assert refused.json()["required_scope"] == "crm.accounts.read"
    assert refused["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert sent(ana) == []


def test_portal_that_the_application_is_not_to_be_used_on_is_refused_to_user_and_system(
    ana: Frontend, backend: Backend, system: Backend
) -> None:
    Application.objects.update(allowed_portals=["globex.flowlu.com"])
    Purpose.objects.update(scopes=[])

    for caller in (backend, system):
        refused = caller.get()
        assert error(refused) == (403, "portal_not_allowed")
        assert "This application is not to be used on this portal." in refused.json()["error_description"]
    assert sent(ana) == []
    assert outcomes() == ["portal_not_allowed", "portal_not_allowed"]

    Purpose.objects.update(scopes=["crm.accounts.read"])
    Application.objects.update(allowed_portals=["acme.flowlu.com", "globex.flowlu.com"])
    assert (backend.get().status_code, system.get().status_code) == (200, 200)


def test_client_that_may_not_act_on_a_portal_does_not_learn_whether_the_application_may(
    ana: Frontend, backend: Backend
) -> None:
    ServiceClient.objects.get().portals.clear()
    before = backend.get()
    Application.objects.update(allowed_portals=["globex.flowlu.com"])

    assert error(before) == (403, "portal_not_allowed")
    assert told(backend.get()) == told(before)


@pytest.mark.parametrize("value", ["json", "html", "csv", ""])
def test_parameter_named_format_is_forwarded_as_any_other(ana: Frontend, backend: Backend, value: str) -> None:
    assert backend.get(format=value).status_code == 200
    assert [request.parameters for request in ana.sandbox.state.requests()] == [("format",)]


def test_answer_in_another_format_is_refused_without_a_row(ana: Frontend, backend: Backend) -> None:
    assert error(backend.get(headers={"Accept": "text/html"})) == (406, "not_acceptable")
    assert (sent(ana), outcomes()) == ([], [])


def test_write_needs_a_scope_of_the_purpose_and_then_post(ana: Frontend, backend: Backend) -> None:
    assert error(backend.get("crm/account/delete/1")) == (405, "method_not_allowed")
    Purpose.objects.filter(code="account-sync").update(scopes=["crm.accounts.read"])

    refused = backend.get("crm/account/delete/1")
    assert error(refused) == (403, "scope_not_in_purpose")
    assert refused.json()["required_scope"] == "crm.accounts.full"
    assert error(backend.post("crm/account/delete/1")) == (403, "scope_not_in_purpose")
    assert sent(ana) == []
    assert outcomes() == ["method_not_allowed", "scope_not_in_purpose", "scope_not_in_purpose"]


def test_purpose_and_approval_have_to_cover_the_call_both(ana: Frontend, backend: Backend) -> None:
    texts = ["crm.accounts.full", "task.full"]
    Purpose.objects.filter(code="account-sync").update(scopes=texts, covers=coverage_of(map(parse, texts)))

    assert error(backend.get("task/tasks/list")) == (403, "insufficient_scope")
    assert sent(ana) == []


def test_approval_of_a_pending_installation_is_none(ana: Frontend, backend: Backend) -> None:
    Installation.objects.update(status="pending_approval")

    assert error(backend.get()) == (403, "insufficient_scope")
    assert sent(ana) == []


@pytest.mark.parametrize("act_as", ["user:com.nobody@acme.flowlu.com/2", "user:com.example.desk@nobody.flowlu.com/2"])
def test_unknown_application_or_portal_is_the_same_as_one_that_is_not_allowed(
    ana: Frontend, backend: Backend, act_as: str
) -> None:
    other = factories.installation(factories.application("com.example.other"), portal="globex.flowlu.com")
    known = {
        "com.nobody": f"user:{other.application.app_id}@acme.flowlu.com/2",
        "com.example.desk": "user:com.example.desk@globex.flowlu.com/2",
    }
    backend.act_as = act_as
    unknown = backend.get()
    backend.act_as = known[act_as.partition(":")[2].partition("@")[0]]
    not_allowed = backend.get()

    assert unknown.status_code == 403
    assert told(unknown) == told(not_allowed)
    assert unknown.json()["error"] in {"application_not_allowed", "portal_not_allowed"}
    assert sent(ana) == []


def test_allowed_application_that_is_not_on_the_portal_is_said(ana: Frontend, backend: Backend) -> None:
    other = factories.application("com.example.other")
    ServiceClient.objects.get().applications.add(other)
    backend.act_as = "user:com.example.other@acme.flowlu.com/2"

    assert error(backend.get()) == (403, "installation_unknown")


@pytest.mark.parametrize("user_id", ["3", "999"])
def test_user_of_another_application_is_as_unknown_as_nobody(ana: Frontend, backend: Backend, user_id: str) -> None:
    """User 3 opened another application on the portal, and is locked; 999 was never seen."""
    elsewhere = factories.launch(factories.application("com.example.other"), user_id="3")
    factories.token(elsewhere.installation, elsewhere.portal_user, "a-token-of-user-3")
    lock(target=elsewhere.portal_user, actor=factories.superactor(), reason="A test.")
    backend.act_as = USER.replace("/2", f"/{user_id}")

    response = backend.get()

    assert error(response) == (403, "no_credential")
    assert sent(ana) == []


def test_newest_active_token_of_the_user_is_used(ana: Frontend, backend: Backend) -> None:
    second = Frontend(ana.api, ana.sandbox, ana.portal).open()
    ana.sandbox.state.clear_requests()

    backend.get()
    assert ServiceCall.objects.get().oauth_token == OAuthToken.objects.order_by("-stored_at").first()

    ana.sandbox.state.expire_token(second.access_token)
    assert error(backend.get()) == (403, "token_stale")
    assert backend.get().status_code == 200  # the one before is still good
    assert outcomes() == ["ok", "token_stale", "ok"]


@pytest.mark.parametrize("auth_failure", ["status_401", "error_11"])
def test_token_that_flowlu_refuses_is_stale_until_the_user_comes_back(
    ana: Frontend, backend: Backend, system: Backend, auth_failure: Any
) -> None:
    ana.sandbox.state.configure("acme", auth_failure=auth_failure)
    ana.sandbox.state.expire_token(ana.access_token)

    assert error(backend.get()) == (403, "token_stale")
    assert OAuthToken.objects.get().state == "stale"
    assert error(backend.get()) == (403, "token_stale")
    # Never with the portal's key instead, although one is stored, and never as somebody else.
    assert [(auth, user) for _m, _p, auth, user in sent(ana)] == [("token", None)]

    ana.refresh()
    assert ana.hand_over().status_code == 204
    assert backend.get().status_code == 200


def test_revoked_user_has_no_credential_and_a_revoked_token_is_never_sent(ana: Frontend, backend: Backend) -> None:
    revoke_tokens(
        target=RevocationTarget.of_installation(Installation.objects.get().pk),
        actor=factories.superactor(),
        reason="A test.",
    )

    assert error(backend.get()) == (403, "no_credential")
    assert sent(ana) == []


def test_token_on_the_deny_list_is_not_used(ana: Frontend, backend: Backend) -> None:
    from tokens.models import Revocation, RevokedFingerprint

    token = OAuthToken.objects.get()
    ledger = Revocation.objects.create(
        scope="token", installation=token.installation, actor_name="x", reason="x", tokens_cut=0
    )
    RevokedFingerprint.objects.create(fingerprint=token.access_fingerprint, revocation=ledger)

    assert error(backend.get()) == (403, "no_credential")
    assert sent(ana) == []


def test_token_that_does_not_unseal_is_stale_and_operators_are_told(ana: Frontend, backend: Backend) -> None:
    sealed = bytearray(bytes(OAuthToken.objects.get().sealed_access_token or b""))
    sealed[-1] ^= 1
    OAuthToken.objects.update(sealed_access_token=bytes(sealed))

    assert error(backend.get()) == (403, "token_stale")
    assert AuditEvent.objects.get(verb="token.undecryptable").details == {"reason": "tampered", "key_id": "k1"}
    assert sent(ana) == []


def test_purpose_for_users_gets_no_key_and_one_for_the_system_no_token(
    ana: Frontend, backend: Backend, system: Backend
) -> None:
    backend.act_as = SYSTEM
    system.act_as = USER

    assert error(backend.get()) == (403, "acts_as_not_allowed")
    assert error(system.get()) == (403, "acts_as_not_allowed")
    assert sent(ana) == []


def test_key_is_used_for_its_purposes_only(ana: Frontend, system: Backend) -> None:
    other = factories.purpose("weekly", acts_as="system")
    ServiceClient.objects.get().purposes.add(other)
    system.purpose = "weekly"

    assert error(system.get()) == (403, "no_credential")
    assert sent(ana) == []


def test_key_is_used_within_its_own_scopes_only(ana: Frontend, system: Backend) -> None:
    ApiKey.objects.update(scopes=["crm.accounts.read"])

    assert system.get().status_code == 200
    assert error(system.post("crm/account/create", {"name": "x"})) == (403, "scope_not_in_key")
    assert len(sent(ana)) == 1


def test_key_does_not_outlive_an_approval(ana: Frontend, system: Backend, installation: Installation) -> None:
    withdraw_scopes(
        installation_id=installation.pk, codes=["crm.accounts"], actor=factories.superactor(), reason="A test."
    )

    assert error(system.get()) == (403, "insufficient_scope")
    assert sent(ana) == []


@pytest.mark.parametrize("what", ["portal", "application", "installation"])
def test_lock_cuts_key_and_token_at_once(
    ana: Frontend, system: Backend, backend: Backend, installation: Installation, what: str
) -> None:
    target: Any = {
        "portal": installation.portal,
        "application": installation.application,
        "installation": installation,
    }[what]
    lock(target=target, actor=factories.superactor(), reason="A test.")

    assert error(system.get()) == (403, "installation_locked")
    assert error(backend.get()) == (403, "installation_locked")
    assert sent(ana) == []
    unlock(target=target, actor=factories.superactor(), reason="A test.")
    assert (system.get().status_code, backend.get().status_code) == (200, 200)


def test_suspended_installation_refuses_key_and_token(
    ana: Frontend, system: Backend, backend: Backend, installation: Installation
) -> None:
    suspend_installation(installation_id=installation.pk, actor=factories.superactor(), reason="A test.")

    assert error(system.get()) == (403, "installation_suspended")
    assert error(backend.get()) == (403, "installation_suspended")


def test_uninstallation_cuts_keys_and_the_next_generation_has_none(
    ana: Frontend, system: Backend, backend: Backend, installation: Installation
) -> None:
    uninstall_installation(installation_id=installation.pk, actor=factories.superactor(), reason="A test.")
    assert error(system.get()) == (403, "installation_unknown")
    assert error(backend.get()) == (403, "installation_unknown")
    row = ApiKey.objects.get()
    assert (row.state, row.sealed_key, row.ending) == ("revoked", None, "uninstalled")

    again = factories.installation(Application.objects.get(), approved=["crm.accounts.full"])
    assert again.generation == 2
    assert error(system.get()) == (403, "no_credential")
    assert error(backend.get()) == (403, "no_credential")
    assert sent(ana) == []


def test_active_key_of_an_old_generation_is_of_no_use(
    ana: Frontend, system: Backend, installation: Installation
) -> None:
    """Even a key that somehow outlived the uninstallation does not work."""
    Installation.objects.update(status="uninstalled", uninstalled_at=timezone.now())
    factories.installation(Application.objects.get(), approved=["crm.accounts.full"])

    assert error(system.get()) == (403, "no_credential")
    assert sent(ana) == []


def test_expired_key_is_refused_before_anybody_wiped_it(ana: Frontend, system: Backend) -> None:
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert error(system.get()) == (403, "no_credential")
    assert sent(ana) == []


def test_key_that_flowlu_does_not_take_is_said_and_stays(ana: Frontend, system: Backend) -> None:
    portal = ana.sandbox.state.portals["acme.flowlu.com"]
    [value] = portal.api_keys
    ana.sandbox.state.delete_api_key("acme", value)

    assert error(system.get()) == (403, "api_key_refused")
    assert ApiKey.objects.get().state == "active"
    assert outcomes() == ["api_key_refused"]


def test_key_that_does_not_unseal_is_no_credential_and_is_logged(
    ana: Frontend, system: Backend, all_logs: pytest.LogCaptureFixture
) -> None:
    sealed = bytearray(bytes(ApiKey.objects.get().sealed_key or b""))
    sealed[-1] ^= 1
    ApiKey.objects.update(sealed_key=bytes(sealed))

    assert error(system.get()) == (403, "no_credential")
    assert "does not unseal: tampered" in all_logs.text
    assert sent(ana) == []


def test_key_of_one_portal_is_never_sent_to_another(ana: Frontend, gus: Frontend, system: Backend) -> None:
    gus.open()
    there = Installation.objects.get(portal__domain="globex.flowlu.com")
    from installations.services import approve_scopes

    approve_scopes(
        installation_id=there.pk, requested=["crm.accounts.full"], actor=factories.superactor(), reason="A test."
    )
    ServiceClient.objects.get().portals.set(Portal.objects.all())
    ana.sandbox.state.clear_requests()
    system.act_as = SYSTEM.replace("acme", "globex")

    assert error(system.get()) == (403, "no_credential")
    assert sent(ana) == []


def test_flowlus_own_refusals_pass_on_with_their_codes(ana: Frontend, backend: Backend) -> None:
    ana.sandbox.state.add_fault("acme", "status_429")
    limited = backend.get()
    assert error(limited) == (429, "rate_limited")
    assert limited["Retry-After"] == "7"
    ana.sandbox.state.clear_faults()
    assert error(backend.get("crm/account/get/999999")) == (404, "not_found")
    assert outcomes() == ["rate_limited", "not_found"]


def test_rate_of_one_client_slows_no_other_and_leaves_no_rows(ana: Frontend, backend: Backend, settings: Any) -> None:
    settings.SERVICE_RATE = "2/d"
    other = Backend(
        factories.service_client(
            "other",
            purposes=[Purpose.objects.get(code="account-sync")],
            applications=list(Application.objects.all()),
            portals=list(Portal.objects.all()),
        ).key
    )
    assert [backend.get().status_code for _ in range(3)] == [200, 200, 429]
    assert other.get().status_code == 200
    assert outcomes() == ["ok", "ok", "ok"]


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "head"])
def test_other_methods_are_refused_for_clients_and_unseen_by_others(
    ana: Frontend, backend: Backend, method: str
) -> None:
    where = "/service/v1/flowlu/crm/account/list"
    assert getattr(backend.api, method)(where).status_code == 401
    assert getattr(backend.api, method)(where, headers=backend.headers).status_code == 405
    assert sent(ana) == []


def test_body_that_is_no_json_object_is_refused_and_recorded(ana: Frontend, backend: Backend) -> None:
    where = "/service/v1/flowlu/crm/account/create"
    wrong = backend.api.post(where, "a=b", content_type="application/x-www-form-urlencoded", headers=backend.headers)
    broken = backend.api.post(where, "[1]", content_type="application/json", headers=backend.headers)
    large = backend.api.post(where, " " * 1_100_000, content_type="application/json", headers=backend.headers)

    assert [error(one) for one in (wrong, broken, large)] == [
        (415, "unsupported_media_type"), (400, "invalid_request"), (413, "request_too_large"),
    ]  # fmt: skip
    assert outcomes() == ["unsupported_media_type", "invalid_request", "request_too_large"]
    assert sent(ana) == []


def test_address_that_does_not_exist_is_json(backend: Backend) -> None:
    for path in ("/service/", "/service/v1", "/service/v1/nothing", "/service/v2/flowlu/crm/account/list"):
        assert error(backend.api.get(path, headers=backend.headers)) == (404, "not_found")


def test_answer_is_withheld_when_the_call_cannot_be_recorded(ana: Frontend, backend: Backend, monkeypatch: Any) -> None:
    def broken(*_arguments: Any, **_values: Any) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(ServiceCall, "save", broken)
    response = backend.get()

    assert error(response) == (500, "server_error")
    assert "items" not in response.content.decode()


def test_last_use_is_noted_off_the_request(backend: Backend) -> None:
    backend.get()
    assert ServiceClient.objects.get().last_used_at is None

    activity.flush()

    used = ServiceClient.objects.get().last_used_at
    assert used is not None
    assert timezone.now() - used < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("stored", "answer"),
    [
        (["nonsense", 7, None, "crm.accounts.full"], (200, "")),
        (["nonsense", "crm.accounts."], (403, "scope_not_in_purpose")),
        ([], (403, "scope_not_in_purpose")),
        ({"crm.accounts.full": 1}, (403, "scope_not_in_purpose")),
        ("crm.accounts.full", (403, "scope_not_in_purpose")),
    ],
)
def test_stored_scope_that_is_none_grants_nothing_and_takes_no_other_down(
    ana: Frontend, backend: Backend, stored: Any, answer: tuple[int, str]
) -> None:
    Purpose.objects.filter(code="account-sync").update(scopes=stored)

    response = backend.get()

    assert (response.status_code, response.json().get("error", "")) == answer
