"""The shipped catalogue says what it must, and a damaged file is refused whole."""

import json
from typing import Any

import pytest

from installations.catalogue import (
    CATALOGUE_FILE,
    CatalogueInvalid,
    Origin,
    check_entry,
    load,
    overlaid,
    parse_catalogue,
    parse_entries,
    unusable,
    written,
)
from installations.scopes import Call, parse, smallest_scope
from tests import catalogues

DOCUMENTED = {
    "users", "user.me", "crm", "crm.accounts", "crm.deals", "products", "fin", "calendar", "task",
    "knowledgebase", "workspace", "orgchart", "customlists",
}  # fmt: skip
ASSUMED = {"st", "agile", "timetracker", "customfields", "telephony", "company"}


# Every module and model that Flowlu's pages and connectors name (flowlu-platform.md §3 and §7.3).
SEEN = {
    "core": "user",
    "crm": "account lead lead_accounts pipeline pipeline_stage source loss_reason industry account_category"
    " honorific_title emails",
    "task": "tasks lists taskslists workflows stages",
    "st": "projects project_observers",
    "agile": "issues sprints epics stages workflows categories issue_type issue_relation_types issue_relation_names",
    "fin": "invoice invoice_item invoice_contacts estimate customer_payment transaction bank_account",
    "products": "product category pricelist manufacturer",
    "timetracker": "timesheets",
    "calendar": "calendar",
    "customfields": "fields fieldsets",
    "telephony": "telephony",
    "company": "",
    **dict.fromkeys(("knowledgebase", "workspace", "orgchart", "customlists"), ""),
}


@pytest.mark.parametrize("module", SEEN)
def test_every_module_and_model_that_was_seen_is_covered_and_named(module: str) -> None:
    covering = [entry for entry in load().entries if module in entry.modules]
    named = {model for entry in covering for model in entry.models if entry.modules == (module,)}

    assert named == set(SEEN[module].split())
    for model in [*SEEN[module].split(), "anything"]:
        if (module, model) != ("core", "anything"):
            assert any(rule.covers(Call(module, model, "list")) for entry in covering for rule in entry.covers)


def test_what_no_documentation_says_is_marked_as_an_assumption() -> None:
    # Documented are codes; which models a code reaches is documented for none of them.
    for entry in load().entries:
        assert "assumption" in entry.source or "as seen in connectors" in entry.source


def test_every_code_that_flowlu_names_is_enabled_and_no_other() -> None:
    assert set(load().coverage) == DOCUMENTED
    assert {entry.code for entry in load().entries} == DOCUMENTED | ASSUMED
    assert all(entry.enabled is entry.documented for entry in load().entries)


@pytest.mark.parametrize("code", sorted(ASSUMED))
def test_an_assumed_code_is_described_and_unknown_to_enforcement(code: str) -> None:
    assert load().get(code) is None
    entry = load().described(code)
    assert entry is not None
    assert entry.source.startswith("assumption")
    assert smallest_scope(load(), Call(code, "anything", "list")) is None
    assert load().describe(f"{code}.full").known is False


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call("core", "user", "get"), "user.me.read"),
        (Call("core", "user", "get", "7"), "users.read"),
        (Call("crm", "account", "list"), "crm.accounts.read"),
        (Call("crm", "lead", "create"), "crm.deals.full"),
        (Call("crm", "emails", "list"), "crm.read"),
        (Call("task", "tasks", "update", "7"), "task.full"),
        (Call("fin", "invoice", "delete", "7"), "fin.full"),
    ],
)
def test_smallest_scope_for_a_call(call: Call, expected: str) -> None:
    assert smallest_scope(load(), call) == parse(expected)


def test_a_module_lists_the_models_of_its_parts() -> None:
    crm, accounts, deals = (load().described(code) for code in ("crm", "crm.accounts", "crm.deals"))
    assert crm is not None
    assert accounts is not None
    assert deals is not None
    assert {*accounts.models, *deals.models, "emails"} == set(crm.models)
    assert crm.modules == ("crm",)


def test_describe_tells_read_from_full() -> None:
    read, full = load().describe("users.read"), load().describe(parse("users.full"))
    assert (read.known, read.risk, full.risk) == (True, "medium", "high")
    assert read.allows != full.allows


@pytest.mark.parametrize("text", ["crm.contacts.read", "tasks.create", "", "read", "x y", "\u202emrc"])
def test_unknown_scopes_are_described_verbatim(text: str) -> None:
    described = load().describe(text)
    assert (described.text, described.title, described.known, described.risk) == (text, text, False, None)


def test_names_its_version_and_how_much_counts() -> None:
    assert repr(load()) == f"<Catalogue {load().version}: 13 of 19 codes enabled>"


def test_version_follows_the_file() -> None:
    data = CATALOGUE_FILE.read_bytes()
    assert parse_catalogue(data).version == load().version
    assert parse_catalogue(data + b"\n").version != load().version


def _entry(**changes: Any) -> dict[str, Any]:
    level = {"allows": "See it.", "risk": "low", "reason": "It is public."}
    return {
        "code": "crm",
        "title": "CRM",
        "meaning": "Customers.",
        "read": level,
        "full": level,
        "covers": [{"module": "crm", "model": "*", "actions": "*", "own_only": False}],
        "models": [],
        "documented": True,
        "enabled": True,
        "source": "test",
    } | changes


@pytest.mark.parametrize(
    ("scopes", "place"),
    [
        ([], "scopes"),
        ({}, "scopes"),
        (["crm"], r"scopes\[0\]"),
        ([_entry(), _entry()], r"scopes\[1\]\.code: crm is there twice"),
        ([_entry(code="crm.read")], r"scopes\[0\]\.code"),
        ([_entry(code="c m")], r"scopes\[0\]\.code"),
        ([_entry(code=7)], r"scopes\[0\]\.code"),
        ([_entry(title="")], r"scopes\[0\]\.title"),
        ([_entry(extra=1)], r"scopes\[0\]: members missing: none; unknown: 1"),
        ([{"a": 1}], "members missing: code, covers, .*; unknown: 1"),
        ([_entry(covers=[])], "covers"),
        ([_entry(covers=[{"module": "crm", "model": "*"}])], r"covers\[0\]"),
        ([_entry(models="x")], "models"),
        ([_entry(covers=[{"module": "crm", "model": "lead", "actions": "*"}], models=["account"])], "models"),
        ([_entry(read={"allows": "x", "risk": "huge", "reason": "x"})], r"read\.risk"),
        ([_entry(full=None)], "full"),
        ([_entry(enabled="yes")], "enabled"),
        ([_entry(title="x" * 101)], r"scopes\[0\]\.title: has more than 100"),
        ([_entry(source="x" * 1001)], r"scopes\[0\]\.source: has more than 1000"),
        ([_entry(models=["a b"])], "models: at most 200 names"),
        ([_entry(models=[f"m{number}" for number in range(201)])], "models: at most 200 names"),
        ([_entry(covers=_entry()["covers"] * 201)], "covers: has more than 200 rules"),
        ([_entry(code=f"c{number}") for number in range(1001)], "scopes: there are more than 1000"),
    ],
)
def test_a_damaged_file_names_the_place(scopes: object, place: str) -> None:
    with pytest.raises(CatalogueInvalid, match=place):
        parse_catalogue(json.dumps({"schema": 1, "scopes": scopes}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema": 2, "scopes": [1]}', b'{"schema": 1, "schema": 1}'])
def test_a_file_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(CatalogueInvalid):
        parse_catalogue(data)


def test_file_of_no_entries_is_one_of_operators_only() -> None:
    assert parse_entries('{"schema":1,"scopes":[]}') == ()
    with pytest.raises(CatalogueInvalid, match="at least one entry"):
        parse_catalogue(b'{"schema":1,"scopes":[]}')


def test_what_is_written_reads_back_the_same() -> None:
    assert parse_entries(written(load().entries)) == tuple(sorted(load().entries, key=lambda entry: entry.code))
    assert [check_entry(entry) for entry in load().entries] == list(load().entries)


def test_own_entries_stand_in_the_place_of_shipped_ones_and_behind_them() -> None:
    fin = catalogues.entry("fin", "fin/invoice")
    found = overlaid(load(), [catalogues.entry("warehouse"), fin, catalogues.entry("attic", enabled=False)], 4)

    shipped = [entry.code for entry in load().entries]
    assert [entry.code for entry in found.entries] == [*shipped, "attic", "warehouse"]
    assert found.described("fin") == fin
    assert {code: found.origin(code) for code in ("crm", "fin", "warehouse", "attic")} == {
        "crm": Origin.SHIPPED,
        "fin": Origin.OVERRIDDEN,
        "warehouse": Origin.OWN,
        "attic": Origin.OWN,
    }
    assert (found.version, found.edition, found.damage) == (f"{load().version}+4", 4, "")
    assert set(found.coverage) == DOCUMENTED | {"warehouse"}


def test_unusable_catalogue_knows_nothing() -> None:
    found = unusable(load(), 4, "gone")
    assert (found.entries, dict(found.coverage), found.edition, found.damage) == ((), {}, 4, "gone")
    assert found.describe("fin.read").known is False


def test_code_that_was_switched_off_says_so_whether_flowlu_documents_it_or_not() -> None:
    found = overlaid(load(), [catalogues.entry("fin", documented=True, enabled=False)], 1)
    assert "switched off in the catalogue" in found.describe("fin.read").meaning
    assert "Flowlu documents no such scope" in found.describe("st.read").meaning
