"""What an edit means: wider and narrower exactly, risks and words by name, and the approvals that it touches."""

from dataclasses import replace

import pytest
from hypothesis import given

from installations import catalogue
from installations.catalogue import CatalogueEntry, LevelMeaning
from installations.catalogue_changes import Touched, change_of, changes, touched_by
from installations.scopes import Approval, Coverage, Level, granting_scope
from tests.catalogues import covers, entry
from tests.installations.test_reach import CALLS, COVERS, LEVELS

PLAIN = entry("warehouse", "warehouse/stock")


def test_same_entry_is_no_change() -> None:
    change = change_of("warehouse", PLAIN, PLAIN)

    assert change.is_empty is True
    assert change.summary == "no change"
    assert change_of("warehouse", None, None).is_empty is True


@pytest.mark.parametrize(
    ("old", "new", "summary", "wider", "narrower", "words"),
    [
        (None, PLAIN, "new, covers more", ["warehouse: stock, every action"], [], ["It is new."]),
        (None, replace(PLAIN, enabled=False), "new", [], [], ["It is new.", "It is switched off."]),
        (PLAIN, None, "gone, covers less", [], ["warehouse: stock, every action"], ["It is gone."]),
        (
            PLAIN,
            replace(PLAIN, enabled=False),
            "covers less, other words",
            [],
            ["warehouse: stock, every action"],
            ["It is switched off."],
        ),
        (
            replace(PLAIN, enabled=False),
            PLAIN,
            "covers more, other words",
            ["warehouse: stock, every action"],
            [],
            ["It is switched on."],
        ),
        (
            PLAIN,
            replace(PLAIN, covers=covers("warehouse/stock/list", "fin/invoice"), models=("invoice", "stock")),
            "covers more, covers less, other words",
            ["fin: invoice, every action"],
            ["warehouse: stock, every action but list"],
            ["Other words: models."],
        ),
        (
            PLAIN,
            replace(PLAIN, title="x", meaning="x", source="x", documented=True),
            "other words",
            [],
            [],
            ["It is documented by Flowlu.", "Other words: title, meaning, source."],
        ),
        (
            replace(PLAIN, documented=True),
            PLAIN,
            "other words",
            [],
            [],
            ["It is not documented by Flowlu."],
        ),
        (
            PLAIN,
            replace(PLAIN, read=LevelMeaning("x", "low", "x")),
            "other words",
            [],
            [],
            ["Other words: allows of read, reason of read."],
        ),
        (
            PLAIN,
            replace(PLAIN, covers=covers("warehouse/stock", "warehouse/stock/list")),
            "other words",
            [],
            [],
            ["Other words: the way in which the rules are written."],
        ),
        (
            replace(PLAIN, enabled=False),
            replace(PLAIN, enabled=False, covers=covers("warehouse/*")),
            "other words",
            [],
            [],
            ["Other words: what it would cover."],
        ),
    ],
)
def test_change_in_words(
    old: CatalogueEntry | None,
    new: CatalogueEntry | None,
    summary: str,
    wider: list[str],
    narrower: list[str],
    words: list[str],
) -> None:
    change = change_of("warehouse", old, new)

    assert (change.summary, change.wider, change.narrower, change.words) == (summary, wider, narrower, words)
    assert change.is_empty is False


def test_other_risk_is_named_with_its_level() -> None:
    change = change_of("warehouse", PLAIN, replace(PLAIN, full=replace(PLAIN.full, risk="high")))

    assert (change.summary, change.risks) == ("other risk", ["full: low becomes high"])


def test_every_member_of_an_entry_is_seen() -> None:
    other = entry("other", "fin/invoice", documented=True, enabled=False, source="x", meaning="x", title="y")
    level = LevelMeaning("x", "high", "x")
    for name in (*PLAIN.__slots__,):
        value = level if name in ("read", "full") else getattr(other, name)
        if name != "code":
            assert not change_of("warehouse", PLAIN, replace(PLAIN, **{name: value})).is_empty, name


def test_catalogues_are_compared_code_by_code() -> None:
    shipped = catalogue.load()
    fin = shipped.described("fin")
    assert fin is not None
    after = catalogue.overlaid(shipped, [replace(fin, title="Money"), PLAIN], 1)

    assert [(change.code, change.summary) for change in changes(shipped, after)] == [
        ("fin", "other words"),
        ("warehouse", "new, covers more"),
    ]
    assert [change.code for change in changes(after, shipped)] == ["fin", "warehouse"]
    assert changes(after, after) == []


@given(COVERS.filter(bool), COVERS.filter(bool), COVERS, LEVELS)
def test_touched_approvals_are_those_whose_calls_the_enforcement_answers_otherwise(
    old: tuple[Coverage, ...], new: tuple[Coverage, ...], copy: tuple[Coverage, ...], level: Level
) -> None:
    approval = Approval("warehouse", level, copy)
    before, after = (entry("warehouse", covers=rules) for rules in (old, new))

    def allowed(found: CatalogueEntry) -> set[object]:
        known = catalogue.overlaid(catalogue.load(), [found], 1)
        return {call for call in CALLS if granting_scope([approval], known, call)}

    touched = touched_by(change_of("warehouse", before, after), [(approval, 3)])

    assert touched == Touched(
        3 if allowed(before) - allowed(after) else 0, 3 if allowed(after) - allowed(before) else 0
    )
    assert touched + Touched(1, 1) == Touched(touched.less + 1, touched.again + 1)
