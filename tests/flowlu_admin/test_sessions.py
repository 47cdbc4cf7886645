"""Operators' sessions: what the database holds signs nobody in and shows nothing of what is inside."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from flowlu_admin.sessions import SessionStore, stored_key
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db


def test_cookie_signs_in_and_what_is_stored_does_not(superuser: Any) -> None:
    client, thief = Client(), Client()
    client.post("/accounts/login/", {"login": "superuser", "password": PASSWORD})
    assert client.get("/admin/").status_code == 200
    row = Session.objects.get()

    thief.cookies[settings.SESSION_COOKIE_NAME] = row.session_key

    assert thief.get("/admin/").status_code == 302
    assert row.session_key != client.cookies[settings.SESSION_COOKIE_NAME].value


def test_session_of_nobody_is_soon_over_and_one_that_is_signed_in_is_not(superuser: Any) -> None:
    """Strangers begin as many as they like, and to end somebody's sessions all that are open are read."""
    client = Client()
    store = SessionStore()
    store["on the way"] = "to a password"
    store.create()
    assert Session.objects.get().expire_date <= timezone.now() + timedelta(minutes=30)

    client.cookies[settings.SESSION_COOKIE_NAME] = store.session_key or ""
    client.post("/accounts/login/", {"login": "superuser", "password": PASSWORD})

    assert client.get("/admin/").status_code == 200
    assert Session.objects.get().expire_date > timezone.now() + timedelta(hours=11)


def test_content_is_sealed_for_its_row() -> None:
    store = SessionStore()
    store["seed"] = "JBSWY3DPEHPK3PXP"
    store.create()
    store.save()
    row = Session.objects.get(session_key=stored_key(store.session_key or ""))
    assert b"JBSWY3DPEHPK3PXP" not in base64.b64decode(row.session_data)
    assert SessionStore(store.session_key)["seed"] == "JBSWY3DPEHPK3PXP"

    other = SessionStore()
    other.create()
    Session.objects.filter(session_key=stored_key(other.session_key or "")).update(session_data=row.session_data)

    assert SessionStore(other.session_key).load() == {}


@pytest.mark.parametrize("content", ["", "not base64 ü", "AAAA", base64.b64encode(b"x" * 200).decode()])
def test_what_does_not_unseal_is_an_empty_session(content: str) -> None:
    store = SessionStore()
    store.create()
    Session.objects.update(session_data=content)

    assert SessionStore(store.session_key).load() == {}


def test_signing_out_removes_the_row(superuser: Any) -> None:
    client = Client()
    client.force_login(superuser)

    client.post("/accounts/logout/")

    assert Session.objects.filter(expire_date__isnull=False).count() <= 1  # at most the message of the sign-out
    assert client.get("/admin/").status_code == 302


def test_session_without_a_key_has_nothing_to_delete() -> None:
    kept = SessionStore()
    kept.create()

    SessionStore().delete()

    assert Session.objects.get().session_key == stored_key(kept.session_key or "")
