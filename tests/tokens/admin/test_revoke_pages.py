"""Revoking on the pages of portals, applications and users, and by what an incident names: look, then confirm."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from installations.models import Application, PortalUser
from tests import factories
from tests.installations.admin.console import confirm, messages, pin, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.admin.revoking import RevokeAct, drill_words
from tokens.models import OAuthToken, Purpose, Revocation, ServiceCall, ServiceClient
from tokens.services.revocation import drill_revocation, revoke_tokens
from tokens.targets import RevocationTarget

REASON = {"reason": "It was seen in a log."}
TRAIL = {"installations.AuditEvent", "installations.AuditHead"}


def address(kind: str, token: OAuthToken) -> str:
    pk = {
        "portal": token.installation.portal_id,
        "application": token.installation.application_id,
        "portaluser": token.portal_user_id,
    }[kind]
    return url(f"installations_{kind}_revoke", object_id=pk)


@pytest.fixture
def elsewhere(application: Application, token: OAuthToken) -> dict[str, OAuthToken]:
    """A token of the user in another application, and one of the first application on another portal."""
    other = factories.launch(factories.application("com.example.other"))
    there = factories.launch(application, portal="globex.flowlu.com")
    return {
        "other": factories.token(other.installation, other.portal_user, "other"),
        "globex": factories.token(there.installation, there.portal_user, "globex"),
    }


@pytest.mark.parametrize(
    ("kind", "left"), [("portal", {"globex"}), ("application", {"other"}), ("portaluser", {"globex"})]
)
def test_page_of_each_place_cuts_its_tokens(
    responder: Any, token: OAuthToken, elsewhere: dict[str, OAuthToken], kind: str, left: set[str]
) -> None:
    client, where = signed_in(responder), address(kind, token)
    page = client.get(where)
    assert "2 tokens" in text(page)

    response = confirm(client, where, REASON, follow=True)

    assert messages(response) == [f"2 tokens revoked. See {Revocation.objects.latest('pk')}."]
    live = set(OAuthToken.objects.live())
    assert live == {elsewhere[name] for name in left}
    assert Revocation.objects.get().asked_at is not None


def test_what_was_done_is_linked_for_who_may_look_at_it(responder: Any, token: OAuthToken) -> None:
    where = address("portal", token)
    client = signed_in(responder)
    page = confirm(client, where, REASON, follow=True)
    row = Revocation.objects.get()
    link = f'<a href="{url("tokens_revocation_change", row.pk)}">revocation #{row.pk}</a>'
    assert f"1 token revoked. See {link}." in page.content.decode()

    for group in responder.groups.all():
        group.permissions.remove(Permission.objects.get(codename="view_revocation"))
    factories.token(token.installation, token.portal_user, "another")
    assert messages(confirm(signed_in(type(responder).objects.get()), where, REASON, follow=True)) == [
        "1 token revoked."
    ]


@pytest.mark.parametrize("kind", ["portal", "application", "portaluser"])
@pytest.mark.parametrize("role", ["auditor", "reviewer", "outsider"])
def test_page_is_for_who_may_revoke(request: pytest.FixtureRequest, token: OAuthToken, kind: str, role: str) -> None:
    client = signed_in(request.getfixturevalue(role))
    with nothing_changes():
        assert client.get(address(kind, token)).status_code == 403
        assert client.post(address(kind, token), REASON).status_code == 403


def test_page_says_which_backend_code_used_the_tokens(responder: Any, token: OAuthToken) -> None:
    ServiceCall.objects.create(
        service_client=ServiceClient.objects.create(name="nightly-jobs", key_hash="a" * 64),
        purpose=Purpose.objects.create(code="billing", acts_as="user"),
        acts_as="user", oauth_token=token, call="fin/invoice/list", outcome="ok",
    )  # fmt: skip

    page = text(signed_in(responder).get(address("portal", token)))

    assert "Backend use in the last 30 days For the purposes billing 1 call By nightly-jobs 1 call" in page


def test_without_a_look_nothing_is_cut(responder: Any, token: OAuthToken) -> None:
    client = signed_in(responder)
    for forged in ({}, {"pinned": "1.1.1." + "0" * 24}, {"pinned": ""}):
        with nothing_changes():
            page = client.post(address("portal", token), {**REASON, **forged})
        assert "It is not known which tokens you looked at" in text(page)
        assert "Nothing was changed" not in text(page)


def test_what_changed_is_shown_and_asked_again(responder: Any, token: OAuthToken, portal_user: PortalUser) -> None:
    client, where = signed_in(responder), address("portal", token)
    seen = pin(client.get(where))
    factories.token(token.installation, portal_user, "came-since")

    with nothing_changes():
        page = client.post(where, {**REASON, **seen})
    assert "Nothing was cut: the tokens changed since you looked. Then 1, now 2: 1 came (token #" in text(page)
    assert "2 tokens" in text(page)
    assert "It was seen in a log." in text(page)

    response = client.post(where, {**REASON, **pin(page)}, follow=True)
    assert messages(response) == [f"2 tokens revoked. See {Revocation.objects.latest('pk')}."]


def test_drill_tells_figures_and_cuts_nothing(responder: Any, token: OAuthToken) -> None:
    client, where = signed_in(responder), address("portal", token)

    with nothing_changes(but=TRAIL):
        response = confirm(client, where, {**REASON, "drill": "on"}, follow=True)

    (message,) = messages(response)
    assert message.startswith(
        "Drill: nothing was cut. It would be 1 token, 0 open sessions and 1 person. Looking took "
    )
    assert recorded()[-1] == "revocation.drilled"


def test_drill_of_many_says_that_it_cut_the_first_only(token: OAuthToken) -> None:
    factories.token(token.installation, token.portal_user, "another-token")
    target = RevocationTarget.of_installation(token.installation_id)

    drill = drill_revocation(target=target, actor=factories.superactor(), reason="A drill.", batch=1)

    assert "It would be 2 tokens, " in drill_words(drill)
    assert re.search(r", the lock \d+ ms, the cut of the first 1 \d+ ms\.$", drill_words(drill))
    one = drill_revocation(target=RevocationTarget.of_token(token.pk), actor=factories.superactor(), reason="A drill.")
    assert "lock" not in drill_words(one)


def test_what_must_be_cut_at_once_and_is_too_much_is_locked_and_left_to_the_command(
    responder: Any, token: OAuthToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, here = signed_in(responder), token.installation_id
    where = url("installations_installation_uninstall", object_id=here)
    seen = pin(client.get(where))
    monkeypatch.setattr(RevokeAct, "most", 0)

    page = client.get(where)
    assert "Too many for a page" in text(page)
    command = "manage.py revoke_tokens --portal acme.flowlu.com --app com.example.desk --operator NAME --reason TEXT"
    assert command in text(page)
    assert url("installations_installation_lock", object_id=here) in page.content.decode()
    assert 'name="reason"' not in page.content.decode()
    with nothing_changes():
        assert "These are too many for a page." in text(client.post(where, {**REASON, **seen}))


def test_more_than_a_page_cuts_at_once_go_on_in_the_background(
    responder: Any, token: OAuthToken, elsewhere: dict[str, OAuthToken], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, where = signed_in(responder), address("portal", token)
    third = factories.token(token.installation, token.portal_user, "third")
    monkeypatch.setattr(RevokeAct, "most", 1)
    page = client.get(where)
    assert "Then confirm: the first 1 tokens are cut at once" in text(page)
    assert "Those that are left work until their part is cut" in text(page)
    assert "From the moment this is saved, on every worker, no call" not in text(page)
    assert url("installations_portal_lock", object_id=token.installation.portal_id) in page.content.decode()

    response = confirm(client, where, REASON, follow=True)

    row = Revocation.objects.get()
    assert response.redirect_chain == [(url("tokens_revocation_change", row.pk), 302)]
    assert messages(response) == ["1 token revoked. The rest is cut in the background. This page shows how far it is."]
    assert (row.state, row.in_background, row.tokens_cut) == ("running", True, 1)
    assert set(OAuthToken.objects.live()) == {elsewhere["other"], elsewhere["globex"], third}

    with nothing_changes():
        again = confirm(client, where, REASON)
    assert f"Revocation #{row.pk} of the same is not finished." in text(again)


def test_who_may_not_see_the_ledger_is_led_back(
    outsider: Any, token: OAuthToken, elsewhere: dict[str, OAuthToken], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("revoke_oauthtoken", "view_portal")
    outsider.user_permissions.set(Permission.objects.filter(codename__in=names))
    monkeypatch.setattr(RevokeAct, "most", 1)

    response = confirm(signed_in(outsider), address("portal", token), REASON)

    assert response["Location"] == url("installations_portal_change", token.installation.portal_id)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("application", "--app com.example.desk"),
        ("portaluser", "--portal acme.flowlu.com --user 7"),
        ("installation", "--portal acme.flowlu.com --app com.example.desk"),
        ("uninstall", "--portal acme.flowlu.com --app com.example.desk"),
        ("user here", "--portal acme.flowlu.com --app com.example.desk --user 7"),
        ("token", "--token {token}"),
    ],
)
def test_command_for_too_many_names_the_same_place(
    responder: Any, token: OAuthToken, monkeypatch: pytest.MonkeyPatch, kind: str, options: str
) -> None:
    monkeypatch.setattr(RevokeAct, "most", 0)
    here = token.installation_id
    where = {
        "installation": url("installations_installation_revoke", object_id=here),
        "uninstall": url("installations_installation_uninstall", object_id=here),
        "user here": url("installations_installation_revoke_user", object_id=here, user_id=token.portal_user_id),
        "token": url("tokens_oauthtoken_revoke", object_id=token.pk),
    }.get(kind) or address(kind, token)

    page = text(signed_in(responder).get(where))

    assert f"manage.py revoke_tokens {options.format(token=token.pk)} --operator NAME --reason TEXT" in page


def test_user_can_be_locked_with_it(responder: Any, token: OAuthToken, portal_user: PortalUser) -> None:
    response = confirm(signed_in(responder), address("portaluser", token), {**REASON, "also_lock": "on"}, follow=True)

    portal_user.refresh_from_db()
    assert portal_user.locked_at is not None
    assert messages(response) == [
        f"1 token revoked. user 7 of acme.flowlu.com is locked. See revocation #{Revocation.objects.get().pk}."
    ]


# --- By fingerprints or a time ---

BY = "/admin/tokens/oauthtoken/revoke-by/"


def hidden(page: Any) -> dict[str, str]:
    form = page.context["form"]
    return {name: str(form[name].value() or "") for name in ("fingerprints", "stored_before", "portal", "app_id")}


def test_fingerprints_are_looked_at_and_then_cut(responder: Any, token: OAuthToken, elsewhere: Any) -> None:
    client = signed_in(responder)
    assert "Show what would be cut" in text(client.get(BY))
    with nothing_changes():
        page = client.post(BY, {"fingerprints": f"{token.access_fingerprint[:8]}\n00000000\n"})
    assert "1 token" in text(page)
    assert messages(page) == ["1 of the fingerprints is of no token that could be revoked."]
    assert "00000000" not in page.content.decode()

    body = {**hidden(page), **pin(page), **REASON, "confirmed": "yes"}
    response = client.post(BY, body, follow=True)

    assert messages(response) == [f"1 token revoked. See {Revocation.objects.latest('pk')}."]
    assert set(OAuthToken.objects.live()) == set(elsewhere.values())
    assert (last_event().target_kind, Revocation.objects.get().scope) == ("tokens", "fingerprints")


def test_time_is_looked_at_within_its_bounds_and_then_cut(responder: Any, token: OAuthToken, elsewhere: Any) -> None:
    OAuthToken.objects.update(stored_at=timezone.now() - timedelta(days=3))
    client = signed_in(responder)
    named = {"stored_before": f"{timezone.now() - timedelta(days=1):%Y-%m-%d %H:%M}", "portal": "ACME.flowlu.com"}
    page = client.post(BY, named)
    assert "2 tokens" in text(page)

    response = client.post(BY, {**hidden(page), **pin(page), **REASON, "confirmed": "yes"}, follow=True)

    assert messages(response) == [f"2 tokens revoked. See {Revocation.objects.latest('pk')}."]
    assert set(OAuthToken.objects.live()) == {elsewhere["globex"]}


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({}, "Give either fingerprints or a time."),
        ({"fingerprints": "deadbeef", "stored_before": "2026-01-01"}, "Give either fingerprints or a time."),
        ({"fingerprints": "deadbeef"}, "No token that could be revoked has or had one of these fingerprints."),
        ({"fingerprints": "deadbeef\nnot-hex-at-all"}, "Look at line 2."),
        ({"stored_before": "yesterday"}, "Write the time like 2026-11-25 10:15, in UTC."),
        ({"stored_before": "2026-01-01", "portal": "none.flowlu.com"}, "No portal of that name was ever seen here."),
        ({"stored_before": "2026-01-01", "app_id": "none"}, "No application of that appId is registered."),
    ],
)
def test_what_names_nothing_is_said_and_what_was_pasted_is_not_shown_again(
    responder: Any, token: OAuthToken, named: dict[str, str], words: str
) -> None:
    client = signed_in(responder)
    for more in ({}, {"confirmed": "yes", **REASON}):
        with nothing_changes():
            page = client.post(BY, {**named, **more})
        assert words in text(page)
        if len(named) == 1:
            assert "deadbeef" not in page.content.decode()
            assert "not-hex" not in page.content.decode()


def test_list_of_tokens_leads_there_for_who_may(responder: Any, auditor: Any, token: OAuthToken) -> None:
    where = url("tokens_oauthtoken_changelist")

    assert BY in signed_in(responder).get(where).content.decode()
    assert BY not in signed_in(auditor).get(where).content.decode()
    with nothing_changes():
        assert signed_in(auditor).post(BY, {"stored_before": "2099-01-01"}).status_code == 403


def test_page_cuts_what_an_interrupted_run_left_and_what_came_since(
    responder: Any, application: Application, token: OAuthToken, elsewhere: dict[str, OAuthToken]
) -> None:
    target = RevocationTarget.of_application(application.pk)

    def stop(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        revoke_tokens(target=target, batch=1, on_progress=stop, actor=factories.superactor(), reason="A test.")
    late = factories.launch(application, user_id="90")
    factories.token(late.installation, late.portal_user, "late")

    response = confirm(signed_in(responder), address("application", token), REASON, follow=True)

    assert messages(response) == [f"2 tokens revoked. See {Revocation.objects.latest('pk')}."]
    assert set(OAuthToken.objects.live()) == {elsewhere["other"]}


def test_command_for_too_many_is_told_by_how_they_are_named(
    responder: Any, token: OAuthToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RevokeAct, "most", 0)

    page = text(signed_in(responder).post(BY, {"stored_before": "2299-01-01"}))

    assert "manage.py revoke_tokens --fingerprints FILE or --stored-before TIME --operator NAME" in page
