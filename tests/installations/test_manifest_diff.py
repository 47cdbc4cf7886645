"""What changed between two manifests: every way a scope or a field can go, and no widening that is not said."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations import catalogue, manifests
from installations.manifest_diff import Content, ManifestDiff, diff
from installations.scopes import ANY, Approval, Call, Scope, granting_scope, parse
from tests import factories

CATALOGUE = catalogue.load()


def read(**members: Any) -> Content:
    document = json.loads(factories.manifest()) | members
    parsed = manifests.parse(json.dumps({name: value for name, value in document.items() if value is not None}))
    return Content(parsed.permissions, parsed.document)


def between(old: list[str], new: list[str]) -> ManifestDiff:
    return diff(read(permissions=old), read(permissions=new), CATALOGUE)


def told(found: ManifestDiff) -> list[tuple[str, str, bool]]:
    return [(str(change.change), change.code, change.escalates) for change in found.scopes]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], ["fin.read"], [("added", "fin", True)]),
        (["fin.read"], [], [("removed", "fin", False)]),
        (["fin.read"], ["fin.full"], [("widened", "fin", True)]),
        (["fin.full"], ["fin"], [("narrowed", "fin", False)]),
        (["fin.read"], ["fin.read", "fin"], []),
        (["fin.read", "task.read"], ["task.read", "fin.read"], []),
        # A general scope absorbs its parts, with its own level.
        (["crm.accounts.full"], ["crm.full"], [("added", "crm", True), ("swallowed", "crm.accounts", False)]),
        (["crm.accounts.full"], ["crm.accounts.full", "crm.read"],
         [("added", "crm", True), ("narrowed", "crm.accounts", False)]),
        (["crm.accounts.read"], ["crm.accounts.read", "crm.full"],
         [("added", "crm", True), ("widened", "crm.accounts", True)]),
        (["crm.full"], ["crm.accounts.full"], [("removed", "crm", False), ("released", "crm.accounts", False)]),
        (["crm.full", "crm.accounts.read"], ["crm.accounts.full"],
         [("removed", "crm", False), ("released", "crm.accounts", False)]),
        (["crm.read", "crm.accounts.read"], ["crm.accounts.full"],
         [("widened", "crm.accounts", True), ("removed", "crm", False)]),
        (["crm.full"], ["crm.full", "crm.accounts.full"], []),
        # What nobody can explain is more than before.
        ([], ["no.such.thing"], [("unknown", "no.such.thing", True)]),
        (["no.such.thing"], ["no.such.thing"], []),
        (["no.such.thing"], [], [("removed", "no.such.thing", False)]),
        ([], ["crm accounts"], [("unknown", "crm accounts", True)]),
        (["CRM.read"], ["crm.read"], [("added", "crm", True), ("removed", "CRM.read", False)]),
    ],
)  # fmt: skip
def test_each_way_a_scope_can_go(old: list[str], new: list[str], expected: list[tuple[str, str, bool]]) -> None:
    found = between(old, new)

    assert told(found) == expected
    assert found.escalates is any(escalates for _change, _code, escalates in expected)


def test_scope_that_is_switched_off_is_not_said_to_be_missing() -> None:
    [added] = between([], ["agile.read"]).scopes
    [removed] = between(["agile.read"], []).scopes

    assert (str(added.change), added.code) == ("unknown", "agile.read")
    assert added.words == "new and in the catalogue, but switched off: it grants nothing here"
    assert removed.words == "was asked for and is in the catalogue, but switched off"


def test_swallowing_is_explained() -> None:
    [added, swallowed] = between(["crm.accounts.full"], ["crm.full", "crm.accounts.full"]).scopes
    assert (added.words, swallowed.words) == ("new, at level full", "has no effect any more beside crm.full")

    [_added, dropped] = between(["crm.accounts.full"], ["crm.full"]).scopes
    assert dropped.words == "is reached as a part of crm.full"

    [_added, narrowed] = between(["crm.accounts.full"], ["crm.read"]).scopes
    assert narrowed.words == "from full to read as a part of crm, which counts with its own level"


@pytest.mark.parametrize(
    ("field", "old", "new", "words", "escalates"),
    [
        ("entrypointURL", "https://a.example.com/x", "https://a.example.com/y",
         "from https://a.example.com/x to https://a.example.com/y", False),
        ("entrypointURL", "https://a.example.com/x", "https://b.example.com/x",
         "from https://a.example.com/x to https://b.example.com/x", True),
        ("entrypointURL", "https://a.example.com/x", "https://A.EXAMPLE.COM/x",
         "from https://a.example.com/x to https://A.EXAMPLE.COM/x", False),
        ("entrypointURL", "https://a.example.com/x", "https://a.example.com:444/x",
         "from https://a.example.com/x to https://a.example.com:444/x", True),
        ("webhookURL", None, "https://a.example.com/hook", "new: https://a.example.com/hook", True),
        ("webhookURL", "https://a.example.com/hook", None, "removed: https://a.example.com/hook", False),
        ("integrationPoints", {"menu": {"a": 1}, "tab": {}}, {"menu": {"a": 2}, "page": {}},
         "added page; removed tab; changed menu", False),
        ("integrationPoints", None, {"menu": {}}, "added menu", False),
        ("integrationPoints", None, {}, "changed", False),
        ("description", "A long text.", "Another long text.", "changed", False),
        ("description", None, "A long text.", "new", False),
        ("description", "A long text.", None, "removed", False),
        ("tags", ["crm", "sales"], ["crm"], "from crm, sales to crm", False),
        ("appId", "com.example.desk", "com.example.other", "from com.example.desk to com.example.other", True),
        ("unheardOf", "a-secret", "another-secret", "changed", False),
        ("configuration", {"a": "a-secret"}, {"a": "another-secret"}, "changed a", False),
        ("webhookURL", "https://a.example.com/hook?key=1", "https://a.example.com/hook?key=2",
         "has another query", False),
        ("webhookURL", "https://a.example.com/hook?key=1", "https://b.example.com/hook?key=1",
         "from https://a.example.com/hook?… to https://b.example.com/hook?…", True),
        ("webhookURL", None, "https://a.example.com/hook?key=1", "new: https://a.example.com/hook?…", True),
    ],
)  # fmt: skip
def test_each_way_a_field_can_go(field: str, old: Any, new: Any, words: str, escalates: bool) -> None:
    found = diff(read(**{field: old}, version="1.0.0"), read(**{field: new}, version="1.1.0"), CATALOGUE)

    assert [(change.field, change.words, change.escalates) for change in found.fields] in (
        [(field, words, escalates), ("version", "from 1.0.0 to 1.1.0", False)],
        [("version", "from 1.0.0 to 1.1.0", False), (field, words, escalates)],
    )
    assert found.escalates is escalates


def test_version_that_stays_though_the_content_changed_is_said() -> None:
    found = between(["fin.full"], ["fin.read"])

    assert [(change.field, change.words) for change in found.fields] == [
        ("version", "stays 1.0.0 though the content changed")
    ]
    assert between(["fin.full"], ["fin.full"]).is_empty


_ENABLED = [entry.code for entry in CATALOGUE.entries if entry.enabled]
_TEXTS = st.sampled_from([f"{code}{level}" for code in _ENABLED for level in (".read", ".full", "")])
_LISTS = st.lists(_TEXTS, max_size=8)
_CALLS = [
    Call(rule.module, model, action, id)
    for entry in CATALOGUE.entries
    for rule in entry.covers
    for model in (entry.models if rule.model == ANY else (rule.model,))
    for action in ({"list", "get", "create"} if rule.actions == ANY else rule.actions)
    for id in (None, "7")
]


def reached(texts: list[str]) -> set[Call]:
    scopes: list[Scope] = [parse(text) for text in texts]
    approvals = [Approval(scope.code, scope.level, CATALOGUE.coverage[scope.code]) for scope in scopes]
    return {call for call in _CALLS if granting_scope(approvals, CATALOGUE, call) is not None}


@given(_LISTS, _LISTS)
def test_nothing_more_is_reached_unless_it_is_said_to_escalate(old: list[str], new: list[str]) -> None:
    found = between(old, new)

    if not found.escalates:
        assert reached(new) <= reached(old)


@given(_LISTS, st.data())
def test_order_and_repetition_do_not_count(texts: list[str], data: st.DataObject) -> None:
    other = data.draw(st.permutations([*texts, *texts[:2]]))

    assert between(texts, other).scopes == between(other, texts).scopes == []
