"""Known secrets go through every route, page, act, command and failure; none of them comes out anywhere."""

import secrets
import traceback
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.debug import technical_500_response
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from flowlu_admin.sandbox.state import FAULT_KINDS
from installations.models import Application, Installation
from installations.services import approve_scopes, lock, suspend_installation, unlock
from tests import canary, factories
from tests.canary import Canaries
from tests.embedded import Frontend
from tests.security.permissions import COMMANDS
from tests.security.scene import Scene, set_up
from tests.security.test_permission_matrix import PATTERNS, address
from tokens import selectors, vault
from tokens.models import EmbedSession, OAuthToken
from tokens.services import sessions
from tokens.services.sessions import OpenedSession
from tokens.services.storing import Pair

pytestmark = pytest.mark.django_db(transaction=True)

# Those that never end by themselves within a test's patience.
SLOW = {"delay", "drip"}


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def redacted_log(canaries: Canaries) -> Iterator[None]:
    """Look at every line that is logged in the test, as production writes it."""
    connection.force_debug_cursor = True
    try:
        with canary.production_log() as written:
            yield
    finally:
        connection.force_debug_cursor = False
    assert "SELECT" in written.getvalue(), "the SQL log was not on: this looked at nothing"
    canaries.look_at_log("the log", written.getvalue())
    canaries.report()


@pytest.fixture
def logged(redacted_log: None, canaries: Canaries) -> Iterator[None]:
    """Look also at what a log without redaction would hold: our own code has nothing to redact."""
    with canary.unfiltered_log() as plain:
        yield
    canaries.look_at_log("logged before redaction", plain.getvalue())
    canaries.report()


def everything(canaries: Canaries) -> None:
    canaries.look_at_database()
    canaries.look_at_rows()
    canaries.look_at_memory()
    canaries.report()


class Page(Frontend):
    """A frontend whose every answer is looked at."""

    def __init__(self, canaries: Canaries, sandbox: SandboxServer, user_id: str = "2") -> None:
        super().__init__(APIClient(raise_request_exception=False), sandbox, "acme.flowlu.com", user_id)
        self.canaries = canaries
        self.know()

    def know(self) -> None:
        number = len(self.canaries.secrets)
        self.canaries.add(f"access token {number}", self.pair.access_token)
        self.canaries.add(f"refresh token {number}", self.pair.refresh_token)

    def refresh(self) -> None:
        super().refresh()
        self.know()

    def open_it(self) -> "Page":
        response = self.handshake(refresh_token=self.pair.refresh_token)
        assert response.status_code == 201, response.content
        name = self.canaries.add(f"session token {len(self.canaries.secrets)}", self.session_token)
        assert response.content.decode().count(name) == 1
        self.see("the handshake", response, but=(next(k for k, v in self.canaries.secrets.items() if v == name),))
        return self

    def see(self, where: str, response: Any, *, but: tuple[str, ...] = ()) -> int:
        status: int = self.canaries.look_at_response(where, response, but=but).status_code
        return status

    def go_everywhere(self) -> list[int]:
        """Ask every route, with the secrets as every value that a mistake would repeat.

        Not as names of parameters or JSON members: an error says which one was wrong, to whoever sent it.
        """
        token, refresh, session = self.pair.access_token, self.pair.refresh_token, self.session_token
        found = []
        for secret in (token, refresh, session):
            pair = {"access_token": secret, "refresh_token": secret, "expires_at": secret}
            found += [
                self.see("session", self.get("session", q=secret)),
                self.see("permissions", self.get("permissions", module=secret, model=secret, action=secret, id=secret)),
                self.see("permissions", self.get("permissions", module="crm", model="account", action="list")),
                self.see("a call", self.get("flowlu/crm/account/list", search=secret, **{"filter[x]": secret})),
                self.see("a refused call", self.get("flowlu/crm/account/list", api_key=secret)),
                self.see("a write", self.post("flowlu/crm/account/delete/999999", {"name": secret})),
                self.see("a path", self.get(f"flowlu/{secret}/x/list")),
                self.see("a path", self.get(f"flowlu/crm/account/get/{secret}")),
                self.see("a path", self.api.get(f"/api/v1/{secret}", headers=self.headers)),
                self.see("a hand-over", self.put("session/token", pair)),
                self.see("a hand-over", self.put("session/token", {"access_token": f"{secret}\n"})),
                self.see("a hand-over", self.put("session/token", {"access_token": [secret]})),
                self.see("a handshake", self.handshake(access_token=f"{secret} ")),
                self.see("a handshake", self.handshake(portal=secret)),
                self.see("a handshake", self.handshake(app_id=[secret])),
                self.see("a handshake", self.handshake(expires_at=secret)),
                self.see("a handshake", self.handshake(access_token=f"{secret}x")),
            ]
            for body in (
                f'{{"access_token": "{secret}"',
                f'{{"a": "{secret}", "a": "{secret}"}}',
                f'["{secret}"]',
                secret,
            ):
                made = {"content_type": "application/json", "headers": self.headers}
                found.append(self.see("broken JSON", self.api.post("/api/v1/session", body, **made)))
                found.append(self.see("broken JSON", self.api.put("/api/v1/session/token", body, **made)))
                found.append(self.see("broken JSON", self.api.post("/api/v1/flowlu/crm/account/list", body, **made)))
            plain = self.api.post("/api/v1/session", secret, content_type=f"text/{secret}", headers=self.headers)
            found.append(self.see("another media type", plain))
            accept = self.api.get("/api/v1/session", headers={**self.headers, "Accept": f"text/{secret}"})
            found.append(self.see("another Accept", accept))
            wrong = self.api.patch(f"/api/v1/session?x={secret}", {}, format="json", headers=self.headers)
            found.append(self.see("another method", wrong))
            unknown = self.api.get("/api/v1/session", headers={"X-Session-Token": f"{secret}x"})
            found.append(self.see("an unknown session", unknown))
            for open_page in ("/embed/", "/api/schema", "/api/docs", "/healthz", "/readyz", "/nothing"):
                headers = {**self.headers, "Authorization": f"Bearer {secret}"}
                found.append(self.see(open_page, self.api.get(open_page, headers=headers)))
            launch = {"access_token": secret, "refresh_token": secret, "app_id": "com.example.desk"}
            found.append(self.see("a launch", self.api.post("/embed/", launch, format="multipart")))
        return found


@pytest.fixture
def page(canaries: Canaries, sandbox: SandboxServer, application: Application) -> Page:
    Application.objects.update(stores_refresh_tokens=True)
    page = Page(canaries, sandbox)
    page.open_it()
    approve_scopes(
        installation_id=Installation.objects.get().pk,
        requested=["crm.accounts.full"],
        actor=factories.superactor(),
        reason="A test.",
    )
    page.handshake(refresh_token=page.pair.refresh_token)
    page.session_token = canaries.add("session token", page.session_token)
    assert OAuthToken.objects.exclude(sealed_refresh_token=None).exists()
    return page


@pytest.mark.parametrize("state", ["approved", "suspended", "locked", "revoked", "tampered", "stale"])
def test_api_tells_no_secret_in_any_state(
    page: Page, canaries: Canaries, logged: None, settings: Any, state: str
) -> None:
    settings.DEBUG = True
    installation = Installation.objects.get()
    if state == "suspended":
        suspend_installation(installation_id=installation.pk, actor=factories.superactor(), reason="A test.")
    elif state == "locked":
        lock(target=installation, actor=factories.superactor(), reason="A test.")
    elif state == "revoked":
        assert page.see("revoking", page.delete("session/token")) == 204
    elif state == "tampered":
        for row in OAuthToken.objects.exclude(sealed_access_token=None):
            sealed = bytearray(bytes(row.sealed_access_token or b""))
            sealed[-1] ^= 1
            OAuthToken.objects.filter(pk=row.pk).update(sealed_access_token=bytes(sealed))
        assert page.see("an undecryptable token", page.accounts()) == 401
    elif state == "stale":
        page.sandbox.state.expire_token(page.access_token)
        assert page.see("a stale token", page.accounts()) == 401

    found = page.go_everywhere()

    assert {400, 401, 404, 405, 406, 415} <= set(found)
    everything(canaries)
    page.see("the end", page.delete("session"))
    page.see("after the end", page.accounts())


@pytest.mark.parametrize("fault", sorted(set(FAULT_KINDS) - SLOW))
def test_failing_portal_gets_no_secret_out(page: Page, canaries: Canaries, logged: None, fault: str) -> None:
    page.sandbox.state.add_fault("acme", fault, location=f"/_sandbox/redirected?t={page.access_token}")

    page.see("a call", page.accounts())
    page.see("a write", page.post("flowlu/crm/account/create", {"name": page.access_token}))
    page.see("a hand-over", page.hand_over())
    assert page.see("a handshake", page.handshake()) != 201 or fault == "rate_limit"
    page.sandbox.state.clear_faults()
    everything(canaries)


def test_time_out_gets_no_secret_out(page: Page, canaries: Canaries, redacted_log: None, monkeypatch: Any) -> None:
    from installations.flowlu import client

    def never(*_arguments: Any, **_values: Any) -> Any:
        raise TimeoutError(f"token {page.access_token}")

    monkeypatch.setattr(client.FlowluClient, "call", never)
    assert page.see("a call", page.accounts()) == 500
    everything(canaries)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("where", ["view", "constraint", "admin", "presenter"])
def test_unexpected_exception_gets_no_secret_out(
    page: Page, canaries: Canaries, redacted_log: None, monkeypatch: Any, settings: Any, where: str, debug: bool
) -> None:
    settings.DEBUG = debug
    token, refresh = page.pair.access_token, page.pair.refresh_token

    def broken(*_arguments: Any, **_values: Any) -> Any:
        access_token, held = token, {"refresh_token": refresh}  # what a frame's variables would show
        raise RuntimeError(f"access_token={access_token} refresh_token={held['refresh_token']}")

    if where == "constraint":
        # The database's own text names the values of the row.
        def twice(*_arguments: Any, **_values: Any) -> Any:
            row = EmbedSession.objects.first()
            assert row is not None
            EmbedSession.objects.create(
                token_hash=row.token_hash, oauth_token=row.oauth_token, expires_at=row.expires_at
            )

        monkeypatch.setattr(sessions.secrets, "token_urlsafe", lambda _size: page.session_token)
        assert page.see("a broken constraint", page.handshake()) == (500 if debug else 503)
        with pytest.raises(IntegrityError) as caught:
            twice()
        canaries.look("the database's error", "".join(traceback.format_exception(caught.value)))
    elif where == "admin":
        operator = factories.operator("root", superuser=True)
        client = Client(raise_request_exception=False)
        client.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
        monkeypatch.setattr("django.contrib.admin.sites.AdminSite.each_context", broken)
        for path in ("/admin/", f"/admin/?access_token={token}"):
            response = client.get(path, headers=page.headers)
            assert page.see("a broken page", response) == 500
    elif where == "view":
        monkeypatch.setattr(selectors, "session_of", broken)
        assert page.see("a broken view", page.get("session", access_token=token)) == 500
        # Without DEBUG the service calls no portal over plain http.
        assert page.see("a broken handshake", page.handshake(refresh_token=refresh)) == (500 if debug else 503)
    else:
        monkeypatch.setattr("tokens.api.views.present_permissions", broken)
        assert page.see("a broken presenter", page.get("permissions", access_token=token)) == 500
    everything(canaries)


def test_debug_page_shows_neither_variables_nor_the_request(page: Page, canaries: Canaries, settings: Any) -> None:
    settings.DEBUG = True
    token, session = page.pair.access_token, page.session_token
    request = RequestFactory().post(
        f"/api/v1/session?access_token={token}",
        {"access_token": token, "password": session},
        headers={
            "X-Session-Token": session,
            "Authorization": f"Bearer {token}",
            "Cookie": f"operator_session={session}",
        },
    )
    for accept in ("text/html", "text/plain"):
        request.META["HTTP_ACCEPT"] = accept
        try:
            local_token, local_pair = token, Pair(token, token)
            raise ValueError(f"access_token={local_token} {local_pair!r} Authorization: Bearer {token}")
        except ValueError as error:
            response = technical_500_response(request, type(error), error, error.__traceback__)
        canaries.look_at_response(f"the debug page as {accept}", response)
    canaries.report()


def test_objects_say_nothing_of_what_they_hold(page: Page, canaries: Canaries) -> None:
    caller = selectors.caller_of(page.session_token)
    assert caller is not None
    pair = Pair(page.pair.access_token, page.pair.refresh_token)
    opened = OpenedSession(page.session_token, EmbedSession.objects.first())  # type: ignore[arg-type]
    for thing in (pair, opened, caller, [pair], {"pair": pair}):
        canaries.look(f"the text of {type(thing).__name__}", f"{thing!r} {thing!s} {thing}")
    for wrong in (page.pair.access_token, page.session_token):
        for make in (vault.parse_expiry, lambda text: vault.unseal_access_token(text, text.encode())):
            with pytest.raises(Exception) as caught:  # noqa: B017, PT011 - whatever it is, it must be silent
                make(wrong)
            canaries.look("an exception", f"{caught.value!r} {caught.value} {caught.value.__dict__}")
    canaries.report()


@pytest.fixture
def scene(page: Page, canaries: Canaries) -> Scene:
    """The console over the rows of the page's session, whose tokens are the canaries."""
    for name in ("an-access-token", "an-older-token"):
        canaries.add(name, name)
    return set_up(Application.objects.get())


def test_console_shows_no_secret_on_any_page(page: Page, scene: Scene, canaries: Canaries, redacted_log: None) -> None:
    password = canaries.add("password", f"battery-{secrets.token_hex(12)}")
    superuser = scene.operators["superuser"]
    Authenticator.objects.filter(user=superuser).delete()
    superuser.set_password(password)
    superuser.save()
    client = canary.signed_in(superuser, password)
    canaries.look_at_response(
        "the sign-in page", Client().post("/accounts/login/", {"login": "x", "password": password})
    )

    # No underscore: LIKE escapes it, and what is cut in pieces is no longer known for a token by the redaction.
    sought = canaries.add("token that somebody searched for", secrets.token_hex(24))
    for key in PATTERNS:
        if key.startswith("admin:") and key != "admin:logout":
            status = canaries.look_at_response(key, client.get(address(scene, key))).status_code
            assert status < 500, key
            searched = client.get(address(scene, key), {"q": sought})
            assert canaries.look_at_response(key, searched, but=tuple(canaries.secrets)).status_code < 500
    for row in OAuthToken.objects.all():
        for part in ("change", "revoke"):
            where = reverse(f"admin:tokens_oauthtoken_{part}", kwargs={"object_id": row.pk})  # type: ignore[dict-item]
            assert canaries.look_at_response(where, client.get(where)).status_code == 200
    revoke = {"reason": "A test."}
    for row in OAuthToken.objects.live():
        where = reverse("admin:tokens_oauthtoken_revoke", kwargs={"object_id": row.pk})
        assert canaries.look_at_response(where, client.post(where, revoke, follow=True)).status_code == 200
    assert not OAuthToken.objects.live().exists()
    everything(canaries)


def test_second_factor_shows_its_seed_on_its_own_page_only(scene: Scene, canaries: Canaries, logged: None) -> None:
    superuser = scene.operators["superuser_without_mfa"]
    password = canaries.add("password", f"battery-{secrets.token_hex(12)}")
    superuser.set_password(password)
    superuser.save()
    client = canary.signed_in(superuser, password)

    client.post(reverse("account_reauthenticate"), {"password": password})

    shown = client.get(reverse("mfa_activate_totp"))
    assert shown.status_code == 200
    seed = canaries.add("TOTP seed", shown.context["form"].secret)
    canaries.look_at_response("the activation page", shown, but=("TOTP seed",))
    code = format_hotp_value(hotp_value(seed, next(yield_hotp_counters_from_time())))
    done = client.post(reverse("mfa_activate_totp"), {"code": code}, follow=True)
    canaries.look_at_response("after the activation", done)
    assert Authenticator.objects.filter(user=superuser, type="totp").exists()

    for key in PATTERNS:
        if key.startswith(("mfa_", "account_")) and key != "account_logout":
            canaries.look_at_response(key, client.get(reverse(key), follow=True))
    everything(canaries)


def test_commands_print_no_secret(scene: Scene, canaries: Canaries, logged: None, monkeypatch: Any) -> None:
    password = canaries.add("password", f"battery-{secrets.token_hex(12)}")
    weak = canaries.add("weak password", "123456789012")
    for command, (who, arguments) in COMMANDS.items():
        if who is None:
            continue
        out = StringIO()
        try:
            line = (command, *arguments, "--operator", "superuser", "--reason", "A test.")
            call_command(*line, stdout=out, stderr=out)
        except CommandError as error:
            canaries.look(f"the refusal of {command}", error)
        canaries.look(f"the output of {command}", out.getvalue())
    for number, given in enumerate((password, weak)):
        out = StringIO()
        monkeypatch.setattr("sys.stdin", StringIO(f"{given}\n"))
        try:
            call_command("create_operator", f"new{number}", stdout=out, stderr=out)
        except CommandError as error:
            canaries.look("the refusal of create_operator", error)
        canaries.look("the output of create_operator", out.getvalue())
    out = StringIO()
    call_command("dumpdata", stdout=out)
    canaries.look("dumpdata", out.getvalue())
    unlock(target=Installation.objects.get(), actor=factories.superactor(), reason="A test.")
    everything(canaries)


def test_canary_is_found_wherever_it_is_put(page: Page, canaries: Canaries) -> None:
    """The suite itself: what looks must also see."""
    token = page.access_token
    for content in (token, token.encode(), f"x{token}y", token.encode().hex(), repr({"a": token})):
        before = len(canaries.seen)
        canaries.look("here", content)
        assert len(canaries.seen) > before
    canaries.seen.clear()
    Installation.objects.update(reported_version=token[:50])
    canaries.secrets["cut"] = token[:50]
    canaries.look_at_database()
    assert any("installations_installation.reported_version" in place for place in canaries.seen)
    if connection.vendor == "sqlite":
        assert any("the database file" in place for place in canaries.seen)
