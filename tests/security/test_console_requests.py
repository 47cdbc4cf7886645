"""Requests to the console that no page of it made: from another site, or with what no page would send."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django.urls import reverse

from installations.models import Application
from tests.security.permissions import URLS
from tests.security.scene import Scene, about, in_parts, set_up
from tests.security.test_permission_matrix import PATTERNS, address
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db

# Neither API takes a cookie, so nothing can ride on one; /embed/ is opened by the portal's own form and reads none, and
# where nothing is, nothing is done. /metrics is read by whoever has its token.
WITHOUT_COOKIES = {key for key, route in PATTERNS.items() if route.startswith(("api/", "service/"))} | {
    "api-not-found",
    "embed",
    "metrics",
    "not-found",
    "service-not-found",
}
# Ids that no page would write: none may end in an error of the server.
ODD_IDS = ("0", "-1", "9" * 30, "1.5", "x", "1 OR 1=1", "%00", "\u0661", "_5F", "1/change/1", "..", "é" * 300)

ODD_ROWS = ("", "x", "1.5", "-1", "+1", " 1", "1_0", "\0", "\u0661", "\u00b2", str(2**63), "9" * 5000)
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def scene(application: Application, settings: Any) -> Scene:
    settings.OPERATOR_MFA = "required"
    return set_up(application)


def from_elsewhere(scene: Scene, role: str) -> Client:
    """Return a client that is checked like a browser, signed in, and without a form's token."""
    client = scene.client(role)
    client.handler.enforce_csrf_checks = True
    return client


@pytest.mark.parametrize("keys", in_parts(URLS.keys() - WITHOUT_COOKIES))
def test_form_without_the_token_of_its_page_changes_nothing(scene: Scene, keys: list[str]) -> None:
    client = from_elsewhere(scene, "superuser")
    body = {"reason": "An attempt.", "confirmed": "1", "action": "revoke_selected", "_selected_action": scene.token.pk}
    for key in keys:
        for headers in ({}, {"Origin": "https://evil.example"}, {"Referer": "https://evil.example/"}):
            with about(f"{key} with {headers}"), nothing_changes():
                assert client.post(address(scene, key), body, headers=headers).status_code == 403
    assert client.get("/admin/").status_code == 200  # and nobody was signed out


def test_token_of_another_browser_is_none(scene: Scene) -> None:
    other = Client()
    token = other.get("/accounts/login/").cookies["csrftoken"].value if "csrftoken" in other.cookies else "a" * 64
    client = from_elsewhere(scene, "superuser")
    where = address(scene, "admin:installations_installation_suspend")
    with nothing_changes():
        answer = client.post(where, {"reason": "An attempt.", "csrfmiddlewaretoken": token})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "keys", in_parts(key for key in URLS if "object_id" in PATTERNS[key] or "user_id" in PATTERNS[key])
)
@pytest.mark.parametrize("role", ["anonymous", "superuser"])
def test_odd_id_is_no_error_of_the_server(scene: Scene, keys: list[str], role: str) -> None:
    client = scene.client(role)
    for path in (path for key in keys for path in odd_paths(address(scene, key))):
        with about(path), nothing_changes():
            statuses = {client.get(path).status_code, client.post(path, {"reason": "x"}).status_code}
            assert max(statuses) < 500


def odd_paths(real: str) -> Iterator[str]:
    parts = real.strip("/").split("/")
    places = [number for number, part in enumerate(parts) if part.isdigit()]
    assert places
    for place in places:
        for odd in ODD_IDS:
            yield "/" + "/".join([*parts[:place], odd, *parts[place + 1 :]]) + "/"


@pytest.mark.parametrize("model", MODELS)
def test_odd_chosen_row_is_no_error_of_the_server(scene: Scene, model: Any) -> None:
    client = scene.client("superuser")
    actions = admin.site._registry[model].actions or ()
    where = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for action in (*actions, "delete_selected"):
        for odd in ODD_ROWS:
            for more in ({}, {"index": "0"}, {"confirmed": "1", "reason": "x"}, {"select_across": "1"}):
                body = {"action": action, ACTION_CHECKBOX_NAME: ["1", odd], **more}
                with nothing_changes():
                    answer = client.post(where, body)
                assert answer.status_code == 400 if actions else answer.status_code < 500, (action, odd, more)


@pytest.mark.parametrize("model", MODELS)
def test_list_that_is_narrowed_by_nonsense_is_no_error_of_the_server(scene: Scene, model: Any) -> None:
    client, shown = scene.client("superuser"), admin.site._registry[model]
    where = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    filters = {each.parameter_name for each in shown.list_filter if hasattr(each, "parameter_name")}
    for name in sorted(filters | set(shown.allowed_lookups)):
        for odd in ("", "x", "1.5", "9" * 30):
            with about(f"{name}={odd}"), nothing_changes():
                assert client.get(where, {name: odd}).status_code < 500


@pytest.mark.parametrize("key", [f"admin:{model._meta.app_label}_{model._meta.model_name}_change" for model in MODELS])
def test_page_of_an_object_by_no_field_is_no_error_of_the_server(scene: Scene, key: str) -> None:
    client = scene.client("superuser")
    where = address(scene, key)
    plain = client.get(where).status_code
    assert client.get(where, {"_to_field": ""}).status_code == plain
    with nothing_changes():
        assert client.post(where, {"_to_field": ""}).status_code == client.post(where).status_code
        for odd in ("x", "\0", "pk", "id__in"):
            assert client.get(where, {"_to_field": odd}).status_code == 400


@pytest.mark.parametrize("keys", in_parts(URLS))
@pytest.mark.parametrize("role", ["anonymous", "auditor", "superuser"])
def test_every_page_says_how_a_browser_must_treat_it(scene: Scene, keys: list[str], role: str) -> None:
    for key in keys:
        client = scene.client(role)
        for method in ("GET", "PUT", "POST"):
            answer = client.generic(method, address(scene, key))
            where = f"{method} {key} as {role}"
            expected_referrer = "no-referrer" if key == "embed" and method != "PUT" else "same-origin"
            assert answer["Cache-Control"] == "no-store", where
            assert answer["X-Content-Type-Options"] == "nosniff", where
            assert answer["Referrer-Policy"] == expected_referrer, where
            policy = answer["Content-Security-Policy"]
            assert "unsafe" not in policy or key == "docs", where
            assert "object-src 'none'" in policy or "default-src 'none'" in policy, where
            if key != "embed":
                assert "frame-ancestors 'none'" in policy, where
                assert answer["X-Frame-Options"] == "DENY", where
