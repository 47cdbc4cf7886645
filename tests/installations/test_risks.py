"""The risk that guards: as the entry has it, or higher where the shipped catalogue calls what it reaches so. Pure."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations import catalogue
from installations.catalogue import RISKS, CatalogueEntry, LevelMeaning, Risk
from installations.risks import guarded_risk
from installations.scopes import Level
from tests import catalogues

SHIPPED = catalogue.load()
ENTRIES = st.sampled_from(SHIPPED.entries)
LEVELS = st.sampled_from(list(Level))


def called(entry: CatalogueEntry, risk: Risk) -> CatalogueEntry:
    return replace(entry, read=replace(entry.read, risk=risk), full=replace(entry.full, risk=risk))


@given(ENTRIES, LEVELS)
def test_shipped_entry_is_of_the_risk_that_it_names(entry: CatalogueEntry, level: Level) -> None:
    assert guarded_risk(entry, level, SHIPPED) == entry.at(level).risk


@given(ENTRIES, LEVELS, st.sampled_from(RISKS))
def test_edited_words_never_lower_it_and_always_raise_it(entry: CatalogueEntry, level: Level, said: Risk) -> None:
    found = guarded_risk(called(entry, said), level, SHIPPED)

    assert RISKS.index(found) >= RISKS.index(said)
    others = (other for other in SHIPPED.entries if other.at(level).risk == "low" and other.code != entry.code)
    if entry.at(level).risk != "low" and not any(set(entry.covers) <= set(other.covers) for other in others):
        assert found != "low"


@pytest.mark.parametrize(
    ("rules", "level", "expected"),
    [
        (["products/*"], Level.READ, "low"),
        (["products/product"], Level.FULL, "medium"),
        (["products/product/list"], Level.FULL, "low"),  # though the level says more, nothing is written
        (["task/*"], Level.READ, "medium"),
        (["fin/invoice"], Level.READ, "high"),
        (["products/*", "fin/invoice"], Level.READ, "high"),
        (["nowhere/*"], Level.READ, "high"),
        (["agile/*"], Level.READ, "high"),  # described, and switched off
    ],
)
def test_code_of_their_own_is_of_the_risk_of_what_it_reaches(rules: list[str], level: Level, expected: str) -> None:
    public = LevelMeaning("See it.", "low", "It is public.")
    entry = replace(catalogues.entry("garage", *rules), read=public, full=public)

    assert guarded_risk(entry, level, SHIPPED) == expected
