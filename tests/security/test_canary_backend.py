"""The secrets of backend use, API keys and service keys, go through the service API and the console,
and come out of neither."""

import secrets
from typing import Any

import pytest

from flowlu_admin.sandbox.state import FAULT_KINDS
from installations.models import Installation
from tests import factories
from tests.backend import SYSTEM, Backend
from tests.canary import Canaries
from tests.security.canary_page import Page
from tests.security.scene import Scene
from tests.security.test_permission_matrix import address
from tokens import vault
from tokens.models import ApiKey, Purpose
from tokens.services.api_keys import KeyText, revoke_api_key

pytestmark = pytest.mark.django_db(transaction=True)

# Those that never end by themselves within a test's patience.
SLOW = {"delay", "drip"}


@pytest.fixture
def page(canary_page: Page) -> Page:
    return canary_page


@pytest.fixture
def scene(canary_scene: Scene) -> Scene:
    return canary_scene


def test_objects_of_backend_use_say_nothing_of_what_they_hold(page: Page, canaries: Canaries) -> None:
    made = factories.service_client()
    canaries.add("a new service key", made.key)
    text = KeyText(page.pair.access_token)
    for thing in (made, text, [text], {"key": text}):
        canaries.look(f"the text of {type(thing).__name__}", f"{thing!r} {thing!s} {thing}")
    canaries.report()


def test_backend_use_tells_no_secret(page: Page, canaries: Canaries, logged: None, settings: Any) -> None:
    settings.DEBUG = True
    installation = Installation.objects.get()
    value = canaries.add("API key of the portal", page.sandbox.state.create_api_key("acme"))
    sync, nightly = factories.purpose(), factories.purpose("nightly", acts_as="system")
    factories.api_key(installation, value, purposes=[nightly])
    made = factories.service_client(
        purposes=[sync, nightly], applications=[installation.application], portals=[installation.portal]
    )
    key = canaries.add("key of the worker", made.key)
    users, system = Backend(key), Backend(key, purpose="nightly", act_as=SYSTEM)
    wrong = Backend(key + "x")

    def all_of_it() -> set[int]:
        found = set()
        for backend in (users, system, wrong):
            for secret in (value, key, page.access_token, page.session_token):
                answers = {
                    "a call": backend.get(search=secret),
                    "a refused parameter": backend.get(api_key=secret),
                    "a write": backend.post("crm/account/delete/999999", {"name": secret}),
                    "a path": backend.get(f"crm/account/get/{secret}"),
                    "another path": backend.api.get(f"/service/v1/{secret}", headers=backend.headers),
                    "an act of nothing": backend.get(headers={"X-Act-As": secret}),
                    "another scheme": backend.get(headers={"Authorization": f"Basic {secret}"}),
                    "another key": backend.get(headers={"Authorization": f"Bearer {secret}x"}),
                    "another media type": backend.api.post(
                        "/service/v1/flowlu/crm/account/list", secret, content_type="text/x", headers=backend.headers
                    ),
                    "broken JSON": backend.api.post(
                        "/service/v1/flowlu/crm/account/list",
                        f'{{"{secret}',
                        content_type="application/json",
                        headers=backend.headers,
                    ),
                }
                found |= {page.see(where, answer) for where, answer in answers.items()}
        return found

    assert {200, 400, 401, 404, 415} <= all_of_it()
    for fault in sorted(set(FAULT_KINDS) - SLOW):
        page.sandbox.state.add_fault("acme", fault, location=f"/_sandbox/redirected?t={value}")
        page.see(f"{fault} as the system", system.get(search=value))
        page.see(f"{fault} as a user", users.get())
        page.sandbox.state.clear_faults()
    page.sandbox.state.delete_api_key("acme", value)
    assert page.see("a deleted key", system.get()) == 403
    for row in ApiKey.objects.all():
        revoke_api_key(api_key_id=row.pk, actor=factories.superactor(), reason="A test.")
    assert page.see("a revoked key", system.get()) == 403
    canaries.look_everywhere()


def test_secret_in_a_wrong_header_is_told_to_nobody(page: Page, canaries: Canaries, redacted_log: None) -> None:
    """Whoever sends a key as a purpose has it looked up; what is written of that, and what is answered, is clean."""
    key = canaries.add("key of the worker", factories.service_client().key)
    backend = Backend(key)
    for secret in (key, page.access_token, page.session_token):
        for headers in ({"X-Purpose": secret}, {"X-Act-As": f"user:{secret}@acme.flowlu.com/2"}):
            assert page.see("a wrong header", backend.get(headers=headers)) in (400, 403)
    canaries.look_everywhere()


def test_new_service_key_is_in_the_answer_that_made_it_and_nowhere_else(
    scene: Scene, canaries: Canaries, logged: None
) -> None:
    client = scene.client("superuser")
    body = {"reason": "A test.", "name": "worker", "purposes": [], "portals": ""}
    for number, act in enumerate(("new", "new_key")):
        where = address(scene, f"admin:tokens_serviceclient_{act}")
        shown = client.post(where, body)
        name = f"new service key {number}"
        key = canaries.add(name, shown.context["service_key"])
        assert shown.content.decode().count(key) == 1
        assert shown["Cache-Control"] == "no-store"
        canaries.look_at_response(where, shown, but=(name,))
    for where in ("/admin/", address(scene, "admin:tokens_serviceclient_change"), "/admin/installations/auditevent/"):
        canaries.look_at_response(where, client.get(where))
    canaries.look_everywhere()


def test_pasted_api_key_comes_back_on_no_page(scene: Scene, canaries: Canaries, logged: None) -> None:
    client = scene.client("superuser")
    nightly = Purpose.objects.get(code="nightly").pk
    good = {"reason": "A test.", "label": "Weekly", "scopes": "crm.accounts.read", "purposes": nightly, "overlap": "0"}
    for number, act in enumerate(("installations_installation_add_key", "tokens_apikey_replace")):
        where = address(scene, f"admin:{act}")
        key = canaries.add(f"pasted key {number}", f"pasted-{number}-{secrets.token_hex(12)}")
        for body in (good | {"reason": ""}, good | {"last_day": "never"}, good | {"last_day": "2001-01-01"}):
            refused = client.post(where, body | {"key": key})
            assert canaries.look_at_response(where, refused).status_code == 200
        assert not ApiKey.objects.filter(fingerprint__in=vault.digests_of(key)).exists()
        stored = client.post(where, good | {"key": key}, follow=True)
        canaries.look_at_response(where, stored)
        assert ApiKey.objects.filter(fingerprint__in=vault.digests_of(key)).exists()
        again = client.post(where, good | {"key": key}, follow=True)
        canaries.look_at_response(where, again)
    canaries.look_everywhere()
