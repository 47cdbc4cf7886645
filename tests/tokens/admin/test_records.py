"""Sessions and the ledger: what is open, what is over, and what is known of Flowlu's side."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests import factories
from tests.installations.admin.console import messages, pin, signed_in, text, url
from tests.unchanged import nothing_changes
from tokens.models import EmbedSession, OAuthToken
from tokens.selectors import hash_session_token
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget


def session(token: OAuthToken, name: str, **columns: Any) -> EmbedSession:
    values = {"expires_at": timezone.now() + timedelta(hours=8)} | columns
    return EmbedSession.objects.create(token_hash=hash_session_token(name), oauth_token=token, **values)


@pytest.fixture
def sessions(token: OAuthToken, portal_user: Any) -> dict[str, EmbedSession]:
    """One session in each state."""
    cut = factories.token(token.installation, portal_user, "cut-token")
    found = {
        "open": session(token, "open"),
        "ended": session(token, "ended", ended_at=timezone.now()),
        "over": session(token, "over", expires_at=timezone.now() - timedelta(seconds=1)),
        "cut: token revoked": session(cut, "cut"),
    }
    revoke_tokens(target=RevocationTarget.of_token(cut.pk), actor=factories.superactor(), reason="A test.")
    return found


@pytest.mark.parametrize(
    ("query", "states"),
    [
        ({}, {"open", "ended", "over", "cut: token revoked"}),
        ({"state": "open"}, {"open"}),
        ({"state": "over"}, {"ended", "over", "cut: token revoked"}),
    ],
    ids=["all", "open", "over"],
)
def test_list_of_sessions_is_filtered_by_what_they_are_worth(
    auditor: Any, sessions: dict[str, EmbedSession], query: dict[str, str], states: set[str]
) -> None:
    page = signed_in(auditor).get(url("tokens_embedsession_changelist"), query)

    assert {row.pk for row in page.context["cl"].result_list} == {sessions[state].pk for state in states}
    for state in states:
        assert state in text(page)


def test_ledger_says_until_when_a_token_may_live_at_flowlu(auditor: Any, token: OAuthToken, portal_user: Any) -> None:
    OAuthToken.objects.update(expires_at=datetime(2031, 2, 3, 4, 5, tzinfo=UTC))
    cut = revoke_tokens(
        target=RevocationTarget.of_installation(token.installation_id), actor=factories.superactor(), reason="A test."
    )
    assert cut.revocation is not None

    page = text(signed_in(auditor).get(url("tokens_revocation_change", cut.revocation.pk)))

    assert "By what the page told they expire at 2031-02-03 04:05 UTC ; not checked" in page


def test_more_than_can_be_read_through_are_not_revoked_at_once(
    responder: Any, token: OAuthToken, monkeypatch: pytest.MonkeyPatch, portal_user: Any
) -> None:
    monkeypatch.setattr("tokens.admin.oauth_tokens._AT_ONCE", 1)
    factories.token(token.installation, portal_user, "another-token")
    ticked = [row.pk for row in OAuthToken.objects.all()]
    values = {"action": "revoke_selected", "_selected_action": ticked, "confirmed": "yes", "reason": "A test."}

    with nothing_changes():
        response = signed_in(responder).post(url("tokens_oauthtoken_changelist"), values, follow=True)

    assert messages(response) == [
        "Choose at most 1 tokens at once. To cut more, use the page of an installation or portal."
    ]


def test_ticked_tokens_that_are_all_revoked_leave_nothing_to_do(responder: Any, token: OAuthToken) -> None:
    revoke_tokens(target=RevocationTarget.of_token(token.pk), actor=factories.superactor(), reason="A test.")

    with nothing_changes():
        response = signed_in(responder).post(
            url("tokens_oauthtoken_changelist"),
            {"action": "revoke_selected", "_selected_action": [token.pk]},
            follow=True,
        )

    assert messages(response) == ["There was nothing left to revoke."]


def test_ticked_tokens_that_changed_since_are_shown_again(responder: Any, token: OAuthToken, portal_user: Any) -> None:
    client, where = signed_in(responder), url("tokens_oauthtoken_changelist")
    other = factories.token(token.installation, portal_user, "another-token")
    ticked = {"action": "revoke_selected", "_selected_action": [token.pk, other.pk]}
    seen = pin(client.post(where, ticked))
    revoke_tokens(target=RevocationTarget.of_token(other.pk), actor=factories.superactor(), reason="A test.")

    with nothing_changes():
        page = client.post(where, {**ticked, **seen, "confirmed": "yes", "reason": "A test."})

    # What was revoked meanwhile is skipped, so that other tokens than were shown are about to be cut.
    assert "Nothing was cut: the tokens changed since you looked." in text(page)
