"""Revoking one token, and those that were ticked in the list."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from installations.models import PortalUser
from tests import factories
from tests.installations.admin.console import confirm, messages, pin, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.models import OAuthToken, Revocation

REASON = {"reason": "It was seen in a log."}


def address(token: OAuthToken) -> str:
    return url("tokens_oauthtoken_revoke", object_id=token.pk)


def test_one_token_is_revoked_and_the_others_stay(responder: Any, token: OAuthToken, portal_user: PortalUser) -> None:
    # given
    other = factories.token(token.installation, portal_user, "another-token")
    client = signed_in(responder)
    page = text(client.get(address(token)))
    for words in ("What stops", "What does not stop", "JS SDK go on", "Also lock this user"):
        assert words in page

    # when
    response = confirm(client, address(token), REASON, follow=True)

    # then
    token.refresh_from_db()
    other.refresh_from_db()
    portal_user.refresh_from_db()
    assert token.state == OAuthToken.State.REVOKED
    assert other.state == OAuthToken.State.ACTIVE
    assert portal_user.locked_at is None
    assert response.redirect_chain == [(url("tokens_oauthtoken_change", token.pk), 302)]
    assert messages(response) == [f"1 token revoked. See {Revocation.objects.latest('pk')}."]
    assert (last_event().verb, last_event().target_id) == ("tokens.revoked", str(token.pk))


def test_lock_is_offered_only_to_who_may_lock(token: OAuthToken) -> None:
    # given
    revoker = factories.operator("revoker", "Auditor")
    revoker.user_permissions.add(Permission.objects.get(codename="revoke_oauthtoken"))

    # when
    client = signed_in(revoker)
    page = text(client.get(address(token)))
    confirm(client, address(token), {**REASON, "also_lock": "on"})

    # then
    assert "Also lock this user" not in page
    assert recorded()[-1] == "tokens.revoked"


def test_user_is_locked_first_even_where_the_tokens_changed_since(
    responder: Any, token: OAuthToken, portal_user: PortalUser
) -> None:
    """Somebody who opens sessions without end must not hold off the lock together with the cut."""
    where = url("installations_installation_revoke_user", object_id=token.installation_id, user_id=portal_user.pk)
    client = signed_in(responder)
    shown = pin(client.get(where))
    factories.token(token.installation, portal_user, "opened-meanwhile")

    page = client.post(where, {**shown, **REASON, "also_lock": "on"})

    portal_user.refresh_from_db()
    assert portal_user.locked_at is not None
    assert "Then 1, now 2: 1 came" in text(page)
    assert "user 7 of acme.flowlu.com is locked." in text(page)
    again = confirm(client, where, REASON, follow=True)
    assert messages(again) == [f"2 tokens revoked. See {Revocation.objects.latest('pk')}."]


def test_missing_reason_keeps_the_tick(responder: Any, token: OAuthToken) -> None:
    with nothing_changes():
        response = signed_in(responder).post(address(token), {"reason": " ", "also_lock": "on"})

    assert "Give a reason of 1 to 1000 characters" in text(response)
    assert 'id="id_also_lock"' in response.content.decode()
    assert "checked" in response.content.decode()


@pytest.mark.parametrize("role", ["auditor", "reviewer", "outsider"])
def test_without_the_permission_nothing_is_shown_or_done(
    request: pytest.FixtureRequest, token: OAuthToken, role: str
) -> None:
    client = signed_in(request.getfixturevalue(role))
    with nothing_changes():
        assert client.get(address(token)).status_code == 403
        assert client.post(address(token), REASON).status_code == 403


def test_second_of_two_submits_says_that_nothing_was_left(responder: Any, token: OAuthToken) -> None:
    client = signed_in(responder)
    body = {**REASON, **pin(client.get(address(token)))}
    client.post(address(token), body)
    with nothing_changes():
        response = client.post(address(token), body, follow=True)

    assert messages(response)[-1] == "There was nothing left to revoke."


def test_ticked_tokens_are_revoked_as_one_act_after_a_confirmation(
    responder: Any, token: OAuthToken, portal_user: PortalUser
) -> None:
    # given
    other = factories.token(token.installation, portal_user, "another-token")
    left = factories.token(token.installation, portal_user, "not-ticked")
    client, ticked = signed_in(responder), {"action": "revoke_selected", "_selected_action": [token.pk, other.pk]}
    with nothing_changes():
        page = client.post(url("tokens_oauthtoken_changelist"), {**ticked, "select_across": "0"})
    assert "What does not stop" in text(page)
    assert "2 tokens" in text(page)

    # when
    confirmed = {**ticked, **REASON, **pin(page), "confirmed": "yes", "index": "0"}
    response = client.post(url("tokens_oauthtoken_changelist"), confirmed, follow=True)

    # then
    assert messages(response) == [
        f"2 tokens revoked, 0 skipped (revoked already). See revocation #{Revocation.objects.get().pk}."
    ]
    assert recorded().count("tokens.revoked") == 1
    assert set(Revocation.objects.get().tokens.all()) == {token, other}
    left.refresh_from_db()
    assert left.state == OAuthToken.State.ACTIVE


def test_ticked_tokens_without_a_reason_are_left_alone(responder: Any, token: OAuthToken) -> None:
    values = {"action": "revoke_selected", "_selected_action": [token.pk], "confirmed": "yes", "reason": ""}
    with nothing_changes():
        response = signed_in(responder).post(url("tokens_oauthtoken_changelist"), values)

    assert "Give a reason of 1 to 1000 characters" in text(response)


def test_revoked_ones_among_the_ticked_are_skipped(responder: Any, token: OAuthToken, portal_user: PortalUser) -> None:
    client = signed_in(responder)
    confirm(client, address(token), REASON)
    other = factories.token(token.installation, portal_user, "another-token")
    values = {"action": "revoke_selected", "_selected_action": [token.pk, other.pk], **REASON}
    page = client.post(url("tokens_oauthtoken_changelist"), values)

    response = client.post(
        url("tokens_oauthtoken_changelist"), {**values, **pin(page), "confirmed": "yes"}, follow=True
    )

    assert (
        f"1 token revoked, 1 skipped (revoked already). See revocation #{Revocation.objects.latest('pk').pk}."
        in messages(response)
    )


@pytest.mark.parametrize("role", ["auditor", "reviewer"])
def test_bulk_action_without_the_permission_does_nothing(
    request: pytest.FixtureRequest, token: OAuthToken, role: str
) -> None:
    values = {"action": "revoke_selected", "_selected_action": [token.pk], "confirmed": "yes", **REASON}
    client = signed_in(request.getfixturevalue(role))
    with nothing_changes():
        client.post(url("tokens_oauthtoken_changelist"), values)

    assert "Revoke selected tokens" not in text(client.get(url("tokens_oauthtoken_changelist")))


def test_ledger_says_in_words_what_was_cut_and_what_was_not(responder: Any, token: OAuthToken) -> None:
    client = signed_in(responder)
    confirm(client, address(token), REASON)
    token.refresh_from_db()

    page = text(client.get(url("tokens_revocation_change", token.revocation_id)))

    assert "1 token was cut (one token)." in page
    assert "Nothing was revoked at Flowlu: it documents no way to, or nothing was stored" in page
    assert "for at least one no expiry was told" in page
