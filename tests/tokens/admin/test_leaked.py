"""The desk for leaked tokens: found, told, cut in one step, and nothing of what was handed in ever comes back."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from installations.models import AuditEvent
from tests import factories
from tests.installations.admin.console import sign_in
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.admin.leaked import HIDDEN
from tokens.models import OAuthToken, ServiceCall
from tokens.services.api_keys import revoke_api_key

LEAKED = reverse("admin:tokens_oauthtoken_leaked")
SECRET = "what-nobody-knows-here"


@pytest.fixture
def row(record):
    return factories.token(record.installation, record.portal_user, "an-access-token")


@pytest.fixture
def record(application):
    return factories.launch(application)


@pytest.fixture
def desk(client, responder):
    sign_in(client, responder)
    return client


def look(desk, text, **more):
    return desk.post(LEAKED, {"pasted": text, **more})


def test_hit_shows_owner_installation_and_a_way_to_cut(desk, row):
    page = look(desk, f"{SECRET}\nBearer an-access-token")

    text = page.content.decode()
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    assert "Ana Ruiz (7)" in text
    assert "line 2" in text
    assert reverse("admin:tokens_oauthtoken_revoke", kwargs={"object_id": row.pk}) in text
    assert f'name="token" value="{row.pk}"' in text
    assert "<strong>1</strong> line not known here" in text


@pytest.mark.parametrize("way", ["pasted", "file", "both", "too much", "large file"])
def test_nothing_of_what_was_handed_in_comes_back(desk, row, way):
    body = {
        "pasted": {"pasted": f"{SECRET}\nan-access-token"},
        "file": {"file": SimpleUploadedFile(f"{SECRET}.txt", f"{SECRET}\nan-access-token".encode())},
        "both": {"pasted": SECRET, "file": SimpleUploadedFile(f"{SECRET}.txt", SECRET.encode())},
        "too much": {"pasted": f"{SECRET}\n" * 10_001},
        "large file": {"file": SimpleUploadedFile("x", SECRET.encode() * 60_000)},
    }[way]

    page = desk.post(LEAKED, body)

    assert page.status_code == 200
    assert SECRET not in page.content.decode()
    assert "an-access-token" not in page.content.decode()
    assert SECRET not in repr(page.headers) + page.cookies.output()
    refused = way not in {"pasted", "file"}
    assert (b"errornote" in page.content) is refused
    assert ("leaked.looked_up" in recorded()) is not refused
    assert not any(SECRET in repr(value) for value in AuditEvent.objects.values())


def test_upload_too_large_for_any_page_is_dropped_and_never_on_the_disk(desk, row, settings, monkeypatch):
    def refuse(*_arguments, **_options):
        raise AssertionError("an upload was written to the disk")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)

    page = desk.post(LEAKED, {"file": SimpleUploadedFile("x", b"x" * 3_000_000)})

    assert b"Either paste what was found or choose a file." in page.content
    assert settings.FILE_UPLOAD_HANDLERS == ["django.core.files.uploadhandler.MemoryFileUploadHandler"]


def test_of_many_lines_the_first_are_named(desk, row):
    page = look(desk, "an-access-token\n" * 7)

    assert "lines 1, 2, 3, 4, 5 and 2 more" in page.content.decode()


def test_what_is_ticked_is_revoked_by_number_with_the_reason(desk, row, record):
    second = factories.token(record.installation, record.portal_user, "another-token")
    left = factories.token(record.installation, record.portal_user, "a-third-token")

    done = desk.post(LEAKED, {"cut": "yes", "token": [row.pk, second.pk], "reason": "Found in a leak."}, follow=True)

    assert set(OAuthToken.objects.live()) == {left}
    assert "2 tokens revoked, 0 skipped (revoked already), 0 failed." in done.content.decode()
    assert [event.reason for event in AuditEvent.objects.filter(verb="tokens.revoked")] == ["Found in a leak."] * 2


@pytest.mark.parametrize(
    "body", [{"reason": "Found."}, {"reason": " ", "token": ["1"]}, {"token": ["x", "-1", "9" * 30]}]
)
def test_cut_without_reason_or_without_any_token_changes_nothing(desk, row, body):
    with nothing_changes():
        page = desk.post(LEAKED, {"cut": "yes", **body})

    assert page.status_code == 200
    assert b"errornote" in page.content


@pytest.fixture
def key(record):
    factories.approve(record.installation, "crm.accounts.full")
    nightly = factories.purpose("nightly", acts_as="system")
    return factories.api_key(record.installation, "an-api-key-of-acme", purposes=[nightly])


def test_api_key_is_found_and_revoked_with_the_word_where_to_delete_it(desk, row, key):
    page = look(desk, "x an-api-key-of-acme\nan-access-token").content.decode()
    assert f'name="api_key" value="{key.pk}"' in page
    assert reverse("admin:tokens_apikey_revoke", kwargs={"object_id": key.pk}) in page
    assert "no call through this service starts with this key" in page
    assert "no call through this service starts with these tokens" in page
    assert "until an administrator of acme.flowlu.com deletes it there" in page

    body = {"cut": "yes", "token": [row.pk], "api_key": [key.pk], "reason": "Found in a leak."}
    done = desk.post(LEAKED, body, follow=True).content.decode()

    key.refresh_from_db()
    assert (key.state, key.sealed_key) == ("revoked", None)
    assert "1 token and 1 API key revoked, 0 skipped (revoked already), 0 failed." in done
    assert "until an administrator of acme.flowlu.com deletes it there" in done
    again = desk.post(LEAKED, {**body, "token": []}, follow=True).content.decode()
    assert "0 tokens and 0 API keys revoked, 1 skipped" in again


def test_what_stops_is_said_of_what_was_found(desk, row, key):
    page = look(desk, "an-api-key-of-acme").content.decode()
    assert "no call through this service starts with this key" in page
    assert "these tokens" not in page


def test_box_stays_ticked_while_the_reason_is_missing(desk, row, key):
    with nothing_changes():
        page = desk.post(LEAKED, {"cut": "yes", "api_key": [key.pk], "reason": " "}).content.decode()

    assert f'name="api_key" value="{key.pk}"' in page
    assert 'name="token"' not in page


def test_last_use_counts_calls_of_backend_code(desk, row, key):
    at = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    for credential in ({"oauth_token": row}, {"api_key": key}):
        ServiceCall.objects.create(at=at, outcome="ok", **credential)

    page = look(desk, "an-access-token\nan-api-key-of-acme").content.decode()
    assert page.count('datetime="2026-03-01T12:30:00+00:00"') == 2


@pytest.fixture
def limited(desk, responder):
    """The desk for somebody who may look up and see tokens, and what is named beside it."""

    def to(*permissions):
        responder.groups.clear()
        may = ["find_leaked", "view_oauthtoken", *permissions]
        responder.user_permissions.set(Permission.objects.filter(codename__in=may))
        return desk

    return to


@pytest.mark.parametrize("permission", ["view_apikey", "revoke_apikey"])
def test_who_may_not_revoke_all_that_is_ticked_revokes_none_of_it(limited, row, key, permission):
    desk = limited("revoke_oauthtoken", permission)

    page = look(desk, "an-access-token\nan-api-key-of-acme").content.decode()
    assert f'name="token" value="{row.pk}"' in page
    assert 'name="api_key"' not in page
    with nothing_changes():
        cut = {"cut": "yes", "token": [row.pk], "api_key": [key.pk], "reason": "Found."}
        assert desk.post(LEAKED, cut).status_code == 403
    assert refused_for() == "tokens.revoke_apikey"


@pytest.mark.parametrize("reason", ["Found.", ""])
def test_who_may_look_up_but_not_revoke_gets_no_button_and_cuts_nothing(limited, row, reason):
    desk = limited()

    assert b'name="cut"' in look(desk, "an-access-token").content
    assert b'name="token"' not in look(desk, "an-access-token").content
    with nothing_changes():
        assert desk.post(LEAKED, {"cut": "yes", "token": [row.pk], "reason": reason}).status_code == 403
    assert refused_for() == "tokens.revoke_oauthtoken"


def refused_for():
    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("attempt.refused", "vault", "leaked")
    assert event.details["attempted"] == "tokens_oauthtoken_leaked"
    return event.details["permission"]


@pytest.mark.parametrize("gone", [False, True], ids=["live", "revoked"])
def test_who_may_not_see_api_keys_learns_only_that_it_is_one(limited, responder, row, key, gone):
    told = ["Nightly", "crm.accounts.full", "acme.flowlu.com", "2026-03-01 12:30"]
    ServiceCall.objects.create(at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC), outcome="ok", api_key=key)
    if gone:
        revoke_api_key(api_key_id=key.pk, actor=factories.superactor(), reason="A test.")
        told = ["acme.flowlu.com"]
    seen = look(limited("view_apikey", "revoke_apikey"), "an-api-key-of-acme").content.decode()
    assert [text for text in told if text in seen] == told

    page = look(limited("revoke_apikey"), "an-api-key-of-acme").content.decode()

    assert f"API key #{key.pk}" in page
    assert str(HIDDEN) in page
    assert [text for text in told if text in page] == []
    assert 'name="api_key"' not in page


def test_look_ups_are_limited_for_each_operator(desk, row, settings, superuser, client):
    settings.LEAKED_RATE = "2/d"
    for _ in range(2):
        look(desk, SECRET)

    with nothing_changes():
        page = look(desk, "an-access-token")
    assert b"errornote" in page.content
    assert b"Ana Ruiz" not in page.content

    client.force_login(superuser, backend="django.contrib.auth.backends.ModelBackend")
    assert b"Ana Ruiz" in look(client, "an-access-token").content


def test_miss_says_not_known_and_no_more(desk, row):
    first, second = (look(desk, text).content.decode() for text in (SECRET, "another-of-those-words"))

    assert _without_tokens(first) == _without_tokens(second)
    assert "None of it is known here." in first


def _without_tokens(page):
    import re

    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", page)


def test_looking_at_the_page_records_nothing(desk, row):
    with nothing_changes():
        assert desk.get(LEAKED).status_code == 200


def test_list_of_tokens_leads_to_the_desk_for_those_who_may(desk, row, client, auditor):
    where = reverse("admin:tokens_oauthtoken_changelist")
    assert LEAKED in desk.get(where).content.decode()
    client.force_login(auditor, backend="django.contrib.auth.backends.ModelBackend")
    assert LEAKED not in client.get(where).content.decode()
