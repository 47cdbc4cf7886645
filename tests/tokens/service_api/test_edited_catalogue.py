"""A catalogue that is edited widens no purpose and no API key: what each covered when it was named counts as well."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from installations import catalogue
from installations.models import Application, Installation, Portal
from tests import factories
from tests.backend import SYSTEM, Backend
from tests.embedded import Frontend
from tests.unchanged import nothing_changes
from tokens.backend_access import read_named
from tokens.models import ApiKey, Purpose
from tokens.services.api_keys import KeyText, replace_api_key
from tokens.services.purposes import change_purpose

pytestmark = pytest.mark.django_db(transaction=True)

Edit = Callable[[Callable[[dict[str, Any]], None]], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Change the entry of `crm.accounts` in a copy of the shipped file, and use that."""
    document = json.loads(catalogue.CATALOGUE_FILE.read_text(encoding="utf-8"))
    path = tmp_path / "catalogue.json"

    def change(what: Callable[[dict[str, Any]], None]) -> None:
        what(next(entry for entry in document["scopes"] if entry["code"] == "crm.accounts"))
        path.write_text(json.dumps(document), encoding="utf-8")
        monkeypatch.setattr(catalogue, "CATALOGUE_FILE", path)
        catalogue.load.cache_clear()

    yield change
    monkeypatch.undo()
    catalogue.load.cache_clear()


def with_leads(entry: dict[str, Any]) -> None:
    entry["covers"].append({"module": "crm", "model": "lead", "actions": "*", "own_only": False})
    entry["models"].append("lead")


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


def test_entry_that_grows_widens_neither_purpose_nor_key(backends: tuple[Backend, Backend], edit: Edit) -> None:
    for backend in backends:
        assert backend.get().status_code == 200
        assert backend.get("crm/lead/list").json()["error"] == "scope_not_in_purpose"

    edit(with_leads)

    for backend in backends:
        assert backend.get().status_code == 200
        assert backend.get("crm/lead/list").json()["error"] == "scope_not_in_purpose"


def test_key_stays_narrow_where_the_purpose_was_declared_anew(
    ana: Frontend, backends: tuple[Backend, Backend], edit: Edit
) -> None:
    edit(with_leads)
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


def test_entry_that_shrinks_narrows_both_at_once(backends: tuple[Backend, Backend], edit: Edit) -> None:
    def without_accounts(entry: dict[str, Any]) -> None:
        entry["covers"] = [rule for rule in entry["covers"] if rule["model"] != "account"]
        entry["models"] = [model for model in entry["models"] if model != "account"]

    edit(without_accounts)

    for backend in backends:
        assert backend.get().json()["error"] == "scope_not_in_purpose"


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
