"""Two portals, two users each, two applications, two generations: nobody reaches anything of anybody else's."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, AuditEvent, Installation, PortalUser
from installations.services import approve_scopes
from tests import factories
from tests.embedded import Frontend
from tokens.models import EmbedSession, OAuthToken
from tokens.services.revocation import uninstall_installation

pytestmark = pytest.mark.django_db(transaction=True)

OTHER_APP = "com.example.other"
ACCOUNTS = "flowlu/crm/account/list"


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def approve(portal: str, app_id: str, *scopes: str) -> Installation:
    installation = Installation.objects.live().get(portal__domain=portal, application__app_id=app_id)
    approve_scopes(installation_id=installation.pk, requested=scopes, actor=factories.superactor(), reason="A test.")
    return installation


class Stage:
    """Frontends by name, each open in an installation where accounts and deals are approved."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.ana = self._open("acme.flowlu.com", "2")
        self.bea = self._open("acme.flowlu.com", "3")
        self.gus = self._open("globex.flowlu.com", "2")
        self.hal = self._open("globex.flowlu.com", "1")
        for portal in ("acme.flowlu.com", "globex.flowlu.com"):
            approve(portal, factories.APP_ID, "crm.accounts.full")
        sandbox.state.clear_requests()

    def _open(self, portal: str, user_id: str) -> Frontend:
        return Frontend(APIClient(raise_request_exception=False), self.sandbox, portal, user_id).open()

    @property
    def all(self) -> list[Frontend]:
        return [self.ana, self.bea, self.gus, self.hal]

    def others(self, of: Frontend) -> list[Frontend]:
        return [one for one in self.all if one is not of]


@pytest.fixture
def stage(sandbox: SandboxServer, application: Application) -> Stage:
    factories.application(OTHER_APP)
    return Stage(sandbox)


def state_of(one: Frontend) -> Any:
    """Return what the session shows, and the row that it lives on."""
    row = session_row(one).oauth_token
    return one.get("session").json(), one.get("permissions").json(), OAuthToken.objects.values().get(pk=row.pk)


def session_row(one: Frontend) -> EmbedSession:
    from tokens.selectors import hash_session_token

    return EmbedSession.objects.get(token_hash=hash_session_token(one.session_token))


def acted_as(stage: Stage) -> list[tuple[str, str]]:
    return [(entry.portal, entry.user_id) for entry in stage.sandbox.state.requests()]


def test_each_session_acts_on_its_own_portal_as_its_own_user(stage: Stage) -> None:
    for one in stage.all:
        stage.sandbox.state.clear_requests()
        assert one.get("flowlu/core/user/get").status_code == 403  # not approved; nobody is asked
        assert one.accounts().status_code in (200, 403)  # as Flowlu's own rights of this user have it
        assert acted_as(stage) == [(one.portal, one.user_id)]
        body = one.get("session").json()
        assert (body["portal"], body["user"]["id"]) == (one.portal, one.user_id)
    assert len({session_row(one).oauth_token_id for one in stage.all}) == 4


@pytest.mark.parametrize(
    "query",
    [
        {"portal": "globex.flowlu.com"},
        {"domain": "globex.flowlu.com"},
        {"user_id": "3"},
        {"user": "3"},
        {"installation": "2"},
        {"app_id": OTHER_APP},
        {"session_token": "{bea}"},
        {"x_session_token": "{bea}"},
    ],
)
def test_nothing_in_the_query_or_body_chooses_whom_a_call_acts_as(stage: Stage, query: dict[str, str]) -> None:
    filled = {name: value.format(bea=stage.bea.session_token) for name, value in query.items()}
    mine = stage.ana.get("session").json()

    assert stage.ana.get("session", **filled).json() == mine
    assert stage.ana.get("permissions", **filled).status_code == 200
    stage.ana.get(ACCOUNTS, **filled)
    stage.ana.post(ACCOUNTS, filled)

    assert set(acted_as(stage)) <= {("acme.flowlu.com", "2")}


# What a frontend may say of its launch, and what one would try besides.
HINTS = ("integration_point", "language", "app_version")
CLAIMS = ("user", "user_id", "flowlu_user_id", "id", "name", "is_portal_admin", "session_token", "installation", "sub")


@pytest.mark.parametrize("name", [*HINTS, *CLAIMS])
def test_nothing_in_the_handshake_but_the_token_says_who_it_is(stage: Stage, name: str) -> None:
    """Each value is one that would be the other user, were it believed."""
    people = set(PortalUser.objects.values_list("flowlu_user_id", "portal__domain", "name", "is_portal_admin"))
    for value in ("3", "1", "globex.flowlu.com", stage.bea.session_token):
        again = Frontend(stage.ana.api, stage.sandbox, stage.ana.portal)
        response = again.handshake(**{name: value})
        if response.status_code == 201:
            body = response.json()
            assert (body["portal"], body["user"]) == ("acme.flowlu.com", stage.ana.get("session").json()["user"])
            assert session_row(again).oauth_token.portal_user.flowlu_user_id == "2"
        else:
            assert error(response) == (400, "invalid_request")
    assert people == set(PortalUser.objects.values_list("flowlu_user_id", "portal__domain", "name", "is_portal_admin"))


@pytest.mark.parametrize("name", ["api_key", "access_token", "module", "model", "action", "id", "_method"])
@pytest.mark.parametrize("verb", ["get", "post"])
def test_name_that_flowlu_would_read_as_a_credential_is_refused(stage: Stage, name: str, verb: str) -> None:
    value = stage.bea.access_token if "token" in name or "key" in name else "9"

    refused = stage.ana.get(ACCOUNTS, **{name: value}) if verb == "get" else stage.ana.post(ACCOUNTS, {name: value})

    assert error(refused) == (400, "invalid_request")
    assert stage.bea.access_token not in refused.content.decode()
    assert acted_as(stage) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "globex.flowlu.com"},
        {"X-Forwarded-Host": "globex.flowlu.com"},
        {"X-Portal": "globex.flowlu.com"},
        {"X-User-Id": "3"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Cookie": "operator_session={bea}; X-Session-Token={bea}; session_token={bea}"},
    ],
)
def test_no_header_chooses_whom_a_call_acts_as(stage: Stage, headers: dict[str, str], settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    extra = {name: value.format(bea=stage.bea.session_token) for name, value in headers.items()}

    body = stage.ana.api.get("/api/v1/session", headers={**stage.ana.headers, **extra}).json()
    stage.ana.api.get(f"/api/v1/{ACCOUNTS}", headers={**stage.ana.headers, **extra})

    assert (body["portal"], body["user"]["id"]) == ("acme.flowlu.com", "2")
    assert acted_as(stage) == [("acme.flowlu.com", "2")]


def test_access_token_of_anybody_is_no_credential_of_the_api(stage: Stage) -> None:
    for one in stage.all:
        token = one.access_token
        for headers in (
            {"X-Session-Token": token},
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Session {one.session_token}"},
        ):
            assert error(one.api.get("/api/v1/session", headers=headers)) == (401, "invalid_session")
    both = {**stage.ana.headers, "Authorization": f"Bearer {stage.bea.access_token}"}
    assert error(stage.ana.api.get(f"/api/v1/{ACCOUNTS}", headers=both)) == (400, "invalid_request")
    assert acted_as(stage) == []


def test_ids_and_hashes_of_rows_are_no_session_tokens(stage: Stage) -> None:
    for row in EmbedSession.objects.all():
        for guess in (str(row.pk), row.token_hash, str(row.oauth_token.uuid), row.oauth_token.access_fingerprint):
            stage.ana.session_token = guess
            assert error(stage.ana.get("session")) == (401, "invalid_session")


def test_session_token_is_taken_letter_by_letter(stage: Stage) -> None:
    own = stage.ana.session_token
    for changed in (own[:-1], own + "A", own.swapcase(), own[::-1], f"{own}, {stage.bea.session_token}"):
        stage.ana.session_token = changed
        assert error(stage.ana.get("session")) == (401, "invalid_session")


def test_token_of_another_user_or_portal_cannot_be_handed_over(stage: Stage) -> None:
    expected = {"acme.flowlu.com": (409, "user_mismatch"), "globex.flowlu.com": (401, "invalid_token")}
    before = state_of(stage.ana)
    for other in (stage.bea, stage.gus, stage.hal):
        theirs = state_of(other)
        refused = stage.ana.put("session/token", {"access_token": other.access_token})
        assert error(refused) == expected[other.portal]
        assert state_of(other) == theirs
    assert state_of(stage.ana) == before


def test_token_opens_a_session_on_its_own_portal_only(stage: Stage) -> None:
    rows = EmbedSession.objects.count(), OAuthToken.objects.count()
    for one in stage.all:
        elsewhere = "globex.flowlu.com" if one.portal.startswith("acme") else "acme.flowlu.com"
        assert error(one.handshake(portal=elsewhere)) == (401, "invalid_token")
    assert (EmbedSession.objects.count(), OAuthToken.objects.count()) == rows


def test_same_token_under_another_application_gains_nothing_of_the_first(stage: Stage) -> None:
    first = state_of(stage.ana)
    other = Frontend(stage.ana.api, stage.sandbox, stage.ana.portal)
    other.pair = stage.ana.pair
    assert other.handshake(app_id=OTHER_APP).status_code == 201

    body = other.get("session").json()
    assert (body["application"]["id"], body["installation"]["status"]) == (OTHER_APP, "pending_approval")
    assert body["permissions"]["approved"] == []
    stage.sandbox.state.clear_requests()
    assert error(other.accounts()) == (403, "insufficient_scope")
    assert acted_as(stage) == []
    assert session_row(other).oauth_token_id != session_row(stage.ana).oauth_token_id
    assert state_of(stage.ana) == first


def test_another_token_of_the_same_user_does_not_ride_on_the_first(stage: Stage) -> None:
    """A token that was issued to another vendor's application: it acts as itself, never with ours."""
    foreign = Frontend(stage.ana.api, stage.sandbox, stage.ana.portal)
    foreign.pair = stage.sandbox.state.issue_tokens("acme", "2", app_id="com.another.vendor")
    foreign.open()

    assert session_row(foreign).oauth_token_id != session_row(stage.ana).oauth_token_id
    stage.sandbox.state.expire_token(foreign.access_token)
    stage.sandbox.state.clear_requests()
    assert error(foreign.accounts()) == (401, "token_stale")
    assert error(foreign.accounts()) == (401, "token_stale")
    assert stage.ana.accounts().status_code == 200


def test_hand_over_moves_the_own_session_only(stage: Stage) -> None:
    second = Frontend(stage.ana.api, stage.sandbox, stage.ana.portal)
    second.pair = stage.ana.pair
    second.open()
    stage.ana.refresh()

    assert stage.ana.hand_over().status_code == 204

    assert session_row(stage.ana).oauth_token_id != session_row(second).oauth_token_id
    assert stage.ana.accounts().status_code == 200
    assert error(second.accounts()) == (401, "token_stale")


@pytest.mark.parametrize("verb", ["revoke", "end", "stale", "hand_over"])
def test_what_one_session_does_leaves_all_others_as_they_are(stage: Stage, verb: str) -> None:
    again = Frontend(stage.ana.api, stage.sandbox, stage.ana.portal).open()  # the same user, another token
    untouched = [*stage.others(stage.ana), again]
    before = [state_of(one) for one in untouched]

    if verb == "revoke":
        assert stage.ana.delete("session/token").status_code == 204
        assert error(stage.ana.accounts()) == (401, "token_revoked")
    elif verb == "end":
        assert stage.ana.delete("session").status_code == 204
        assert error(stage.ana.accounts()) == (401, "invalid_session")
    elif verb == "stale":
        stage.sandbox.state.expire_token(stage.ana.access_token)
        assert error(stage.ana.accounts()) == (401, "token_stale")
    else:
        stage.ana.refresh()
        assert stage.ana.hand_over().status_code == 204

    assert [state_of(one) for one in untouched] == before
    assert again.accounts().status_code == 200
    assert stage.gus.accounts().status_code == 200


def test_approval_on_one_portal_or_application_counts_nowhere_else(stage: Stage) -> None:
    other = Frontend(stage.ana.api, stage.sandbox, stage.ana.portal)
    assert other.handshake(app_id=OTHER_APP).status_code == 201
    approve("acme.flowlu.com", factories.APP_ID, "task.read")

    approved = [one.get("permissions").json()["approved"] for one in (*stage.all, other)]

    acme, globex = ["crm.accounts.full", "task.read"], ["crm.accounts.full"]
    assert [sorted(codes) for codes in approved] == [acme, acme, globex, globex, []]


def test_session_of_an_old_generation_can_do_nothing(stage: Stage) -> None:
    old = Installation.objects.get(portal__domain="acme.flowlu.com")
    uninstall_installation(installation_id=old.pk, actor=factories.superactor(), reason="A test.")
    stage.bea.refresh()
    new = Frontend(stage.ana.api, stage.sandbox, "acme.flowlu.com").open()
    approve("acme.flowlu.com", factories.APP_ID, "crm.accounts.full")
    assert new.accounts().status_code == 200
    stage.sandbox.state.clear_requests()
    before = list(OAuthToken.objects.order_by("pk").values())

    for one in (stage.ana, stage.bea):
        assert error(one.accounts()) == (401, "token_revoked")
        assert error(one.post("flowlu/crm/account/create", {"name": "x"})) == (401, "token_revoked")
        assert error(one.hand_over()) == (401, "token_revoked")
        assert one.get("permissions", module="crm", model="account", action="list").json()["allowed"] is False
        assert one.get("session").json()["installation"]["status"] == "uninstalled"
        assert one.delete("session/token").status_code == 204
        assert one.delete("session").status_code == 204

    assert acted_as(stage) == []
    assert list(OAuthToken.objects.order_by("pk").values()) == before
    assert new.accounts().status_code == 200
    assert stage.gus.accounts().status_code == 200


def test_active_row_of_an_old_generation_is_of_no_use(stage: Stage) -> None:
    """Even a token that somehow outlived the uninstallation does not work."""
    Installation.objects.filter(portal__domain="acme.flowlu.com").update(
        status="uninstalled", uninstalled_at=timezone.now()
    )

    assert error(stage.ana.accounts()) == (401, "token_revoked")
    stage.ana.refresh()
    assert error(stage.ana.hand_over()) == (401, "token_revoked")
    assert acted_as(stage) == []


def test_spent_rate_of_one_slows_nobody_else(stage: Stage, settings: Any) -> None:
    settings.CALL_RATE = "3/d"
    for _ in range(3):
        assert stage.ana.get("session").status_code == 200
    assert error(stage.ana.accounts()) == (429, "rate_limited")

    for other in stage.others(stage.ana):
        assert other.get("session").status_code == 200
    assert Frontend(stage.ana.api, stage.sandbox, stage.ana.portal).open().get("session").status_code == 200


def test_spent_handshakes_of_one_address_or_portal_slow_no_other(stage: Stage, settings: Any) -> None:
    settings.HANDSHAKE_RATE = "1/d"
    assert stage.ana.handshake().status_code == 201
    assert error(stage.ana.handshake()) == (429, "rate_limited")

    assert stage.gus.handshake().status_code == 201
    stage.bea.api.defaults["REMOTE_ADDR"] = "192.0.2.7"
    assert stage.bea.handshake().status_code == 201


def test_portal_that_limits_or_fails_holds_back_no_other(stage: Stage) -> None:
    stage.sandbox.state.add_fault("acme", "status_429")
    assert error(stage.ana.accounts()) == (429, "rate_limited")
    assert stage.gus.accounts().status_code == 200

    stage.sandbox.state.clear_faults()
    assert stage.ana.accounts().status_code == 200


def test_trail_names_who_acted_and_only_them(stage: Stage) -> None:
    known = AuditEvent.objects.count()
    for one in stage.all:
        assert one.delete("session/token").status_code == 204

    rows = AuditEvent.objects.order_by("sequence")[known:]
    assert [(row.verb, row.actor_id) for row in rows] == [
        ("tokens.revoked", f"{one.portal}/{one.user_id}") for one in stage.all
    ]
