"""Approving on the page of an installation."""

from datetime import timedelta
from typing import Any

import pytest

from installations import editions
from installations.approving import in_force_digest
from installations.four_columns import utc_today
from installations.models import Application, Installation
from installations.services import approve_scopes
from tests import factories
from tests.installations.admin.console import messages, signed_in, text, url
from tests.unchanged import last_event, nothing_changes, recorded
from tokens.services.revocation import uninstall_installation


def address(installation: Installation) -> str:
    return url("installations_installation_approve", object_id=installation.pk)


def answer(installation: Installation, reason: str = "Agreed with the customer.", **chosen: str) -> dict[str, str]:
    scopes = {f"scope-{code.replace('_', '.')}": scope for code, scope in chosen.items()}
    seen = {
        "seen_manifest": installation.manifest.sha256,
        "seen_in_force": in_force_digest(installation.approved_permissions.in_force()),
        "seen_catalogue": editions.in_force().version,
    }
    return {**seen, "reason": reason, **scopes}


def test_chosen_scopes_are_approved_and_the_installation_becomes_active(reviewer: Any, pending: Installation) -> None:
    # when
    response = signed_in(reviewer).post(
        address(pending), answer(pending, crm_accounts="crm.accounts.read", fin="fin.read"), follow=True
    )

    # then
    pending.refresh_from_db()
    assert response.redirect_chain == [(url("installations_installation_change", pending.pk), 302)]
    assert messages(response) == ["Approved: crm.accounts.read, fin.read. The installation is active now."]
    assert pending.status == Installation.Status.ACTIVE
    assert last_event().verb == "scopes.approved"
    assert last_event().actor_name == "reviewer"
    assert last_event().via == "admin"
    assert last_event().reason == "Agreed with the customer."


def test_page_explains_each_scope_and_offers_no_level_above_the_requested_one(
    reviewer: Any, pending: Installation
) -> None:
    page = signed_in(reviewer).get(address(pending))

    assert "CRM organisations and contacts" in text(page)
    assert b'value="crm.accounts.full"' in page.content
    assert b'value="crm.deals.read"' in page.content
    assert b'value="crm.deals.full"' not in page.content


def test_unknown_scope_is_shown_and_cannot_be_chosen(reviewer: Any, db: None) -> None:
    # given
    application = factories.application(
        "com.example.odd", permissions=["crm.cоntacts.read", "nothing.read", "task.read"]
    )
    installation = factories.installation(application)
    client = signed_in(reviewer)

    # when
    page = client.get(address(installation))
    with nothing_changes():
        client.post(address(installation), answer(installation, nothing="nothing.read"))

    # then
    assert "Cannot be approved" in text(page)
    assert "crm.c \\u043E ntacts.read" in text(page)
    assert b'value="nothing.read"' not in page.content


def test_missing_reason_keeps_the_choice(reviewer: Any, pending: Installation) -> None:
    with nothing_changes():
        response = signed_in(reviewer).post(address(pending), answer(pending, reason="  ", fin="fin.read"))

    assert response.status_code == 200
    assert "Give a reason of 1 to 1000 characters" in text(response)
    assert 'value="fin.read" id="id_scope-fin_1" checked' in response.content.decode()


def test_nothing_chosen_is_said_and_keeps_the_reason(reviewer: Any, pending: Installation) -> None:
    with nothing_changes():
        response = signed_in(reviewer).post(address(pending), answer(pending))

    assert "Choose at least one scope to approve" in text(response)
    assert "Agreed with the customer." in response.content.decode()


def test_manifest_that_was_replaced_meanwhile_stops_the_decision(
    reviewer: Any, application: Application, pending: Installation
) -> None:
    # given
    client, values = signed_in(reviewer), answer(pending, fin="fin.read")
    factories.application(version="2.0.0", permissions=["fin.full", "task.read"])

    # when
    with nothing_changes():
        response = client.post(address(pending), values)

    # then
    assert "manifest was replaced while you were reading it" in text(response)


def test_what_is_in_force_is_left_alone_unless_another_level_is_chosen(reviewer: Any, active: Installation) -> None:
    # given
    client = signed_in(reviewer)
    assert "leave as it is: read is approved" in text(client.get(address(active)))

    # when
    client.post(address(active), answer(active, crm_accounts="crm.accounts.full"))

    # then
    in_force = sorted(str(row) for row in active.approved_permissions.in_force())
    assert in_force == ["crm.accounts.full", "task.read"]


def test_second_of_two_submits_changes_nothing(reviewer: Any, pending: Installation) -> None:
    client, values = signed_in(reviewer), answer(pending, fin="fin.read")
    client.post(address(pending), values)

    with nothing_changes():
        response = client.post(address(pending), values, follow=True)

    assert messages(response)[-1] == "Nothing changed: fin.read was approved already."


def test_uninstalled_installation_is_refused_with_the_reason_of_the_verb(reviewer: Any, pending: Installation) -> None:
    client, values = signed_in(reviewer), answer(pending, fin="fin.read")
    uninstall_installation(installation_id=pending.pk, actor=factories.superactor(), reason="For a test.")

    with nothing_changes():
        response = client.post(address(pending), values)

    assert "This installation is uninstalled." in text(response)


@pytest.mark.parametrize("role", ["auditor", "responder", "outsider"])
def test_without_the_permission_nothing_is_shown_or_done(
    request: pytest.FixtureRequest, pending: Installation, role: str
) -> None:
    client = signed_in(request.getfixturevalue(role))

    with nothing_changes():
        assert client.get(address(pending)).status_code == 403
        assert client.post(address(pending), answer(pending, fin="fin.read")).status_code == 403

    assert "scopes.approved" not in recorded()


def test_unknown_installation_is_404(reviewer: Any) -> None:
    assert signed_in(reviewer).get(url("installations_installation_approve", object_id=10**9)).status_code == 404


def test_swallowing_is_explained(reviewer: Any) -> None:
    # given
    application = factories.application("com.example.crm", permissions=["crm.read", "crm.accounts.full"])
    installation = factories.installation(application)
    client = signed_in(reviewer)
    assert "If crm is approved as well, crm decides" in text(client.get(address(installation)))

    # when
    approve_scopes(
        installation_id=installation.pk, requested=["crm.read"], actor=factories.superactor(), reason="For a test."
    )

    # then
    assert "Swallowed by crm, which is approved" in text(client.get(address(installation)))


def test_page_says_by_when_each_is_reviewed_and_takes_an_earlier_day(reviewer: Any, pending: Installation) -> None:
    client = signed_in(reviewer)
    day = utc_today() + timedelta(days=7)
    shown = text(client.get(address(pending)))
    assert f"approve read, review by {utc_today() + timedelta(days=180)}" in shown
    assert f"approve full, review by {utc_today() + timedelta(days=90)}" in shown
    assert "Next review on an earlier day" in shown

    with nothing_changes():
        later = client.post(address(pending), {**answer(pending, fin="fin.read"), "review_by": "2099-01-01"})
    assert "fin.read is of high risk, so it is reviewed by" in text(later)
    client.post(address(pending), {**answer(pending, fin="fin.read"), "review_by": str(day)})

    assert pending.approved_permissions.get().review_by == day
