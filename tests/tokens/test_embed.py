"""/embed/: framed by the named portal only, believes nothing, sets no cookie, runs nothing inline."""

from typing import Any

import pytest
from django.test import Client

from installations.models import Application

pytestmark = pytest.mark.django_db


def policy(response: Any) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in response["Content-Security-Policy"].split(";")]
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("method", ["get", "post"])
def test_page_may_be_framed_by_the_portal_of_the_launch_only(client: Client, method: str) -> None:
    response = getattr(client, method)("/embed/", {"domain": "Acme.flowlu.com", "language": "es"})

    assert response.status_code == 200
    assert policy(response)["frame-ancestors"] == "https://acme.flowlu.com"
    assert "X-Frame-Options" not in response
    assert response.cookies == {}
    assert response["Cache-Control"] == "no-store"
    assert response["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("portal", ["evil.com", "acme.flowlu.com.evil.com", "acme.flowlu.com;script-src *", "*"])
def test_page_of_a_launch_that_names_no_portal_is_framed_by_nobody(client: Client, portal: str) -> None:
    assert policy(client.get("/embed/", {"domain": portal}))["frame-ancestors"] == "'none'"


def test_page_without_a_launch_is_framed_by_any_allowed_portal(client: Client) -> None:
    assert policy(client.get("/embed/"))["frame-ancestors"] == "https://*.flowlu.com"


def test_portal_address_set_by_hand_is_who_frames(client: Client, settings: Any) -> None:
    settings.FLOWLU_PORTAL_URL = "http://localhost:8001/{portal}"

    assert policy(client.get("/embed/", {"domain": "acme.flowlu.com"}))["frame-ancestors"] == "http://localhost:8001"
    assert policy(client.get("/embed/"))["frame-ancestors"] == "http://localhost:8001"


def test_policy_lets_in_the_sdk_and_nothing_inline(client: Client, settings: Any) -> None:
    settings.FLOWLU_SDK_URL = "https://static.flowlu.com/sdk/v1.js"

    found = policy(client.get("/embed/"))

    assert found["script-src"] == "'self' https://static.flowlu.com"
    assert found["default-src"] == "'none'"
    assert "unsafe" not in " ".join(found.values())


def test_launch_values_are_escaped_and_odd_ones_dropped(client: Client) -> None:
    body = client.post(
        "/embed/", {"domain": '"><script>alert(1)</script>', "language": "e\x00n", "app_id": "a" * 500}
    ).content.decode()

    assert "<script>alert" not in body
    assert 'data-language=""' in body
    assert 'data-app-id=""' in body


def test_application_is_named_only_when_it_is_registered(client: Client, application: Application) -> None:
    assert b'<h1 id="application">Desk</h1>' in client.get("/embed/", {"app_id": application.app_id}).content
    assert b"Flowlu application" in client.get("/embed/", {"app_id": "com.example.unknown"}).content


def test_other_methods_are_refused(client: Client) -> None:
    assert client.put("/embed/").status_code == 405
