"""Purposes and service clients: who may declare, change and switch them, and that a key is seen once only."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from installations.actors import Via, operator_actor
from installations.errors import DomainError, InvalidRequest, NotPermitted, ReasonRequired, StateConflict
from installations.models import Application, AuditEvent, Portal
from tests import factories
from tests.unchanged import last_event, nothing_changes
from tokens import backend_reads
from tokens.models import Purpose, ServiceClient
from tokens.services.purposes import change_purpose, declare_purpose, switch_purpose
from tokens.services.service_clients import (
    Allowed,
    change_service_client,
    create_service_client,
    renew_service_key,
    switch_service_client,
)

pytestmark = pytest.mark.django_db

NOTHING = Allowed.of((), (), ())
PASTED = "t0kenOf4nother" * 3


def declare(actor: Any = None, **changes: Any) -> Purpose:
    values: dict[str, Any] = {
        "code": "sync",
        "description": "Keep accounts in step.",
        "scope_texts": ["crm.accounts.read"],
        "acts_as": "user",
        "owner": "Integrations",
        "expires_at": None,
        "enabled": False,
        "reason": "A test.",
    }
    return declare_purpose(actor=actor or factories.superactor(), **values | changes)


def change(row: Purpose, actor: Any = None, **changes: Any) -> bool:
    values: dict[str, Any] = {
        "description": row.description,
        "scope_texts": row.scopes,
        "owner": row.owner,
        "expires_at": row.expires_at,
        "reason": "A test.",
    }
    return change_purpose(purpose_id=row.pk, actor=actor or factories.superactor(), **values | changes)


def test_declared_purpose_is_as_it_was_declared_and_recorded(db: None) -> None:
    row = declare(scope_texts=["task.read", "crm.accounts", "crm.accounts.read"])

    row.refresh_from_db()
    assert (row.code, row.scopes, row.acts_as, row.enabled) == (
        "sync", ["crm.accounts.read", "task.read"], "user", False,
    )  # fmt: skip
    event = last_event()
    assert (event.verb, event.target_kind, event.target_id) == ("purpose.declared", "purpose", "sync")
    assert event.details["scopes"] == ["crm.accounts.read", "task.read"]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"code": ""}, {"code"}),
        ({"code": "a b"}, {"code"}),
        ({"code": "ü"}, {"code"}),
        ({"code": "x" * 101}, {"code"}),
        ({"description": " "}, {"description"}),
        ({"owner": ""}, {"owner"}),
        ({"owner": "a\nb"}, {"owner"}),
        ({"code": PASTED, "description": f"With {PASTED}.", "owner": PASTED}, {"code", "description", "owner"}),
        ({"acts_as": "anybody"}, {"acts_as"}),
        ({"scope_texts": []}, {"scopes"}),
        ({"scope_texts": ["nothing.known"]}, {"scopes"}),
        ({"expires_at": timezone.now() - timedelta(days=1)}, {"expires_at"}),
        ({"code": "", "owner": "", "scope_texts": []}, {"code", "owner", "scopes"}),
    ],
)
def test_wrong_values_of_a_purpose_are_named_all_at_once(changes: dict[str, Any], fields: set[str]) -> None:
    with nothing_changes(), pytest.raises(InvalidRequest) as caught:
        declare(**changes)
    assert set(caught.value.fields) == fields


def test_code_of_a_purpose_is_taken_once() -> None:
    declare()
    with nothing_changes(), pytest.raises(StateConflict, match="sync already"):
        declare()


def test_changed_purpose_says_what_it_was_before_and_code_and_kind_stay() -> None:
    row = declare()

    assert change(row, scope_texts=["crm.accounts.full"], owner="Billing") is True

    row.refresh_from_db()
    assert (row.code, row.acts_as, row.scopes, row.owner) == ("sync", "user", ["crm.accounts.full"], "Billing")
    details = last_event().details
    assert (details["before"]["scopes"], details["after"]["scopes"]) == (["crm.accounts.read"], ["crm.accounts.full"])
    with nothing_changes():
        assert change(row) is False


def test_purpose_that_is_over_can_be_changed_without_prolonging_it() -> None:
    row = declare()
    over = timezone.now() - timedelta(days=1)
    Purpose.objects.update(expires_at=over)
    row.refresh_from_db()

    assert change(row, owner="Billing") is True
    with nothing_changes(), pytest.raises(InvalidRequest):
        change(row, expires_at=timezone.now() - timedelta(hours=1))


def test_purpose_is_switched_and_twice_is_once() -> None:
    row, actor = declare(), factories.superactor()
    assert switch_purpose(purpose_id=row.pk, on=True, actor=actor, reason="Go.") is True
    assert last_event().verb == "purpose.switched_on"
    with nothing_changes():
        assert switch_purpose(purpose_id=row.pk, on=True, actor=actor, reason="Go.") is False
    assert switch_purpose(purpose_id=row.pk, on=False, actor=actor, reason="Stop.") is True
    assert last_event().verb == "purpose.switched_off"
    row.refresh_from_db()
    assert row.enabled is False


def test_key_of_a_new_client_is_in_the_result_and_stored_as_a_hash_only() -> None:
    made = create_service_client(name="sync", allowed=NOTHING, actor=factories.superactor(), reason="A test.")

    assert made.key.startswith("fls_")
    assert len(made.key) == 47
    assert made.client.key_hash == backend_reads.hash_service_key(made.key)
    assert made.key not in f"{made} {made!r} {AuditEvent.objects.values_list()} {ServiceClient.objects.values()}"
    assert backend_reads.client_of(made.key) is not None


def test_two_keys_are_never_the_same() -> None:
    keys = {factories.service_client(f"client {number}").key for number in range(20)}
    assert len(keys) == 20


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "a\u202eb", PASTED])
def test_name_of_a_client_is_visible_text(name: str) -> None:
    with nothing_changes(), pytest.raises(InvalidRequest):
        create_service_client(name=name, allowed=NOTHING, actor=factories.superactor(), reason="A test.")


def test_name_of_a_client_is_taken_once() -> None:
    factories.service_client("sync")
    with nothing_changes(), pytest.raises(StateConflict, match="this name already"):
        factories.service_client("sync")


def test_new_key_ends_the_one_before_at_once() -> None:
    made = factories.service_client("sync")

    renewed = renew_service_key(client_id=made.client.pk, actor=factories.superactor(), reason="Seen by others.")

    assert backend_reads.client_of(made.key) is None
    found = backend_reads.client_of(renewed.key)
    assert found is not None
    assert found.id == made.client.pk
    assert last_event().verb == "service_client.key_renewed"


def test_client_is_switched_and_its_key_counts_only_while_it_is_on() -> None:
    made, actor = factories.service_client("sync"), factories.superactor()
    assert switch_service_client(client_id=made.client.pk, on=False, actor=actor, reason="Stop.") is True
    assert backend_reads.client_of(made.key) is None
    with nothing_changes():
        assert switch_service_client(client_id=made.client.pk, on=False, actor=actor, reason="Stop.") is False
    assert switch_service_client(client_id=made.client.pk, on=True, actor=actor, reason="Go.") is True
    assert backend_reads.client_of(made.key) is not None


def test_what_a_client_may_do_is_replaced_whole_and_recorded(application: Application) -> None:
    made, sync = factories.service_client("sync"), factories.purpose()
    portal = Portal.objects.create(domain="acme.flowlu.com")
    allowed = Allowed.of([sync], [application], [portal])
    actor = factories.superactor()

    assert change_service_client(client_id=made.client.pk, allowed=allowed, actor=actor, reason="Go.") is True

    assert last_event().details == {
        "name": "sync",
        "before": {"purposes": [], "applications": [], "portals": []},
        "after": {
            "purposes": ["account-sync"],
            "applications": ["com.example.desk"],
            "portals": ["acme.flowlu.com"],
        },
    }
    with nothing_changes():
        assert change_service_client(client_id=made.client.pk, allowed=allowed, actor=actor, reason="Go.") is False
    assert change_service_client(client_id=made.client.pk, allowed=NOTHING, actor=actor, reason="Stop.") is True
    assert list(made.client.purposes.all()) == []


REVIEWER_ACTS = ("declare", "change", "purpose_on", "create", "change_client", "renew", "client_on")
RESPONDER_ACTS = ("purpose_off", "client_off")


@pytest.mark.parametrize("act", [*REVIEWER_ACTS, *RESPONDER_ACTS])
def test_verbs_serve_their_operators_only_and_ask_for_a_reason(
    reviewer: Any, responder: Any, auditor: Any, act: str
) -> None:
    row, client = factories.purpose(enabled=act != "purpose_on"), factories.service_client("first").client
    acts: dict[str, Any] = {
        "declare": lambda **by: declare(**by),
        "change": lambda **by: change(row, owner="Billing", **by),
        "purpose_on": lambda **by: switch_purpose(purpose_id=row.pk, on=True, **by),
        "purpose_off": lambda **by: switch_purpose(purpose_id=row.pk, on=False, **by),
        "create": lambda **by: create_service_client(name="second", allowed=NOTHING, **by),
        "change_client": lambda **by: change_service_client(client_id=client.pk, allowed=NOTHING, **by),
        "renew": lambda **by: renew_service_key(client_id=client.pk, **by),
        "client_on": lambda **by: switch_service_client(client_id=client.pk, on=True, **by),
        "client_off": lambda **by: switch_service_client(client_id=client.pk, on=False, **by),
    }
    serves = reviewer if act in REVIEWER_ACTS else responder
    for user in {auditor, reviewer, responder} - {serves}:
        with nothing_changes(), pytest.raises(NotPermitted):
            acts[act](actor=operator_actor(user, Via.ADMIN), reason="A test.")
    with nothing_changes(), pytest.raises(ReasonRequired):
        acts[act](actor=operator_actor(serves, Via.ADMIN), reason="")
    acts[act](actor=operator_actor(serves, Via.ADMIN), reason="A test.")


def test_what_is_not_there_is_said() -> None:
    actor = factories.superactor()
    for attempt in (
        lambda: switch_purpose(purpose_id=1, on=True, actor=actor, reason="x"),
        lambda: switch_service_client(client_id=1, on=True, actor=actor, reason="x"),
        lambda: renew_service_key(client_id=1, actor=actor, reason="x"),
    ):
        with nothing_changes(), pytest.raises(DomainError, match="There is no such"):
            attempt()
