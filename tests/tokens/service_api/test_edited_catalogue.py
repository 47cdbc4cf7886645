"""A catalogue that is edited widens no purpose and no API key: what each covered when it was named counts as well."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from installations.models import Application, Installation, Portal
from tests import factories
from tests.backend import SYSTEM, Backend
from tests.catalogues import NOTHING, bring_in, edit, entry, save, tamper
from tests.embedded import Frontend
from tests.unchanged import nothing_changes
from tokens.backend_access import ActAs, read_named
from tokens.backend_reads import decision_of
from tokens.models import ApiKey, Purpose
from tokens.services.api_keys import KeyText, replace_api_key
from tokens.services.purposes import change_purpose

pytestmark = pytest.mark.django_db(transaction=True)

ACCOUNTS = ("crm/account", "crm/account_category", "crm/honorific_title", "crm/industry")


@pytest.fixture
def backends(ana: Frontend) -> tuple[Backend, Backend]:
    """One that acts as Ana and one that acts as the system: for accounts, where all of the CRM is approved."""
    factories.application(permissions=["crm.full", "crm.accounts.full"])
    ana.open()
    here = Installation.objects.get()
    factories.approve(here, "crm.full")
    purposes = [factories.purpose(), factories.purpose("nightly", acts_as="system")]
    made = factories.service_client(
        purposes=purposes, applications=list(Application.objects.all()), portals=list(Portal.objects.all())
    )
    factories.api_key(here, ana.sandbox.state.create_api_key("acme"), purposes=purposes[1:])
    return Backend(made.key), Backend(made.key, purpose="nightly", act_as=SYSTEM)


def test_entry_that_grows_widens_neither_purpose_nor_key(backends: tuple[Backend, Backend]) -> None:
    for backend in backends:
        assert backend.get().status_code == 200
        assert backend.get("crm/lead/list").json()["error"] == "scope_not_in_purpose"

    edit("crm.accounts", *ACCOUNTS, "crm/lead")

    for backend in backends:
        assert backend.get().status_code == 200
        assert backend.get("crm/lead/list").json()["error"] == "scope_not_in_purpose"


def test_key_stays_narrow_where_the_purpose_was_declared_anew(ana: Frontend, backends: tuple[Backend, Backend]) -> None:
    edit("crm.accounts", *ACCOUNTS, "crm/lead")
    for purpose in Purpose.objects.all():
        assert save_again(purpose)

    as_user, as_system = backends
    assert as_user.get("crm/lead/list").status_code == 200
    assert as_system.get("crm/lead/list").json()["error"] == "scope_not_in_key"
    replace_api_key(
        api_key_id=ApiKey.objects.get().pk,
        key=KeyText(ana.sandbox.state.create_api_key("acme")),
        overlap=timedelta(0),
        expires_at=None,
        actor=factories.superactor(),
        reason="A test.",
    )
    assert as_system.get("crm/lead/list").json()["error"] == "scope_not_in_key"
    assert as_system.get().status_code == 200


def test_entry_that_shrinks_narrows_both_at_once(backends: tuple[Backend, Backend]) -> None:
    edit("crm.accounts", *ACCOUNTS[1:])

    for backend in backends:
        assert backend.get().json()["error"] == "scope_not_in_purpose"


def test_entry_that_is_switched_off_is_refused_at_the_next_call_and_on_again_it_is_as_before(
    backends: tuple[Backend, Backend],
) -> None:
    edit("crm.accounts", enabled=False)
    for backend in backends:
        assert backend.get().json()["error"] == "scope_not_in_purpose"

    edit("crm.accounts", enabled=True)
    for backend in backends:
        assert backend.get().status_code == 200


def test_damaged_edition_refuses_every_call_of_a_backend(backends: tuple[Backend, Backend]) -> None:
    save(entry("warehouse"))
    tamper("document", "damaged")

    for backend in backends:
        assert backend.get().json()["error"] == "scope_not_in_purpose"

    bring_in(NOTHING)
    for backend in backends:
        assert backend.get().status_code == 200


def test_decision_is_one_statement_and_one_more_after_an_edit(backends: tuple[Backend, Backend]) -> None:
    act_as = ActAs("user", factories.APP_ID, "acme.flowlu.com", "7")
    for edits in range(2):
        edit("crm.accounts", *ACCOUNTS[edits + 1 :])
        for expected in (2, 1, 1):
            with CaptureQueriesContext(connection) as found:
                assert decision_of(act_as, "account-sync", None).catalogue.edition == edits + 1
            assert len(found) == expected


def test_saving_a_purpose_again_without_any_change_changes_nothing(backends: tuple[Backend, Backend]) -> None:
    with nothing_changes():
        assert not save_again(Purpose.objects.first())


def save_again(purpose: Purpose | None) -> bool:
    assert purpose is not None
    return change_purpose(
        purpose_id=purpose.pk,
        description=purpose.description,
        scope_texts=purpose.scopes,
        owner=purpose.owner,
        expires_at=purpose.expires_at,
        actor=factories.superactor(),
        reason="A test.",
    )


@pytest.mark.parametrize("covers", [None, [], "crm", {}, {"fin": []}, {"crm.accounts": None}, {"crm.accounts": [{}]}])
def test_scope_without_a_copy_or_with_a_damaged_one_reaches_nothing(covers: object) -> None:
    whole = {"task": [{"module": "task", "model": "*", "actions": "*", "own_only": False}]}

    found = read_named(["crm.accounts.full"], covers)
    both = read_named(["crm.accounts.full", "task.read"], {**(covers if isinstance(covers, dict) else {}), **whole})

    assert [approval.covers for approval in found] == [()]
    assert [bool(approval.covers) for approval in both] == [False, True]
