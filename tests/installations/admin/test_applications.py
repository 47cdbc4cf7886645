"""Importing manifests and changing what an application keeps."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from installations.cross_origin import set_allowed_origins
from installations.models import Application, Installation, Manifest
from tests import factories
from tests.installations.admin.console import confirm, messages, seen, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.models import OAuthToken


def test_pasted_manifest_registers_an_application(reviewer: Any) -> None:
    # when
    response = signed_in(reviewer).post(
        url("installations_application_import"), {"document": factories.manifest(), "kind": "public"}, follow=True
    )

    # then
    application = Application.objects.get()
    assert application.kind == Application.Kind.PUBLIC
    assert response.redirect_chain[0][0] == url("installations_manifest_change", Manifest.objects.get().pk)
    assert "com.example.desk 1.0.0 is registered." in messages(response)[0]
    assert last_event().verb == "application.registered"
    assert last_event().actor_name == "reviewer"


def test_uploaded_manifest_is_taken_and_its_notices_are_shown(reviewer: Any) -> None:
    # given
    document = factories.manifest(permissions=["task.read", "crm.cоntacts.read"], surprise=1)
    upload = SimpleUploadedFile("manifest.json", document.encode())

    # when
    response = signed_in(reviewer).post(url("installations_application_import"), {"file": upload}, follow=True)

    # then
    assert "2 notices below." in messages(response)[0]
    assert "permissions[1] ( crm.c \\u043E ntacts.read )" in text(response)
    assert "surprise : this field is not documented and is only kept" in text(response)


def test_all_faults_are_listed_with_their_place_and_the_text_is_kept(reviewer: Any) -> None:
    document = '{"appId": "", "name": "Desk", "version": "one", "permissions": [1]}'

    with nothing_changes():
        response = signed_in(reviewer).post(url("installations_application_import"), {"document": document})

    assert response.status_code == 200
    page = text(response)
    for fault in ("3 things to correct", "appId : must not be empty", "permissions[0] : must be a text", "version : "):
        assert fault in page
    assert "&quot;version&quot;: &quot;one&quot;" in response.content.decode()


def test_faulty_upload_comes_back_in_the_box(reviewer: Any) -> None:
    upload = SimpleUploadedFile("manifest.json", b'{"appId": "com.example.kept" // no\n}')

    response = signed_in(reviewer).post(url("installations_application_import"), {"file": upload})

    assert "com.example.kept" in response.content.decode()
    assert "line 1" in text(response)


@pytest.mark.parametrize("refused", ["pasted", "uploaded"])
def test_file_takes_the_place_of_what_was_refused_and_left_as_it_was(reviewer: Any, refused: str) -> None:
    client, where = signed_in(reviewer), url("installations_application_import")
    faulty = '{"appId": "com.example.kept"\n // no\n}'
    upload = SimpleUploadedFile("manifest.json", faulty.encode())
    page = client.post(where, {"document": faulty} if refused == "pasted" else {"file": upload})
    # As a browser sends it: with line ends of its own.
    sent = {name: page.context["form"][name].value() for name in ("document", "refused")}
    sent["document"] = sent["document"].replace("\n", "\r\n")
    corrected = factories.manifest("com.example.kept").encode()

    with nothing_changes():
        changed = client.post(where, {**sent, "document": "{}", "file": SimpleUploadedFile("manifest.json", corrected)})
    assert "Either paste the manifest or choose a file." in text(changed)

    client.post(where, {**sent, "file": SimpleUploadedFile("manifest.json", corrected)})

    assert Application.objects.get().app_id == "com.example.kept"


_case_refused = pytest.mark.parametrize(
    ("document", "upload", "words"),
    [
        ("", None, "Either paste the manifest or choose a file."),
        ("{}", b"{}", "Either paste the manifest or choose a file."),
        ("", b" " * (1024 * 1024 + 1), "larger than 1 MiB"),
        ("[]", None, "must be a JSON object"),
        ("{}\x00", None, "Null characters are not allowed"),
    ],
)


@_case_refused
def test_what_is_no_manifest_is_refused(reviewer: Any, document: str, upload: bytes | None, words: str) -> None:
    values: dict[str, Any] = {"document": document}
    if upload is not None:
        values["file"] = SimpleUploadedFile("manifest.json", upload)

    with nothing_changes():
        response = signed_in(reviewer).post(url("installations_application_import"), values)

    assert words in text(response)


def test_same_content_again_changes_nothing(reviewer: Any, application: Application) -> None:
    with nothing_changes():
        response = signed_in(reviewer).post(
            url("installations_application_import"), {"document": factories.manifest()}, follow=True
        )

    assert messages(response) == ["Nothing changed: this is the current manifest of com.example.desk 1.0.0 already."]


def test_import_without_the_permission_is_refused(auditor: Any, responder: Any) -> None:
    for user in (auditor, responder):
        client = signed_in(user)
        with nothing_changes():
            assert client.get(url("installations_application_import")).status_code == 403
            answer = client.post(url("installations_application_import"), {"document": factories.manifest()})
        assert answer.status_code == 403
        assert b"Import manifest" not in client.get(url("installations_application_changelist")).content


def test_manifest_page_shows_the_document_with_its_marks(auditor: Any) -> None:
    application = factories.application("com.example.odd", description="<script>alert(1)</script>\u202e")

    response = signed_in(auditor).get(url("installations_manifest_change", application.current_manifest_id))

    page = response.content.decode()
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_settings_are_changed_with_a_reason(reviewer: Any, application: Application) -> None:
    address = url("installations_application_configure", object_id=application.pk)
    values = {
        "stores_refresh_tokens": "on",
        "allowed_portals": "acme.flowlu.com\r\n\r\n globex.flowlu.com ",
        "reason": "Ok.",
    }

    response = confirm(signed_in(reviewer), address, values, follow=True)

    application.refresh_from_db()
    assert application.stores_refresh_tokens is True
    assert application.allowed_portals == ["acme.flowlu.com", "globex.flowlu.com"]
    assert messages(response) == ["The settings of com.example.desk are changed."]
    assert last_event().verb == "application.configured"


def test_portal_that_is_none_is_named_and_the_input_kept(reviewer: Any, application: Application) -> None:
    address = url("installations_application_configure", object_id=application.pk)

    with nothing_changes():
        response = confirm(signed_in(reviewer), address, {"allowed_portals": "evil.example.com", "reason": "Ok."})

    assert "evil.example.com: " in text(response)
    assert ">\nevil.example.com</textarea>" in response.content.decode()


def test_settings_without_the_permission_are_refused(auditor: Any, responder: Any, application: Application) -> None:
    address = url("installations_application_configure", object_id=application.pk)
    for user in (auditor, responder):
        with nothing_changes():
            assert signed_in(user).get(address).status_code == 403
            assert signed_in(user).post(address, {"reason": "Ok."}).status_code == 403
    assert "application.configured" not in recorded()


def test_page_of_a_user_shows_their_tokens_and_installations(auditor: Any, token: OAuthToken) -> None:
    page = text(signed_in(auditor).get(url("installations_portaluser_change", token.portal_user_id)))

    assert f"token #{token.pk}" in page
    assert "Installations they used Installation Portal Status" in page
    assert Installation.objects.count() == 1


@pytest.mark.parametrize(
    ("portals", "asks"),
    [
        ([], "0 installations ask for its scopes now"),
        (["one.flowlu.com"], "1 installation asks for its scopes now"),
        (["one.flowlu.com", "two.flowlu.com"], "2 installations ask for its scopes now"),
    ],
)
def test_next_manifest_says_whom_it_concerns(
    reviewer: Any, application: Application, portals: list[str], asks: str
) -> None:
    for portal in portals:
        factories.installation(application, portal=portal)

    response = signed_in(reviewer).post(
        url("installations_application_import"), {"document": factories.manifest(version="1.1.0")}, follow=True
    )

    assert messages(response) == [
        f"com.example.desk 1.1.0 is the current manifest. {asks}; what is approved stays as it is."
    ]
    assert last_event().details["installations"] == len(portals)


def test_stale_page_of_settings_widens_nothing_again(reviewer: Any, application: Application) -> None:
    Application.objects.update(allowed_portals=["acme.flowlu.com", "globex.flowlu.com"])
    address = url("installations_application_configure", object_id=application.pk)
    client = signed_in(reviewer)
    stale = {**seen(client.get(address)), "stores_refresh_tokens": "on", "reason": "Ok."}
    narrowed = {**seen(client.get(address)), "allowed_portals": "acme.flowlu.com", "reason": "Ok."}
    assert signed_in(reviewer).post(address, narrowed).status_code == 302

    with nothing_changes():
        refused = client.post(address, stale)

    words = "The application com.example.desk was changed while you were reading it. Look at it again."
    assert words in text(refused)
    fresh = {**seen(client.get(address)), "stores_refresh_tokens": "on", "reason": "Ok."}
    assert client.post(address, fresh).status_code == 302
    application.refresh_from_db()
    assert (application.allowed_portals, application.stores_refresh_tokens) == (["acme.flowlu.com"], True)


def test_settings_as_they_are_change_nothing_and_say_so(reviewer: Any, application: Application) -> None:
    address = url("installations_application_configure", object_id=application.pk)

    with nothing_changes():
        response = confirm(signed_in(reviewer), address, {"allowed_portals": "", "reason": "Ok."}, follow=True)

    assert messages(response) == ["Nothing changed: these are the settings already."]


def test_manifest_that_would_be_refused_today_is_still_shown(auditor: Any, application: Application) -> None:
    Manifest.objects.update(document={"appId": "com.example.desk"})

    page = text(signed_in(auditor).get(url("installations_manifest_change", application.current_manifest_id)))

    assert "This manifest would be refused today. It was imported under other rules." in page


def test_setting_that_cannot_be_is_said_beside_its_field(reviewer: Any, application: Application) -> None:
    address = url("installations_application_configure", object_id=application.pk)

    with nothing_changes():
        response = confirm(
            signed_in(reviewer), address, {"refreshed_by": "server", "stores_refresh_tokens": "on", "reason": "Ok."}
        )

    assert "refreshed_by" in response.context["form"].errors


def origins_address(application: Application) -> str:
    return url("installations_application_origins", object_id=application.pk)


def test_origins_are_set_with_a_reason_and_shown(reviewer: Any, application: Application) -> None:
    client = signed_in(reviewer)
    assert "Allowed origins only this service's own pages" in text(
        client.get(url("installations_application_change", object_id=application.pk))
    )
    values = {"origins": " https://B.example \r\n\r\nhttps://a.example:443", "reason": "Our frontend."}

    response = confirm(client, origins_address(application), values, follow=True)

    application.refresh_from_db()
    assert application.allowed_origins == ["https://a.example", "https://b.example"]
    assert messages(response) == ["The allowed origins of com.example.desk are changed."]
    assert "Allowed origins https://a.example, https://b.example" in text(response)
    assert last_event().verb == "application.origins_set"
    again = client.get(origins_address(application))
    assert ">\nhttps://a.example\nhttps://b.example</textarea>" in again.content.decode()


def test_each_line_that_is_no_origin_is_named_and_the_input_kept(reviewer: Any, application: Application) -> None:
    with nothing_changes():
        response = confirm(
            signed_in(reviewer),
            origins_address(application),
            {"origins": "https://a.example\nnull\nhttps://\u0430pp.example.com", "reason": "Ok."},
        )

    page = text(response)
    assert "null: null is the origin of every sandboxed page and file, so it is never allowed" in page
    assert "pp.example.com: must be ASCII" in page
    assert "https://a.example: " not in page
    assert ">\nhttps://a.example\nnull\n" in response.content.decode()


def test_too_many_origins_are_refused(reviewer: Any, application: Application) -> None:
    many = "\n".join(f"https://a{number}.example" for number in range(31))

    with nothing_changes():
        response = confirm(signed_in(reviewer), origins_address(application), {"origins": many, "reason": "Ok."})

    assert "may be 30 at most, and these are 31" in text(response)


def test_stale_page_of_origins_allows_nothing_again(reviewer: Any, application: Application) -> None:
    client, address = signed_in(reviewer), origins_address(application)
    stale = {**seen(client.get(address)), "origins": "https://old.example", "reason": "Ok."}
    set_allowed_origins(
        application_id=application.pk, origins=["https://new.example"], actor=factories.superactor(), reason="Ok."
    )

    with nothing_changes():
        refused = client.post(address, stale)

    words = "The list of origins of com.example.desk was changed while you were reading it. Look at it again."
    assert words in text(refused)


def test_origins_without_the_permission_are_refused(auditor: Any, responder: Any, application: Application) -> None:
    for user in (auditor, responder):
        with nothing_changes():
            assert signed_in(user).get(origins_address(application)).status_code == 403
            assert signed_in(user).post(origins_address(application), {"reason": "Ok."}).status_code == 403
    assert "application.origins_set" not in recorded()
