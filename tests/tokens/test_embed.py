"""/embed/: framed by the named portal only, believes nothing, sets no cookie, runs nothing inline."""

from typing import Any

import pytest
from django.test import Client

from installations.models import Application
from tokens.embed import page_language

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


@pytest.mark.parametrize(
    ("launched", "accepted", "language"),
    [
        ("es", "ru", "es"),
        ("pt-BR", "ru", "pt"),
        ("ru_RU", "es", "ru"),
        ("ES", "", "es"),
        (None, "de-AT, pt-PT;q=0.8, es;q=0.9", "es"),
        (None, "es;q=0, ru;q=0.1", "ru"),
        (None, "*", "en"),
        (None, "", "en"),
        ("de", "fr", "en"),
        ("de", "ru", "ru"),
        # what is no language
        ("../es", "ru", "ru"),
        ("es;q=1", "ru", "ru"),
        ("es\n", "ru", "ru"),
        ('es"><script>', "", "en"),
        ("español", "pt", "pt"),
        ("e" * 35, "", "en"),
        (None, "es;q=nan, \x00, ru", "en"),
        (None, "ru," * 400, "ru"),
    ],
)
def test_language_is_the_launchs_else_the_browsers_else_english(
    launched: str | None, accepted: str, language: str
) -> None:
    assert page_language(launched, accepted) == language


@pytest.mark.parametrize(
    ("language", "heading"),
    [("en", "What is approved"), ("es", "Qué está aprobado"), ("pt", "O que está aprovado"), ("ru", "Что одобрено")],
)
def test_page_speaks_the_language_and_says_which(client: Client, language: str, heading: str) -> None:
    response = client.post("/embed/", {"language": language}, headers={"Accept-Language": "de"})
    body = response.content.decode()

    assert f'<html lang="{language}">' in body
    assert f'<h2 id="approved-heading">{heading}</h2>' in body
    assert response["Content-Language"] == language
    assert "Accept-Language" in response["Vary"]


def test_language_of_the_page_stays_with_the_page(client: Client) -> None:
    client.get("/embed/", {"language": "ru"})

    assert 'lang="en"' in client.get("/accounts/login/", headers={"Accept-Language": "ru"}).content.decode()
    # English, as the API is: its descriptions are for developers
    refused = client.get("/api/v1/session", headers={"Accept-Language": "ru"}).json()
    assert refused["error_description"].isascii()
