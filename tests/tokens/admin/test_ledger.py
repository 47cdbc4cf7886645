"""The ledger's list and page: each fact for itself, in plain words."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests import factories
from tests.installations.admin.console import messages, signed_in, text, url
from tests.unchanged import nothing_changes, recorded
from tokens.models import OAuthToken, Revocation
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget


@pytest.fixture
def row(token: OAuthToken) -> Revocation:
    target = RevocationTarget.of_portal(token.installation.portal_id)
    found = revoke_tokens(target=target, actor=factories.superactor(), reason="It was seen in a log.").revocation
    assert found is not None
    return found


def page(user: Any, row: Revocation, **columns: Any) -> str:
    Revocation.objects.filter(pk=row.pk).update(**columns)
    return text(signed_in(user).get(url("tokens_revocation_change", row.pk)))


def test_page_says_each_fact_for_itself(auditor: Any, row: Revocation) -> None:
    shown = page(auditor, row)

    for words in (
        "What was aimed at acme.flowlu.com",
        "1 token was cut (all tokens of one portal).",
        "None yet: no call came since, and nothing was asked after the commit.",
        "Nothing was revoked at Flowlu: it documents no way to.",
        "Until when they are valid there is unknown: for at least one no expiry was told.",
        "open Ask the portal's administrator to take the access away at Flowlu",
        "Handed in again Never.",
        "Why It was seen in a log.",
    ):
        assert words in shown


def test_proof_is_a_call_or_a_probe_with_its_time_from_the_click(auditor: Any, row: Revocation) -> None:
    assert row.asked_at is not None
    probed = {"probe": "refused", "probed_at": row.asked_at + timedelta(milliseconds=48)}

    shown = page(auditor, row, **probed)
    assert "a probe was refused after 48 ms" in shown
    assert "as a call does: refused, 48 ms after it was confirmed." in shown

    shown = page(auditor, row, first_refused_at=row.asked_at + timedelta(seconds=31.04))
    assert "a call was refused after 31.0 s" in shown
    assert "refused, 48 ms after it was confirmed." in shown

    shown = page(auditor, row, first_refused_at=row.asked_at + timedelta(hours=3), asked_at=None)
    assert "a call was refused" in shown
    assert "after it was confirmed" not in shown


def test_probe_that_was_let_in_comes_first(auditor: Any, row: Revocation) -> None:
    shown = page(auditor, row, probe="let_in", probed_at=timezone.now(), first_refused_at=timezone.now())

    assert "a probe was let in" in shown
    assert "Lock what was aimed at, now, and report it." in shown


def test_run_that_is_not_finished_says_how_to_go_on(auditor: Any, row: Revocation) -> None:
    shown = page(auditor, row, state="running", tokens_expected=40_000, tokens_cut=20_000)

    assert "not finished: 20,000 of 40,000" in shown
    assert f"manage.py revoke_tokens --resume {row.pk}." in shown


def test_expiry_at_flowlu_is_said_where_it_is_known(auditor: Any, row: Revocation) -> None:
    later = timezone.now() + timedelta(hours=1)
    assert f"They may be valid there until {later:%Y-%m-%d} {later:%H:%M} UTC" in page(
        auditor, row, possibly_alive_until=later
    )
    before = timezone.now() - timedelta(hours=1)
    assert "no longer The last one expired there at" in page(auditor, row, possibly_alive_until=before)


def test_handed_in_again_is_counted_on_the_page(auditor: Any, row: Revocation) -> None:
    at = timezone.now()

    assert "3 times, last at" in page(auditor, row, handed_in_again=3, handed_in_again_at=at)


def test_responder_records_the_step_at_the_portal_once(responder: Any, row: Revocation) -> None:
    client, where = signed_in(responder), url("tokens_revocation_portal_step", object_id=row.pk)
    assert "by removing the application from the portal" in text(client.get(where))
    assert "Who did what, and how you know" in text(client.get(where))

    response = client.post(where, {"reason": "Their admin removed it, by mail."}, follow=True)

    row.refresh_from_db()
    assert (row.portal_step, recorded()[-1]) == ("done", "revocation.portal_step_done")
    assert messages(response) == ["Recorded that the portal's administrator took the access away."]
    assert "As responder recorded at" in text(response)
    assert "Their admin removed it, by mail." in text(response)
    with nothing_changes():
        again = client.post(where, {"reason": "Again."}, follow=True)
    assert messages(again) == ["Nothing changed: it was recorded already."]


def test_list_can_show_the_open_steps_only(auditor: Any, row: Revocation) -> None:
    client = signed_in(auditor)
    where = url("tokens_revocation_changelist")

    assert str(row) in text(client.get(where, {"portal_step__exact": "open"}))
    assert str(row) not in text(client.get(where, {"portal_step__exact": "done"}))
    assert client.get(where, {"target__contains": "x"}).status_code == 400
