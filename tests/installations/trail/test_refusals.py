"""Refused attempts: told one by one up to a bound, then counted, and never in the way of the refusal."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from installations.models import AuditEvent, Installation, RefusedAttempts
from installations.trail import refusals
from installations.trail.refusals import TOLD, note_refused, tell_what_was_counted
from tests import factories
from tests.installations.admin.console import signed_in, url
from tests.unchanged import recorded
from tokens.models import OAuthToken

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def refused() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(verb__startswith="attempt.").order_by("sequence"))


def attempt(user: Any, permission: str = "tokens.revoke_oauthtoken") -> None:
    note_refused(actor=factories.actor(user), permission=permission, attempted="revoke")


def test_first_attempts_are_told_and_the_rest_counted(auditor: Any) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(50):
            attempt(auditor)
        assert [row.verb for row in refused()] == ["attempt.refused"] * TOLD
        assert tell_what_was_counted() == 0
        clock.shift(timedelta(hours=1))
        attempt(auditor)
        more, again = refused()[TOLD:]
        assert (more.verb, more.actor_name, more.target_id) == (
            "attempt.more_refused",
            "auditor",
            "tokens.revoke_oauthtoken",
        )
        assert more.details == {
            "permission": "tokens.revoke_oauthtoken",
            "more": 50 - TOLD,
            "since": "2026-06-01T00:00:00.000000Z",
        }
        assert again.verb == "attempt.refused"


def test_count_is_told_by_whatever_runs_periodically(auditor: Any) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(TOLD + 2):
            attempt(auditor)
        clock.shift(timedelta(hours=2))
        assert tell_what_was_counted() == 1
        assert tell_what_was_counted() == 0
    assert refused()[-1].details["more"] == 2


def test_bound_is_of_one_actor_and_one_permission(auditor: Any, reviewer: Any) -> None:
    for _ in range(TOLD + 3):
        attempt(auditor)
        attempt(reviewer)
        attempt(auditor, "installations.lock_portal")
    assert len(refused()) == 3 * TOLD
    assert RefusedAttempts.objects.count() == 3


def test_refusal_stands_when_it_cannot_be_recorded(auditor: Any, monkeypatch: Any, caplog: Any) -> None:
    def fail(*_arguments: Any, **_values: Any) -> Any:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(refusals.audit, "append", fail)
    attempt(auditor)
    assert "could not be recorded" in caplog.text
    assert RefusedAttempts.objects.count() == 0


def test_act_of_the_console_is_recorded_with_its_target(application: Any, auditor: Any) -> None:
    found = factories.installation(application)
    client = signed_in(auditor)
    where = url("installations_installation_suspend", object_id=found.pk)

    assert client.get(where).status_code == 403
    assert refused() == []
    assert client.post(where, {"reason": "An attempt."}).status_code == 403

    (event,) = refused()
    assert (event.target_kind, event.target_id, event.installation_id) == ("installation", str(found.pk), found.pk)
    assert (event.actor_name, event.via, event.reason) == ("auditor", "admin", "")
    assert event.details == {
        "attempted": "installations_installation_suspend",
        "permission": "installations.suspend_installation",
    }
    assert Installation.objects.get().status == "pending_approval"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("installations_portal_lock", ("portal", "acme.flowlu.com")),
        ("installations_portaluser_erase", ("portaluser", "acme.flowlu.com/7")),
        ("installations_application_configure", ("application", "com.example.desk")),
        ("tokens_oauthtoken_revoke", ("token", None)),
    ],
)
def test_target_is_named_as_the_trail_names_it(
    application: Any, auditor: Any, name: str, target: tuple[str, str | None]
) -> None:
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    rows = {
        "installations_portal_lock": record.installation.portal,
        "installations_portaluser_erase": record.portal_user,
        "installations_application_configure": application,
        "tokens_oauthtoken_revoke": token,
    }

    assert signed_in(auditor).post(url(name, object_id=rows[name].pk)).status_code == 403

    (event,) = refused()
    assert (event.target_kind, event.target_id) == (target[0], target[1] or str(token.pk))


def test_user_of_an_installation_is_named(application: Any, auditor: Any) -> None:
    record = factories.launch(application)
    where = url(
        "installations_installation_revoke_user", object_id=record.installation.pk, user_id=record.portal_user.pk
    )
    assert signed_in(auditor).post(where).status_code == 403
    assert [(row.target_kind, row.target_id) for row in refused()] == [("portaluser", "acme.flowlu.com/7")]


def test_bulk_action_that_is_not_offered_is_recorded(application: Any, auditor: Any) -> None:
    record = factories.launch(application)
    token = factories.token(record.installation, record.portal_user)
    body = {"action": "revoke_selected", "_selected_action": [token.pk], "confirmed": "1", "reason": "An attempt."}

    signed_in(auditor).post(url("tokens_oauthtoken_changelist"), body)

    (event,) = refused()
    assert event.details == {
        "attempted": "tokens_oauthtoken: revoke_selected",
        "permission": "tokens.revoke_oauthtoken",
    }
    assert event.target_id == str(token.pk)
    assert OAuthToken.objects.live().count() == 1


@pytest.mark.parametrize("name", ["installations_application_import", "installations_auditevent_export"])
def test_page_without_an_object_is_recorded(responder: Any, name: str) -> None:
    assert signed_in(responder).post(url(name), {"reason": "x", "format": "csv"}).status_code == 403
    assert [row.details["attempted"] for row in refused()] == [name]
    assert recorded() == ["attempt.refused"]


@pytest.mark.parametrize(
    ("command", "arguments", "target"),
    [
        ("suspend_installation", ("--portal", "acme.flowlu.com", "--app", "com.example.desk"), "installation"),
        ("lock", ("--portal", "acme.flowlu.com"), "portal"),
        ("lock", ("--app", "com.example.desk"), "application"),
        ("erase_portal_user", ("--portal", "acme.flowlu.com", "--user", "7"), "portaluser"),
        ("prune_audit", ("--before", "2020-01-01", "--archive", "/nowhere"), "command"),
    ],
)
def test_command_is_recorded_with_its_target(
    application: Any, auditor: Any, command: str, arguments: tuple[str, ...], target: str
) -> None:
    factories.launch(application)
    with pytest.raises(CommandError, match="do not have the permission"):
        call_command(command, *arguments, "--operator", "auditor", "--reason", "An attempt.")

    (event,) = refused()
    assert (event.target_kind, event.via, event.details["attempted"]) == (target, "command", command)


def test_stranger_leaves_nothing(application: Any, client: Any) -> None:
    found = factories.installation(application)
    assert client.post(url("installations_installation_suspend", object_id=found.pk)).status_code == 302
    assert refused() == []


def test_few_attempts_are_told_one_by_one_and_leave_nothing_to_count(auditor: Any) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        attempt(auditor)
        clock.shift(timedelta(hours=2))
        assert tell_what_was_counted() == 0
    assert [row.verb for row in refused()] == ["attempt.refused"]
    assert RefusedAttempts.objects.get().count == 0


def test_count_that_another_process_told_meanwhile_is_not_told_again(auditor: Any) -> None:
    def told_meanwhile(execute: Any, sql: str, *rest: Any) -> Any:
        found = execute(sql, *rest)
        if looked == [] and "refusedattempts" in sql:
            looked.append(1)
            RefusedAttempts.objects.update(count=0)
        return found

    looked: list[int] = []
    with time_machine.travel(NOW, tick=False) as clock:
        for _ in range(TOLD + 2):
            attempt(auditor)
        clock.shift(timedelta(hours=2))
        with connection.execute_wrapper(told_meanwhile):
            assert tell_what_was_counted() == 0
    assert [row.verb for row in refused()] == ["attempt.refused"] * TOLD
