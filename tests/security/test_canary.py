"""Known secrets go through every route, page, act, command and failure; none of them comes out anywhere."""

import base64
import html
import json
import logging
import secrets
import traceback
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import IntegrityError, connection
from django.test import Client, RequestFactory
from django.urls import resolve
from django.utils.log import AdminEmailHandler
from django.views.debug import technical_500_response

from flowlu_admin.redaction import RedactingFormatter, RedactionFilter
from flowlu_admin.sandbox.state import FAULT_KINDS
from installations.models import Installation
from installations.services import lock, suspend_installation
from tests import canary, factories
from tests.canary import Canaries
from tests.security.canary_page import Page
from tokens import day_counts, refusals, selectors, vault
from tokens.models import EmbedSession, OAuthToken
from tokens.services import sessions
from tokens.services.sessions import OpenedSession
from tokens.services.storing import Pair

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(canary_page: Page) -> Page:
    return canary_page


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
    canaries.look_everywhere()
    page.see("the end", page.delete("session"))
    page.see("after the end", page.accounts())


def test_metrics_hold_no_secret_of_what_was_counted(
    page: Page, canaries: Canaries, logged: None, settings: Any
) -> None:
    token = settings.METRICS_TOKEN = canaries.add("the token of metrics", secrets.token_urlsafe(32))
    page.go_everywhere()
    page.see("the end", page.delete("session/token"))
    for given, status in ((token, 200), (f"{token}x", 401), (page.access_token, 401)):
        for module in (day_counts, refusals):
            module.flush()
        answer = Client().get("/metrics", headers={"Authorization": f"Bearer {given}"})
        canaries.look_at_response("/metrics", answer)
        assert answer.status_code == status
    canaries.look_everywhere()


@pytest.mark.parametrize("fault", FAULT_KINDS)
def test_failing_portal_gets_no_secret_out(
    page: Page, canaries: Canaries, logged: None, settings: Any, fault: str
) -> None:
    settings.FLOWLU_CONNECT_SECONDS = settings.FLOWLU_READ_SECONDS = settings.FLOWLU_TOTAL_SECONDS = 1
    location = f"/_sandbox/redirected?t={page.access_token}"
    page.sandbox.state.add_fault("acme", fault, location=location, delay_seconds=2 if fault == "delay" else None)

    found = [
        page.see("a call", page.accounts()),
        page.see("a write", page.post("flowlu/crm/account/create", {"name": page.access_token})),
        page.see("a hand-over", page.hand_over()),
    ]
    assert page.see("a handshake", page.handshake()) != 201 or fault == "rate_limit"
    # drip sends slowly enough by itself
    assert (504 in found) is (fault in {"delay", "drip"})
    page.sandbox.state.clear_faults()
    canaries.look_everywhere()


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
        assert page.see("a broken page", client.get("/admin/", headers=page.headers)) == 500
        assert page.see("a broken page", client.post("/admin/", {"x": token}, headers=page.headers)) == 500
        # No page takes a token in its address: it does not come as far as to break.
        assert page.see("a page", client.get(f"/admin/?access_token={token}", headers=page.headers)) == 302
    elif where == "view":
        monkeypatch.setattr(selectors, "session_of", broken)
        assert page.see("a broken view", page.get("session", access_token=token)) == 500
        # Without DEBUG the service calls no portal over plain http.
        assert page.see("a broken handshake", page.handshake(refresh_token=refresh)) == (500 if debug else 503)
    else:
        monkeypatch.setattr("tokens.api.views.present_permissions", broken)
        assert page.see("a broken presenter", page.get("permissions", access_token=token)) == 500
    canaries.look_everywhere()


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


@pytest.mark.parametrize("debug", [True, False])
def test_mail_about_an_exception_holds_no_secret(
    page: Page, canaries: Canaries, redacted_log: None, settings: Any, mailoutbox: list[Any], debug: bool
) -> None:
    """The settings send none. Whoever switches it on with the filter of the console gets no secret either."""
    settings.ADMINS = [("Root", "root@example.com")]
    token = page.pair.access_token

    def break_it() -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tokens_embedsession RENAME TO gone")
        try:
            for path in ("session", f"flowlu/crm/account/get/{token}"):
                assert page.see("a broken view", page.get(path, access_token=token, q=page.session_token)) == 500
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE gone RENAME TO tokens_embedsession")

    break_it()
    assert mailoutbox == []
    handler = AdminEmailHandler(include_html=True)
    handler.addFilter(RedactionFilter())
    handler.setFormatter(RedactingFormatter())
    logging.getLogger("django.request").addHandler(handler)
    try:
        break_it()
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert len(mailoutbox) == 2
    assert all(message.alternatives for message in mailoutbox)
    canaries.look_everywhere()


def test_debug_page_of_a_path_with_a_token_shows_its_pattern(page: Page, canaries: Canaries, settings: Any) -> None:
    settings.DEBUG = True
    where = f"/api/v1/flowlu/crm/account/get/{page.access_token}"
    for matched in (None, resolve(where)):
        for accept in ("text/html", "text/plain"):
            request = RequestFactory().get(f"{where}?x={page.session_token}", headers={"Accept": accept})
            request.resolver_match = matched
            error = ValueError("broken")
            response = technical_500_response(request, type(error), error, None)
            canaries.look_at_response(f"the debug page as {accept}", response)
            shown = html.unescape(response.content.decode())
            assert ("/api/v1/flowlu/(?P<path>" in shown) is (matched is not None)
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


def test_canary_is_found_wherever_it_is_put(page: Page, canaries: Canaries) -> None:
    """The suite itself: what looks must also see."""
    token = page.access_token
    raw = token.encode()
    for content in (
        token,
        raw,
        f"x{token}y",
        repr({"a": token}),
        raw.hex(),
        raw.hex().upper(),
        token[::-1],
        token[:22][::-1],
        base64.b64encode(raw),
        base64.b64encode(b"x" + raw + b"yz"),
        base64.b64encode(b"xy" + raw + b"z"),
        base64.urlsafe_b64encode(b'{"a": "' + raw + b'"}'),
        base64.b32encode(raw),
        token.encode("utf-16"),
        "".join(f"%{byte:02X}" for byte in raw),
        token[22:],
        json.dumps([token]),
    ):
        before = len(canaries.seen)
        canaries.look("here", content)
        assert len(canaries.seen) > before, content
    canaries.seen.clear()
    canaries.add_code("code", "12345678")
    canaries.look("here", "x1234567890 12345678a 112345678")
    assert canaries.seen == []
    canaries.look("here", "<li>12345678</li>")
    assert canaries.seen.pop() == "code in here"
    del canaries.codes["code"]
    Installation.objects.update(reported_version=token[:50])
    canaries.secrets["cut"] = token[:50]
    canaries.look_at_database()
    assert any("installations_installation.reported_version" in place for place in canaries.seen)
    for name, _raw in canary.dumps():
        assert name.startswith("COPY") or f"cut in {name}" in canaries.seen, "a dump that shows nothing"
    canaries.seen.clear()
    cache.set("kept", token)
    canaries.look_at_memory()
    assert canaries.seen
    canaries.seen.clear()
    mail.send_mail("About", token, None, ["root@example.com"])
    canaries.look_at_mail()
    assert any("a mail" in place for place in canaries.seen)
