"""PUT and DELETE /api/v1/session/token: only the own user's pair, only the own lineage, never after a revocation."""

from typing import Any

import pytest

from installations.models import Application, AuditEvent, Installation, PortalUser
from installations.services import lock
from tests import factories
from tests.embedded import Frontend
from tests.unchanged import nothing_changes, recorded
from tokens import refusals
from tokens.models import EmbedSession, OAuthToken, Revocation, RevokedFingerprint
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

pytestmark = pytest.mark.django_db(transaction=True)


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_refreshed_pair_replaces_the_one_before_in_its_row(ana: Frontend) -> None:
    ana.open()
    before = OAuthToken.objects.get()
    ana.refresh()

    assert ana.hand_over().status_code == 204

    after = OAuthToken.objects.get()
    assert (after.pk, after.generation) == (before.pk, before.generation + 1)
    assert after.access_fingerprint != before.access_fingerprint
    assert AuditEvent.objects.first().verb == "token.handed_over"  # type: ignore[union-attr]


def test_same_pair_again_is_taken(ana: Frontend) -> None:
    ana.open()

    assert ana.hand_over().status_code == 204
    assert ana.hand_over().status_code == 204
    assert OAuthToken.objects.get().state == "active"


def test_same_pair_again_writes_nothing(ana: Frontend) -> None:
    """A page that hands it over without end fills no trail and moves no generation."""
    ana.open()
    ana.refresh()
    ana.hand_over()

    with nothing_changes():
        for _ in range(3):
            assert ana.hand_over().status_code == 204


def test_same_access_token_with_another_refresh_token_or_expiry_is_stored(ana: Frontend) -> None:
    Application.objects.update(stores_refresh_tokens=True)
    ana.open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    generation = OAuthToken.objects.get().generation

    ana.put("session/token", {"access_token": ana.access_token, "refresh_token": ana.pair.refresh_token})
    ana.put("session/token", {"access_token": ana.access_token, "refresh_token": ana.pair.refresh_token})
    assert OAuthToken.objects.get().generation == generation + 1
    assert OAuthToken.objects.get().sealed_refresh_token is not None
    ana.put("session/token", {"access_token": ana.access_token, "expires_at": "2099-01-01 00:00:00"})
    assert OAuthToken.objects.get().generation == generation + 2


def test_token_of_another_user_is_refused_and_changes_nothing(ana: Frontend) -> None:
    ana.open()
    before = OAuthToken.objects.values().get()
    other = ana.sandbox.state.issue_tokens("acme", "3")

    assert error(ana.put("session/token", {"access_token": other.access_token})) == (409, "user_mismatch")
    assert OAuthToken.objects.values().get() == before


def test_token_of_another_portal_is_refused(ana: Frontend) -> None:
    ana.open()
    other = ana.sandbox.state.issue_tokens("globex", "2")

    assert error(ana.put("session/token", {"access_token": other.access_token})) == (401, "invalid_token")


def test_other_session_on_the_same_token_does_not_gain_the_new_one(ana: Frontend) -> None:
    ana.open()
    second = Frontend(ana.api, ana.sandbox, ana.portal)
    second.pair = ana.pair
    second.open()
    assert OAuthToken.objects.count() == 1

    ana.refresh()
    assert ana.hand_over().status_code == 204

    rows = {session.pk: session.oauth_token_id for session in EmbedSession.objects.all()}
    assert len(set(rows.values())) == 2


def test_nothing_is_taken_after_a_revocation(ana: Frontend) -> None:
    ana.open()
    revoke_tokens(
        target=RevocationTarget.of_installation(Installation.objects.get().pk),
        actor=factories.superactor(),
        reason="A test.",
    )
    ana.refresh()

    assert error(ana.hand_over()) == (401, "token_revoked")
    assert OAuthToken.objects.get().state == "revoked"
    assert ana.handshake().status_code == 201  # a page reload is a new launch with a new token


def test_revoked_token_is_refused_everywhere(ana: Frontend) -> None:
    ana.open()
    second = Frontend(ana.api, ana.sandbox, ana.portal).open()
    revoked = ana.access_token
    assert ana.delete("session/token").status_code == 204

    assert error(ana.handshake()) == (401, "token_revoked")
    assert error(second.put("session/token", {"access_token": revoked})) == (401, "token_revoked")
    assert error(ana.handshake(portal="globex.flowlu.com")) == (401, "token_revoked")


def test_user_revokes_only_what_the_own_session_lives_on(ana: Frontend) -> None:
    ana.open()
    second = Frontend(ana.api, ana.sandbox, ana.portal).open()

    assert ana.delete("session/token").status_code == 204
    assert ana.delete("session/token").status_code == 204

    assert error(ana.accounts()) == (401, "token_revoked")
    assert error(second.accounts()) == (403, "insufficient_scope")
    assert RevokedFingerprint.objects.count() == 1
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.verb, event.actor_id) == ("tokens.revoked", "acme.flowlu.com/2")


def test_locked_user_hands_nothing_over(ana: Frontend) -> None:
    ana.open()
    lock(target=PortalUser.objects.get(), actor=factories.superactor(), reason="A test.")
    ana.refresh()
    ana.sandbox.state.clear_requests()

    assert error(ana.hand_over()) == (403, "user_locked")
    assert ana.sandbox.state.requests() == []


def test_malformed_pair_names_the_field(ana: Frontend) -> None:
    ana.open()

    assert ana.put("session/token", {}).json()["fields"] == {"access_token": "This field is required."}


def test_revoked_pair_that_comes_back_is_refused_counted_and_reported(ana: Frontend) -> None:
    ana.open()
    revoke_tokens(
        target=RevocationTarget.of_installation(Installation.objects.get().pk),
        actor=factories.superactor(),
        reason="A test.",
    )

    assert error(ana.handshake()) == error(ana.hand_over()) == (401, "token_revoked")

    assert Revocation.objects.get().handed_in_again == 2
    assert [event for event in recorded() if event == "token.handed_in_again"] == ["token.handed_in_again"]


def test_refused_call_is_the_proof_of_the_cut(ana: Frontend) -> None:
    ana.open()
    revoke_tokens(
        target=RevocationTarget.of_installation(Installation.objects.get().pk),
        actor=factories.superactor(),
        reason="A test.",
    )
    row = Revocation.objects.get()
    assert ana.get("session").status_code == 200  # told, not refused
    refusals.flush()
    row.refresh_from_db()
    assert row.first_refused_at is None

    assert ana.accounts().json()["error"] == "token_revoked"

    refusals.flush()
    row.refresh_from_db()
    assert row.first_refused_at >= row.cut_at
