"""An edit of the scope catalogue, in the current-user API: it narrows from its commit on and never widens by itself."""

import logging

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from installations.models import Installation
from tests import factories
from tests.catalogues import NOTHING, bring_in, edit, entry, save, take_back, tamper
from tests.embedded import Frontend
from tokens.selectors import caller_of

pytestmark = pytest.mark.django_db(transaction=True)
ACCOUNTS = ("crm/account", "crm/account_category", "crm/honorific_title", "crm/industry")


@pytest.fixture
def page(ana: Frontend) -> Frontend:
    factories.application(permissions=["crm.accounts.full", "warehouse.read"])
    ana.open()
    factories.approve(Installation.objects.get(), "crm.accounts.full")
    assert ana.accounts().status_code == 200
    return ana


def answers(page: Frontend) -> list[str]:
    return [page.get(f"flowlu/crm/{model}/list").json().get("error", "ok") for model in ("account", "lead")]


def test_narrower_entry_refuses_the_next_call(page: Frontend) -> None:
    edit("crm.accounts", *ACCOUNTS[1:])
    sent = len(page.sandbox.state.requests())

    refused = page.accounts()

    assert (refused.status_code, refused.json()["required_scope"]) == (403, "crm.read")
    assert len(page.sandbox.state.requests()) == sent
    take_back("crm.accounts")
    assert page.accounts().status_code == 200


def test_entry_that_is_switched_off_refuses_the_next_call(page: Frontend) -> None:
    edit("crm.accounts", enabled=False)

    assert answers(page)[0] == "insufficient_scope"
    assert page.get("permissions").json()["described"][0]["title"] == "CRM organisations and contacts"


def test_entry_that_covers_more_grants_nothing_until_it_is_approved_again(page: Frontend) -> None:
    edit("crm.accounts", *ACCOUNTS, "crm/lead")
    assert answers(page) == ["ok", "insufficient_scope"]

    factories.approve(Installation.objects.get(), "crm.accounts.full")
    assert answers(page) == ["ok", "ok"]


def test_code_that_becomes_known_grants_nothing_until_it_is_approved(page: Frontend) -> None:
    save(entry("warehouse", "crm/lead"))
    assert answers(page) == ["ok", "insufficient_scope"]
    asked = page.get("permissions", module="crm", model="lead", action="list").json()
    assert "warehouse" not in str(asked["approved"])

    factories.approve(Installation.objects.get(), "warehouse.read")
    assert answers(page) == ["ok", "ok"]


def test_damaged_edition_denies_all_and_answers_the_rest(page: Frontend, caplog: pytest.LogCaptureFixture) -> None:
    save(entry("warehouse"))
    tamper("document", NOTHING.decode())

    with caplog.at_level(logging.CRITICAL):
        assert answers(page) == ["insufficient_scope", "insufficient_scope"]
    assert "Edition 1 of the scope catalogue is damaged" in caplog.text
    assert page.accounts().json()["required_scope"] is None
    assert page.get("session").status_code == 200
    assert page.get("permissions").status_code == 200

    bring_in(NOTHING)
    assert answers(page) == ["ok", "insufficient_scope"]


def test_call_is_decided_in_one_statement_and_one_more_after_an_edit(page: Frontend) -> None:
    for edition in (1, 2):
        save(entry("warehouse", title=f"Edition {edition}"))
        for expected in (2, 1, 1):
            with CaptureQueriesContext(connection) as found:
                caller = caller_of(page.session_token)
            assert len(found) == expected
            assert caller is not None
            assert caller.catalogue.edition == edition
