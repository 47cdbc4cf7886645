"""Known secrets go through every address, act, action, second factor and command; none of them comes out anywhere."""

import json
import secrets
from collections.abc import Iterator
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from allauth.mfa.adapter import get_adapter as mfa_adapter
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.cache import caches
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command, get_commands
from django.test import Client, RequestFactory
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import reverse
from redis import Redis
from redis.exceptions import RedisError

from installations import editions
from installations.models import AuditEvent, Installation, Manifest
from installations.pasted import looks_like_credential
from tests import canary, factories
from tests.authenticator_app import code_of
from tests.canary import Canaries
from tests.factories import manifest
from tests.installations.admin.console import confirm, entry_body, pin, pinned, seen_of
from tests.security.canary_page import Page
from tests.security.permissions import ACTIONS, COMMANDS, IN_A_MONTH, OTHER_METHODS, URLS
from tests.security.scene import Scene
from tests.security.test_hostile_labels import SHOWS_KEY
from tests.security.test_permission_matrix import ACTS, PATTERNS, address, filled
from tokens.models import OAuthToken, Revocation, UpstreamRevocation

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

    sought = canaries.add("token that somebody searched for", secrets.token_urlsafe(32))
    for key in PATTERNS:
        if key.startswith("admin:") and key != "admin:logout":
            status = canaries.look_at_response(key, client.get(address(scene, key))).status_code
            assert status < 500, key
            searched = client.get(address(scene, key), {"q": sought})
            assert canaries.look_at_response(f"{key}, searched", searched).status_code < 500
    # A password may be any word: nothing tells it, or the short tokens of the scene, from what is searched for.
    known = {name: secret for name, secret in canaries.secrets.items() if looks_like_credential(secret)}
    assert {"access token 0", "refresh token 0", "API key", "client secret"} <= known.keys()
    for secret in known.values():
        answered = canaries.look_at_response("the search", client.post(reverse("admin:search"), {"q": secret}))
        assert answered.status_code == 200
        assert "was not searched for" in answered.content.decode()
    here = address(scene, "admin:installations_installation_permissions")
    for question in (
        {"format": "csv"},
        {"format": "json"},
        {"user": "7", "module": "crm", "model": "a", "action": "get"},
    ):
        answered = canaries.look_at_response(f"{here} {question}", client.get(here, question))
        assert answered.status_code == 200
    for other in Manifest.objects.values_list("pk", flat=True):
        where = address(scene, "admin:installations_manifest_change")
        assert canaries.look_at_response(where, client.get(where, {"against": other})).status_code == 200
    for row in OAuthToken.objects.all():
        for part in ("change", "revoke"):
            where = reverse(f"admin:tokens_oauthtoken_{part}", kwargs={"object_id": row.pk})  # type: ignore[dict-item]
            assert canaries.look_at_response(where, client.get(where)).status_code == 200
    revoke = {"reason": "A test."}
    for row in OAuthToken.objects.live():
        where = reverse("admin:tokens_oauthtoken_revoke", kwargs={"object_id": row.pk})
        assert canaries.look_at_response(where, confirm(client, where, revoke, follow=True)).status_code == 200
    assert not OAuthToken.objects.live().exists()
    canaries.look_everywhere()


# Every act and a form that it takes, in an order in which each of them changes something.
FORMS: dict[str, dict[str, str]] = {
    "admin:flowlu_admin_operator_sign_out": {},
    "admin:flowlu_admin_operator_reset_factors": {},
    "admin:installations_portal_lock": {},
    "admin:installations_portal_unlock": {},
    "admin:installations_portaluser_lock": {},
    "admin:installations_portaluser_unlock": {},
    "admin:installations_application_lock": {},
    "admin:installations_application_unlock": {},
    "admin:installations_application_configure": {"stores_refresh_tokens": "on", "allowed_portals": "acme.flowlu.com"},
    "admin:installations_application_origins": {"origins": "https://app.example.com"},
    "admin:installations_catalogueedition_new_entry": entry_body(),
    "admin:installations_catalogueedition_edit_entry": entry_body(),
    "admin:installations_catalogueedition_take_back": {},
    "admin:installations_catalogueedition_import_catalogue": {"document": '{"schema":1,"scopes":[]}'},
    "admin:installations_installation_lock": {},
    "admin:installations_installation_unlock": {},
    "admin:installations_installation_withhold": {},
    "admin:installations_approvalrequest_confirm": {},
    "admin:installations_approvalrequest_refuse": {},
    "admin:installations_breakglass_look_at": {},
    "admin:installations_installation_approve": {"scope-fin": "fin.read"},
    "admin:installations_installation_review": {"review-fin": "keep {seen}", "review_by": IN_A_MONTH},
    "admin:installations_installation_withdraw": {"codes": "fin.read"},
    "admin:installations_installation_approve_alone": {"scope-fin": "fin.read"},
    "admin:installations_installation_add_key": {
        "label": "Weekly",
        "key": "first-4c1bzd7q-pasted-here",
        "scopes": "crm.accounts.read",
        "purposes": "{tokens_purpose}",
    },
    "admin:tokens_apikey_replace": {"key": "9f0ewm2x-another-one-given", "overlap": "3600"},
    "admin:tokens_apikey_revoke": {},
    "admin:tokens_apikey_confirm_deletion": {},
    "admin:tokens_purpose_change_purpose": {"description": "Why.", "owner": "Us", "scopes": "task.read"},
    "admin:tokens_purpose_switch_off": {},
    "admin:tokens_purpose_switch_on": {},
    "admin:tokens_purpose_new": {
        "code": "weekly",
        "description": "Why.",
        "owner": "Us",
        "scopes": "task.read",
        "acts_as": "user",
    },
    "admin:tokens_serviceclient_change_client": {"portals": ""},
    "admin:tokens_serviceclient_new_key": {},
    "admin:tokens_serviceclient_switch_off": {},
    "admin:tokens_serviceclient_switch_on": {},
    "admin:tokens_serviceclient_new": {"name": "worker", "portals": "acme.flowlu.com"},
    "admin:installations_installation_suspend": {},
    "admin:installations_installation_resume": {},
    "admin:tokens_oauthtoken_revoke": {},
    "admin:installations_installation_revoke_user": {},
    "admin:installations_installation_revoke": {},
    "admin:installations_portaluser_erase": {},
    "admin:installations_auditevent_export": {"format": "jsonl"},
    "admin:installations_portaluser_revoke": {},
    "admin:installations_portal_revoke": {},
    "admin:installations_application_revoke": {},
    "admin:tokens_oauthtoken_revoke_by": {"stored_before": "2099-01-01", "confirmed": "yes"},
    "admin:tokens_revocation_portal_step": {},
    "admin:tokens_revocation_go_on": {},
    "admin:tokens_revocation_stop": {},
    "admin:tokens_upstreamrevocation_try_again": {},
    "admin:tokens_upstreamrevocation_close": {},
    "admin:installations_application_import": {"document": manifest(version="2.0.0")},
    "admin:installations_installation_still_there": {},
    "admin:installations_installation_uninstall": {},
    # of an operator who asked for what is confirmed above
    "admin:flowlu_admin_invitation_new": {"email": "new@example.com", "groups": "Auditor"},
    "admin:flowlu_admin_invitation_send_again": {},
    "admin:flowlu_admin_invitation_withdraw": {},
    "admin:flowlu_admin_operator_groups": {"groups": "Auditor"},
    "admin:flowlu_admin_operator_remove": {},
    "admin:flowlu_admin_operator_restore": {},
}


def test_no_act_tells_a_secret(page: Page, scene: Scene, canaries: Canaries, logged: None, settings: Any) -> None:
    """Each act is refused once, with secrets as its choices, and carried out once, over the tokens of the page."""
    # The desk for leaked tokens gives way to no form of this kind: test_canary_keys.py has it.
    assert FORMS.keys() == set(ACTS) - {"admin:tokens_oauthtoken_leaked"}, (
        "Add a form to FORMS for a new act: the canaries have to go through it."
    )
    own = Installation.objects.get(pk=scene.installation.pk)
    acts = {f"admin:{act.url_name}" for shown in admin.site._registry.values() for act in getattr(shown, "acts", ())}
    assert acts <= FORMS.keys()
    client = scene.client("superuser")
    for key, form in FORMS.items():
        where = address(scene, key)
        settings.FOUR_EYES = "on" if key.endswith("_approve_alone") else "off"
        own.refresh_from_db()
        purpose = str(scene.object("tokens_purpose").pk)
        fin = seen_of(own).get("fin", "")
        filled_in = {
            name: value.replace("{tokens_purpose}", purpose).replace("{seen}", fin) for name, value in form.items()
        }
        seen = {
            "reason": "A test.",
            "seen_manifest": own.manifest.sha256,
            "seen_catalogue": editions.in_force().version,
            **filled_in,
        }
        if "key" in form:
            canaries.add(f"what {key} is given", form["key"])
        before = AuditEvent.objects.count()
        for name, secret in canaries.secrets.items():
            # A refused form stands as it was typed, for the one who typed it. Not as the document: that is kept as it
            # was typed, and the page asks for no token in it.
            wrong = {"reason": secret if looks_like_credential(secret) else "", "seen_manifest": secret}
            wrong |= {"scope-fin": secret, "keep": secret, "also_lock": secret}
            wrong |= {"review-fin": secret, "review_by": secret}
            wrong |= {"pinned": secret, "fingerprints": secret, "stored_before": secret, "confirmed": secret}
            wrong |= {"seen_in_force": secret}
            wrong |= {"label": secret, "name": secret, "code": secret, "description": secret, "owner": secret}
            canaries.look_at_response(f"{key}, in the address", client.post(f"{where}?x={secret}", {}))
            refused = client.post(where, wrong, headers={"X-Session-Token": secret})
            assert refused.status_code == 200
            canaries.look_at_response(f"{key}, refused with {name}", refused, but=(name,))
        assert AuditEvent.objects.count() == before
        if key.endswith("_close"):
            UpstreamRevocation.objects.update(state="irrevocable", next_try_at=None)
        if key.startswith("admin:tokens_revocation_"):
            Revocation.objects.update(state="running", in_background=False)
        if key.endswith("_still_there"):
            factories.suspect(own)
        seen |= pinned(client, where, seen, key)
        done = client.post(where, seen, follow=True, headers={"X-Session-Token": page.session_token})
        # What makes a service key shows it, and leads nowhere.
        assert done.redirect_chain or done.streaming or key in SHOWS_KEY, (key, done.content.decode()[-3000:])
        if key in SHOWS_KEY:
            made = canaries.add(f"the key of {key}", done.context["service_key"])
            canaries.look_at_response(key, done, but=(f"the key of {key}",))
            assert done.content.decode().count(made) == 1
            continue
        canaries.look_at_response(key, done)
        if "_revoke" in key and key != "admin:tokens_oauthtoken_revoke":
            continue  # what the one before has cut is cut
        assert AuditEvent.objects.count() > before, key
    canaries.look_everywhere()


def test_no_admin_action_tells_a_secret(page: Page, scene: Scene, canaries: Canaries, logged: None) -> None:
    client = scene.client("superuser")
    done = set()
    for label, rows in ACTIONS.items():
        for action in rows:
            where = reverse(f"admin:{label.replace('.', '_')}_changelist")
            model = apps.get_model(label)
            chosen = [row.pk for row in model._default_manager.all()]
            body = {"action": action, ACTION_CHECKBOX_NAME: chosen, "index": "0"}
            headers = {"X-Session-Token": page.session_token}
            seen: dict[str, str] = {}
            whole = {"reason": "A test.", "confirmed": "1", "scopes": "task.read"}
            for sent in (body, body | {"reason": ""}, body | whole):
                response = client.post(where, sent | seen, follow=True, headers=headers)
                seen = pin(response)
                assert response.status_code == 200
                canaries.look_at_response(f"{label} {action}", response)
            done.add((label, action))
    request = RequestFactory().get("/admin/")
    request.user = scene.operators["superuser"]
    registered = admin.site._registry.items()
    assert done == {
        (model._meta.label_lower, name) for model, shown in registered for name in shown.get_actions(request)
    }
    assert not OAuthToken.objects.live().exists()
    canaries.look_everywhere()


def test_no_file_of_a_list_tells_a_secret(page: Page, scene: Scene, canaries: Canaries, logged: None) -> None:
    client = scene.client("superuser")
    taken = [key for key in PATTERNS if key.endswith("_list_export")]
    assert len(taken) > 20
    for key in taken:
        for form in ("csv", "jsonl"):
            response = client.post(
                address(scene, key), {"format": form}, headers={"X-Session-Token": page.session_token}
            )
            assert canaries.look_at_response(f"{key} as {form}", response).status_code == 200
    canaries.look_everywhere()


def test_second_factors_are_shown_to_their_owner_once_and_nowhere_else(
    scene: Scene, canaries: Canaries, logged: None, mailoutbox: list[Any]
) -> None:
    """The seed at enrolment and the recovery codes are allauth's to show; no other page, row or line has them."""
    superuser = scene.operators["superuser_without_mfa"]
    password = canaries.add("password", f"battery-{secrets.token_hex(12)}")
    superuser.set_password(password)
    superuser.email = "root@example.com"
    superuser.save()
    client = canary.signed_in(superuser, password)

    client.post(reverse("account_reauthenticate"), {"password": password})

    shown = client.get(reverse("mfa_activate_totp"))
    assert shown.status_code == 200
    seed = canaries.add("TOTP seed", shown.context["form"].secret)
    canaries.look_at_response("the activation page", shown, but=("TOTP seed",))
    canaries.look_at_database()  # it waits in the operator's session
    wrong = client.post(reverse("mfa_activate_totp"), {"code": seed})
    canaries.look_at_response("a wrong code", wrong, but=("TOTP seed",))
    code = code_of(seed)
    done = client.post(reverse("mfa_activate_totp"), {"code": code})
    assert (done.status_code, done["Location"]) == (302, reverse("mfa_view_recovery_codes"))
    canaries.look_at_response("the activation", done)
    assert Authenticator.objects.filter(user=superuser, type="totp").exists()

    # Enrolment makes the codes.
    kept = Authenticator.objects.get(user=superuser, type="recovery_codes")
    canaries.add("seed of the recovery codes", mfa_adapter().decrypt(kept.data["seed"]))
    codes = [canaries.add_code(f"recovery code {n}", code) for n, code in enumerate(kept.wrap().get_unused_codes())]
    assert len(codes) == 10
    own = tuple(canaries.codes)
    for key in PATTERNS:
        if key.startswith(("mfa_", "account_")) and key != "account_logout":
            meant = own if key in {"mfa_view_recovery_codes", "mfa_download_recovery_codes"} else ()
            response = client.get(address(scene, key))
            canaries.look_at_response(key, response, but=meant)
            if meant:
                assert all(code in response.content.decode() for code in codes)
    canaries.look_at_response("the console", client.get("/admin/"))

    # A code signs in once; a wrong one, or a seed in its place, is not repeated.
    again = canary.signed_in(superuser, password)
    for given in (seed, codes[0][::-1], codes[0], codes[0]):
        answered = again.post(reverse("mfa_authenticate"), {"code": given})
        # Back in the field of the one who typed it.
        typed = {seed: "TOTP seed", codes[0]: "recovery code 0"}.get(given, "")
        canaries.look_at_response("the second factor", answered, but=(typed,))
    assert again.get("/admin/").status_code == 200
    assert len(kept.__class__.objects.get(pk=kept.pk).wrap().get_unused_codes()) == 9
    new = client.post(reverse("mfa_generate_recovery_codes"), {})
    canaries.look_at_response("new codes", new)
    assert new.status_code == 302
    canaries.look_everywhere()


# generate_key, key_status, doctor and restore_drill run in test_canary_keys.py, sweep in test_canary_refreshing.py.
COMMANDS_WITHOUT_OPERATOR = {
    "anchor_audit",
    "changepassword",
    "create_operator",
    "diff_manifests",
    "doctor",
    "export_audit",
    "export_catalogue",
    "generate_key",
    "import_manifest",
    "key_status",
    "restore_drill",
    "run_with_sandbox",
    "seed",
    "sweep",
    "verify_audit",
}


def run(canaries: Canaries, *line: str, typed: str = "", monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a command and look at everything that it says."""
    out = StringIO()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(typed.encode())))
    refusal = ""
    try:
        call_command(*line, stdout=out, stderr=out)
    except CommandError as error:
        refusal = f"{error}{error!r}"
    canaries.look(f"the refusal of {line[0]}", refusal)
    canaries.look(f"the output of {line[0]}", out.getvalue())
    return refusal or out.getvalue()


def test_commands_print_no_secret(
    page: Page, scene: Scene, canaries: Canaries, logged: None, monkeypatch: Any, tmp_path: Path
) -> None:
    ours = {name for name, app in get_commands().items() if app in {"installations", "tokens", "flowlu_admin"}}
    by_operators = {command: arguments for command, (who, arguments) in COMMANDS.items() if who is not None}
    assert ours == by_operators.keys() | COMMANDS_WITHOUT_OPERATOR, "A new command has to take part here."
    by = ("--operator", "superuser", "--reason", "A test.")

    for command, arguments in by_operators.items():
        typed = canaries.add(f"typed for {command}", f"typed-{secrets.token_hex(16)}")
        said = run(canaries, command, *filled(scene, arguments), *by, typed=f"{typed}\n", monkeypatch=monkeypatch)
        assert said
    password = canaries.add("password", f"battery-{secrets.token_hex(12)}")
    weak = canaries.add("weak password", "123456789012")
    for number, given in enumerate((password, weak)):
        for line in (("create_operator", f"new{number}"), ("changepassword", "auditor")):
            assert run(canaries, *line, typed=f"{given}\n", monkeypatch=monkeypatch)
    # Not a manifest but a file of secrets, by mistake; and one that a secret got into.
    for number, secret in enumerate(canaries.secrets.values()):
        for content in (secret, f'"{secret}"', f'{{"appId": "{secret}"', f'[{{"{secret}": 1}}]', f"TOKEN={secret}\n"):
            path = tmp_path / f"{number}.json"
            path.write_text(content)
            assert run(canaries, "import_manifest", str(path), monkeypatch=monkeypatch)
            assert run(canaries, "import_manifest", "-", typed=content, monkeypatch=monkeypatch)
            for document in (content, f'{{"schema": 1, "scopes": [{content}]}}'):
                assert run(canaries, "import_catalogue", "-", *by, typed=document, monkeypatch=monkeypatch)
            assert run(canaries, "diff_manifests", str(path), "-", typed=content, monkeypatch=monkeypatch)
        # In what a manifest may hold beside its documented fields, or behind a question mark.
        for number_of, value in (("1", secret), ("2", "x")):
            address = f"https://a.example.com/hook?key={quote(value)}"
            hidden = json.loads(manifest()) | {"clientSecret": value, "configuration": {"key": value}}
            hidden |= {"webhookURL": address}
            (tmp_path / number_of).write_text(json.dumps(hidden))
        both = (str(tmp_path / "1"), str(tmp_path / "2"))
        assert "clientSecret: changed" in run(canaries, "diff_manifests", *both, monkeypatch=monkeypatch)
        # A table whose columns slipped.
        for line in (secret, {"access_token": secret}, {secret: 1}, {"portal": secret, "app_id": secret}):
            told = run(canaries, "import_tokens", "-", *by, typed=json.dumps(line), monkeypatch=monkeypatch)
            assert told.startswith("1 line: 0 stored")
    assert run(canaries, "import_manifest", "-", typed=manifest(version="3.0.0"), monkeypatch=monkeypatch)
    # Without DEBUG=1 it only refuses; with it, tests/browser runs it, without canaries;
    # test_canary_process.py has the service that it starts.
    monkeypatch.setattr(settings, "DEBUG", False)
    assert "DEBUG=1" in run(canaries, "run_with_sandbox", monkeypatch=monkeypatch)
    for line in (
        ("export_audit",),
        ("export_catalogue",),
        ("export_audit", "--format", "csv"),
        ("anchor_audit", "--file", str(tmp_path / "anchors")),
        ("verify_audit", "--anchor", str(tmp_path / "anchors")),
    ):
        assert run(canaries, *line, monkeypatch=monkeypatch)
    for form in ("json", "jsonl", "xml"):
        assert run(canaries, "dumpdata", f"--format={form}", monkeypatch=monkeypatch)
    canaries.look_everywhere()


def test_nothing_is_kept_in_redis_in_clear(page: Page, scene: Scene, canaries: Canaries, settings: Any) -> None:
    where = {"BACKEND": "flowlu_admin.counting_cache.SharedCache", "LOCATION": "redis://127.0.0.1:6379"}
    try:
        Redis(port=6379).ping()
    except RedisError:
        pytest.skip("needs a Redis at 127.0.0.1:6379")
    settings.CACHES = {"default": {**where, "KEY_PREFIX": f"canary-{secrets.token_hex(4)}"}}
    settings.HANDSHAKE_RATE, settings.CALL_RATE = "600/m", "6000/m"
    password = canaries.add("password", f"battery-{secrets.token_hex(12)}")
    try:
        page.go_everywhere()
        for secret in canaries.secrets.values():
            Client().post("/accounts/login/", {"login": secret, "password": password})
        assert canary.kept_in_redis(), "nothing was counted: this looked at nothing"
        canaries.look_everywhere()
    finally:
        for key, _value in canary.kept_in_redis():
            caches["default"]._cache.get_client(write=True).delete(key)


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
        for text in (page.access_token, f"crm/account/get/{page.access_token}"):
            if key != "admin:app_list" and (spelt := address(scene, key, text)) != where:
                response = client.get(spelt, headers=headers)
                # Whoever is sent to sign in, or one step on, comes back to the address that they asked for.
                response.headers.pop("Location", None)
                canaries.look_at_response(f"a step of {key} as {role}", response)
    assert {key for key, _method in asked} == {key for key in URLS if not key.endswith("logout")}
    canaries.look_everywhere()
