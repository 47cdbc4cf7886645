"""Known secrets go through every address, act, action, second factor and command; none of them comes out anywhere."""

import json
import secrets
from collections.abc import Iterator
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import reverse

from installations.models import Installation
from installations.services import unlock
from tests import canary, factories
from tests.canary import Canaries
from tests.security.canary_page import Page
from tests.security.permissions import COMMANDS, OTHER_METHODS, URLS
from tests.security.scene import Scene
from tests.security.test_permission_matrix import PATTERNS, address
from tokens.models import OAuthToken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(canary_page: Page) -> Page:
    return canary_page


@pytest.fixture
def scene(canary_scene: Scene) -> Scene:
    return canary_scene


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
    canaries.look_everywhere()


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
    canaries.look_everywhere()


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
    canaries.look_everywhere()


METHODS = ("GET", "HEAD", "POST", *OTHER_METHODS)


def bodies(canaries: Canaries) -> Iterator[dict[str, Any]]:
    """Yield the secrets as a form, as JSON, as a file and as bytes of no kind."""
    values = {name.replace(" ", "_"): secret for name, secret in canaries.secrets.items()}
    yield {"data": urlencode(values), "content_type": "application/x-www-form-urlencoded"}
    yield {"data": json.dumps(values), "content_type": "application/json"}
    files = {name: SimpleUploadedFile(secret, secret.encode()) for name, secret in values.items()}
    yield {"data": encode_multipart(BOUNDARY, files), "content_type": MULTIPART_CONTENT}
    yield {"data": " ".join(values.values()), "content_type": "application/octet-stream"}


def everywhere(canaries: Canaries, session_token: str) -> dict[str, str]:
    """Return headers that carry the secrets wherever one could stand."""
    every = ",".join(canaries.secrets.values())
    named = {f"X-{name.title().replace(' ', '-')}": secret for name, secret in canaries.secrets.items()}
    return named | {
        "X-Session-Token": session_token,
        "Authorization": f"Bearer {every}",
        "Referer": f"http://testserver/?{every}",
        "User-Agent": every,
        "Accept-Language": every,
        "Accept": f"text/html, x/{every}",
        "X-Forwarded-For": every,
        "X-Forwarded-Host": every,
        "X-Requested-With": every,
        "If-None-Match": every,
        "Origin": f"http://{every}",
    }


@pytest.mark.parametrize("role", ["anonymous", "portal_session", "superuser"])
def test_no_address_repeats_what_it_is_sent(
    page: Page, scene: Scene, canaries: Canaries, logged: None, role: str
) -> None:
    """DEBUG is on, as in every test with a portal: the pages of errors are the talkative ones."""
    asked = set()
    client = scene.client(role)
    own = client.cookies.output(attrs=[], header="", sep=";").strip()
    cookies = "; ".join([own, *(f"{name.replace(' ', '_')}={secret}" for name, secret in canaries.secrets.items())])
    given = page.session_token if role == "portal_session" else canaries.secrets["service key"]
    headers = everywhere(canaries, given) | {"Cookie": cookies}
    for key in PATTERNS:
        where = address(scene, key)
        if key.endswith("logout"):
            continue  # test_sign_out has it
        for method in METHODS:
            for body in bodies(canaries) if method == "POST" else [next(bodies(canaries))]:
                response = client.generic(method, where, headers=headers, **body)
                canaries.look_at_response(f"{method} {key} as {role}", response)
                asked.add((key, method))
    assert {key for key, _method in asked} == {key for key in URLS if not key.endswith("logout")}
    canaries.look_everywhere()
