"""Which approvals need a second operator, and what makes a request void. Pure."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations import catalogue, four_eyes
from installations.catalogue import CatalogueEntry, overlaid
from installations.four_eyes import Bound, changes_since
from installations.scopes import Approval, Coverage, Level, Scope, parse
from tests import catalogues

KNOWN = catalogue.load()
HELD = Bound(status="active", manifest="a" * 64, in_force="x", covers="y")


def held(*texts: str, covers: tuple[Coverage, ...] | None = None) -> dict[str, Approval]:
    found = [parse(text) for text in texts]
    return {
        scope.code: Approval(scope.code, scope.level, KNOWN.coverage[scope.code] if covers is None else covers)
        for scope in found
    }


@pytest.mark.parametrize(
    ("wanted", "in_force", "expected"),
    [
        (["user.me.read", "task.read"], [], []),
        (["user.me.read", "fin.read"], [], ["fin.read"]),
        (["users.full"], ["users.read"], ["users.full"]),
        (["users.read"], ["users.full"], []),
        (["fin.read"], ["fin.full"], []),
        (["fin.read"], ["fin.read"], []),
        (["fin.full"], ["crm.full"], ["fin.full"]),
    ],
)
def test_more_reach_at_high_risk_needs_a_second_operator(
    wanted: list[str], in_force: list[str], expected: list[str]
) -> None:
    found = four_eyes.high_risk([parse(text) for text in wanted], held(*in_force), KNOWN, KNOWN)

    assert [str(scope) for scope in found] == expected


def test_entry_that_covers_more_than_what_was_approved_needs_one_again() -> None:
    narrower = held("fin.read", covers=(Coverage("fin", "invoice"),))

    assert four_eyes.high_risk([parse("fin.read")], narrower, KNOWN, KNOWN) == [Scope("fin", Level.READ)]


def test_scope_that_the_catalogue_does_not_know_is_none_of_them() -> None:
    assert four_eyes.high_risk([parse("nope.full"), parse("telephony.full")], {}, KNOWN, KNOWN) == []


@pytest.mark.parametrize(
    ("code", "level", "rules", "expected"),
    [
        ("garage", "read", ["crm/*"], True),
        ("garage", "read", ["crm/lead"], False),
        ("garage", "full", ["crm/lead"], True),
        ("garage", "read", ["nowhere/*"], True),
        ("garage", "full", ["core/user/get"], False),
        ("user.me", "full", ["core/user"], True),
        ("fin", "read", ["fin/*"], True),
    ],
)
def test_reach_counts_whatever_risk_an_edited_catalogue_gives_it(
    code: str, level: str, rules: list[str], expected: bool
) -> None:
    edited = overlaid(KNOWN, (catalogues.entry(code, *rules),), 1)

    assert bool(four_eyes.high_risk([parse(f"{code}.{level}")], {}, edited, KNOWN)) is expected


def test_full_is_of_no_lower_risk_than_read() -> None:
    task = KNOWN.described("task")
    assert task is not None
    edited = overlaid(KNOWN, (replace(task, read=replace(task.read, risk="high", reason="Secret texts.")),), 1)

    found = four_eyes.high_risk([parse("task.read"), parse("task.full")], {}, edited, KNOWN)
    shown = edited.describe("task.full")

    assert [str(scope) for scope in found] == ["task.read", "task.full"]
    assert (shown.risk, shown.risk_reason, shown.allows) == (
        "high",
        "Secret texts.",
        f"{task.read.allows} {task.full.allows}",
    )


@given(st.sampled_from([(entry, level) for entry in KNOWN.entries if entry.enabled for level in Level]))
def test_shipped_entries_are_of_the_risk_that_they_name(one: tuple[CatalogueEntry, Level]) -> None:
    entry, level = one

    found = four_eyes.high_risk([Scope(entry.code, level)], {}, KNOWN, KNOWN)

    assert bool(found) == (entry.at(level).risk == "high")


@given(st.sets(st.sampled_from([f"{code}.{level}" for code in KNOWN.coverage for level in Level])))
def test_nothing_needs_a_second_operator_twice(texts: set[str]) -> None:
    wanted = [parse(text) for text in texts]
    highest = {scope.code: scope for scope in sorted(wanted, key=lambda scope: scope.level)}

    assert four_eyes.high_risk(wanted, held(*map(str, highest.values())), KNOWN, KNOWN) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("status", "pending_approval", "The installation is pending approval now; it was active."),
        ("manifest", "b" * 64, "The application's manifest was replaced since."),
        ("in_force", "z", "Other scopes were approved or withdrawn since."),
        ("covers", "z", "The scope catalogue says something else about these scopes since."),
    ],
)
def test_each_change_is_said(name: str, value: str, words: str) -> None:
    assert changes_since(HELD, replace(HELD, **{name: value})) == [words]
    assert changes_since(HELD, HELD) == []


def test_digests_tell_every_difference_and_no_order() -> None:
    rows = [(1, "fin", "read"), (2, "crm", "full")]
    rules = {"fin": [Coverage("fin", "*")], "crm": [Coverage("crm", "account")]}

    assert four_eyes.in_force_digest(rows) == four_eyes.in_force_digest(reversed(rows))
    assert four_eyes.in_force_digest(rows) != four_eyes.in_force_digest([(1, "fin", "full"), (2, "crm", "full")])
    assert four_eyes.in_force_digest(rows) != four_eyes.in_force_digest([(3, "fin", "read"), (2, "crm", "full")])
    assert four_eyes.covers_digest(rules) == four_eyes.covers_digest(dict(reversed(rules.items())))
    assert four_eyes.covers_digest(rules) != four_eyes.covers_digest({**rules, "fin": [Coverage("fin", "invoice")]})
