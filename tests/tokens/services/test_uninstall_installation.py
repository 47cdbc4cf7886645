"""Uninstalling: everything of the installation is cut in one act, and nothing of it comes back."""

import pytest

from installations.errors import NotPermitted, ReasonRequired, StateConflict
from installations.models import Application, Evidence, Installation, Liveness
from installations.services import suspend_installation
from tests import factories
from tests.embedded import Frontend
from tests.unchanged import last_event, nothing_changes, recorded
from tokens import observations
from tokens.models import OAuthToken
from tokens.selectors import is_revoked
from tokens.services.revocation import uninstall_installation

ACTOR = factories.superactor()


def uninstall(installation, actor=ACTOR, reason="Gone."):
    return uninstall_installation(installation_id=installation.pk, actor=actor, reason=reason)


def token(record, access_token="an-access-token"):
    return factories.token(record.installation, record.portal_user, access_token)


def test_installation_is_uninstalled_with_its_time_and_evidence(record):
    uninstall(record.installation)

    found = Installation.objects.get()
    assert found.status == "uninstalled"
    assert found.uninstalled_at is not None
    assert Evidence.objects.order_by("pk").last().kind == "operator_statement"


def test_every_token_is_revoked(application, record):
    bea = factories.launch(application, user_id="8", name="Bea")
    token(record, "mine")
    token(bea, "hers")

    result = uninstall(record.installation)

    assert (result.tokens_cut, OAuthToken.objects.live().count()) == (2, 0)
    assert is_revoked("mine") is is_revoked("hers") is True


def test_revocation_and_uninstallation_are_both_recorded(record, responder, responding):
    token(record)

    uninstall(record.installation, responding, "The customer left.")

    event = last_event()
    assert recorded()[-2:] == ["tokens.revoked", "installation.uninstalled"]
    assert (event.target_kind, event.target_id) == ("installation", str(record.installation.pk))
    assert (event.installation_id, event.reason) == (record.installation.pk, "The customer left.")
    assert event.actor_id == str(responder.pk)
    assert event.details == {"from": "pending_approval", "tokens_cut": 1}


def test_installation_without_tokens_has_one_event_and_no_ledger_row(record):
    result = uninstall(record.installation)

    assert (result.tokens_cut, result.revocation) == (0, None)
    assert recorded()[1:] == ["installation.uninstalled"]


@pytest.mark.parametrize("status", ["active", "suspended"])
def test_active_or_suspended_installation_is_uninstalled(application, status):
    found = factories.installation(application, approved=["fin.read"])
    if status == "suspended":
        suspend_installation(installation_id=found.pk, actor=ACTOR, reason="For a test.")

    uninstall(found)

    found.refresh_from_db()
    assert found.status == "uninstalled"
    assert last_event().details["from"] == status


def test_uninstalling_again_changes_nothing(record):
    uninstall(record.installation)

    with nothing_changes():
        assert uninstall(record.installation) is None


def test_other_installations_stay(application, record):
    there = factories.launch(application, portal="globex.flowlu.com")
    row = token(there)

    uninstall(record.installation)

    row.refresh_from_db()
    there.installation.refresh_from_db()
    assert (row.state, there.installation.status) == ("active", "pending_approval")


def test_lock_stays_for_the_next_generation(record):
    Installation.objects.update(locked_at="2026-04-01T00:00:00Z")

    uninstall(record.installation)

    assert Installation.objects.get().locked_at is not None


def test_missing_installation_is_a_conflict(record):
    with nothing_changes(), pytest.raises(StateConflict, match="no such installation"):
        uninstall_installation(installation_id=0, actor=ACTOR, reason="Gone.")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_reason_is_required(record, reason):
    token(record)

    with nothing_changes(), pytest.raises(ReasonRequired):
        uninstall(record.installation, reason=reason)


def test_actor_without_the_permission_is_refused(record, unpermitted):
    token(record)

    with nothing_changes(), pytest.raises(NotPermitted):
        uninstall(record.installation, unpermitted)


def test_reviewer_may_not_uninstall(record, reviewing):
    with nothing_changes(), pytest.raises(NotPermitted):
        uninstall(record.installation, reviewing)


@pytest.mark.django_db(transaction=True)
def test_confirmed_removal_closes_what_is_open_and_a_launch_begins_anew_without_approvals(
    ana: Frontend, application: Application
) -> None:
    ana.open()
    here = Installation.objects.get()
    factories.approve(here, "crm.accounts.read")
    factories.suspect(here)
    assert ana.accounts().status_code == 200

    uninstall_installation(installation_id=here.pk, actor=factories.superactor(), reason="Their word.")

    assert ana.accounts().json()["error"] == "token_revoked"
    assert ana.handshake().json()["error"] == "token_revoked"
    again = Frontend(ana.api, ana.sandbox, "acme.flowlu.com").open()
    assert again.accounts().json()["error"] == "insufficient_scope"
    new = Installation.objects.live().get()
    assert (new.generation, new.status, new.approved_permissions.count()) == (2, "pending_approval", 0)
    observations.flush()  # the call before the removal, noted and written late
    assert dict(Liveness.objects.values_list("pk", "state")) == {here.pk: "confirmed_removed", new.pk: "seen"}
    assert list(new.evidence.values_list("kind", flat=True)) == ["launch"]
