"""The list of the trail says how the chain stands; its export is explained, recorded and streamed."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from installations import audit
from installations.admin import audit_trail
from installations.audit_files import ExportReader
from installations.errors import NotPermitted
from installations.models import AuditEvent, Installation, PortalUser
from installations.trail.pruning import prune_audit
from tests import factories
from tests.installations.admin.console import signed_in, text, url
from tests.tampering import TABLE, as_owner
from tests.unchanged import last_event, nothing_changes, recorded

pytestmark = pytest.mark.django_db
LIST, EXPORT = "installations_auditevent_changelist", "installations_auditevent_export"


def body(response: Any) -> bytes:
    assert response.streaming
    return b"".join(response.streaming_content)


def test_list_says_that_the_chain_was_never_verified_or_anchored(active: Installation, auditor: Any) -> None:
    page = text(signed_in(auditor).get(url(LIST)))
    assert "Chain 2 events" in page
    assert "Verified never. Run manage.py verify_audit" in page
    assert "Anchored never. Without an anchor a cut-off end would not show" in page
    assert "run manage.py anchor_audit --file FILE" in page


def test_list_names_the_command_that_anchors_where_the_settings_say(
    active: Installation, auditor: Any, settings: Any
) -> None:
    settings.AUDIT_ANCHOR_FILE = "/elsewhere/anchors.jsonl"
    page = text(signed_in(auditor).get(url("installations_auditevent_changelist")))
    assert "run manage.py anchor_audit" in page
    assert "--file" not in page


def test_list_says_when_it_was_verified_and_anchored(active: Installation, auditor: Any, tmp_path: Path) -> None:
    call_command("verify_audit", stdout=io.StringIO())
    call_command("anchor_audit", "--file", str(tmp_path / "anchors.jsonl"), stdout=io.StringIO())
    page = text(signed_in(auditor).get(url(LIST)))
    assert "Verified intact 20" in page
    assert "UTC up to number 2" in page
    assert "UTC , number 3 in anchors.jsonl" in page


def test_list_says_that_it_is_broken(active: Installation, auditor: Any) -> None:
    with as_owner() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET reason = 'Edited.' WHERE sequence = 1")
        with pytest.raises(Exception, match="BROKEN"):
            call_command("verify_audit", stdout=io.StringIO(), stderr=io.StringIO())
        assert "Verified broken: 1 finding 20" in text(signed_in(auditor).get(url(LIST)))


def test_cost_of_the_state_does_not_grow(
    active: Installation, auditor: Any, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(auditor)
    # Five of them count the choices of the filters.
    with django_assert_max_num_queries(21):
        client.get(url(LIST))


def test_page_explains_and_only_who_may_is_offered_it(active: Installation, auditor: Any, responder: Any) -> None:
    where = url(EXPORT)
    assert where in signed_in(auditor).get(url(LIST)).content.decode()
    assert where not in signed_in(responder).get(url(LIST)).content.decode()
    with nothing_changes():
        page = text(signed_in(auditor).get(where))
    assert "You get a file with every event: 2 events and the one of this export." in page
    assert "it cannot be verified" in page


def test_export_is_recorded_and_verifies(active: Installation, auditor: Any) -> None:
    response = signed_in(auditor).post(url(EXPORT), {"format": "jsonl", "reason": "The yearly audit."})
    assert recorded()[-1] == "audit.exported", "before the first byte"
    assert response["Content-Disposition"] == 'attachment; filename="audit-1-3.jsonl"'
    assert (response["Content-Type"], response["Cache-Control"]) == ("application/jsonl", "no-store")
    reader = ExportReader(io.BytesIO(body(response)), audit.audit_keys())
    assert (list(reader), reader.events) == ([], 3)
    assert (last_event().actor_name, last_event().via, last_event().reason) == ("auditor", "admin", "The yearly audit.")


def test_csv_is_text_for_a_spreadsheet(active: Installation, auditor: Any) -> None:
    response = signed_in(auditor).post(url(EXPORT), {"format": "csv", "reason": "=1+1"})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert b",'=1+1," in body(response)


@pytest.mark.parametrize("data", [{}, {"format": "csv"}, {"format": "xml", "reason": "x"}, {"reason": "x"}])
def test_form_that_is_not_filled_in_exports_nothing(active: Installation, auditor: Any, data: dict[str, str]) -> None:
    client = signed_in(auditor)
    with nothing_changes():
        response = client.post(url(EXPORT), data)
    assert (response.status_code, response.streaming) == (200, False)


def test_portal_user_is_erased_on_their_page(portal_user: PortalUser, token: Any, responder: Any) -> None:
    client = signed_in(responder)
    page = url("installations_portaluser_change", portal_user.pk)
    where = url("installations_portaluser_erase", object_id=portal_user.pk)
    assert where in client.get(page).content.decode()
    assert "The audit trail stays as it is" in text(client.get(where))

    response = client.post(where, {"reason": "They asked."}, follow=True)

    assert "Erased. 1 token revoked, 0 sessions ended." in text(response)
    assert "Ana Ruiz" not in response.content.decode()
    assert where not in response.content.decode()
    assert last_event().verb == "portaluser.erased"
    factories.launch(token.installation.application)
    assert where in client.get(page).content.decode()
    assert AuditEvent.objects.filter(verb="portaluser.erased").count() == 1


def test_list_says_from_where_on_the_trail_is_here(auditor: Any, tmp_path: Path) -> None:
    with time_machine.travel(datetime(2024, 1, 1, tzinfo=UTC), tick=False):
        factories.installation(factories.application(), approved=["fin.read"])
    gone = AuditEvent.objects.count()
    prune_audit(
        before=timezone.now() - timedelta(days=366), archive=tmp_path / "archive.jsonl",
        actor=factories.superactor(), reason="Two years.",
    )  # fmt: skip

    shown = text(signed_in(auditor).get(url(LIST)))

    assert f"1 event, from number {gone + 1} on: what was before is archived" in shown


@pytest.mark.parametrize("ending", ["removed", "signed out"])
def test_export_breaks_off_where_the_reader_or_their_session_is_gone(
    active: Installation, monkeypatch: Any, ending: str
) -> None:
    monkeypatch.setattr(audit_trail, "ASKED_EVERY", 2)
    operator = factories.operator("leaving", "Auditor")
    client = signed_in(operator)
    form = {"format": "jsonl", "reason": "For the archive."}
    lines = iter(client.post(url(EXPORT), form).streaming_content)
    taken = [next(lines), next(lines)]
    if ending == "removed":
        type(operator).objects.filter(pk=operator.pk).update(is_active=False)
    else:
        client.logout()

    with pytest.raises(NotPermitted):
        taken += list(lines)
    assert b"audit.exported" not in b"".join(taken)
