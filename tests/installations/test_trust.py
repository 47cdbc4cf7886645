"""What a policy trusts the portal's administrator for. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations import catalogue, scopes
from installations.scopes import Level, parse
from installations.trust import TRUSTED_RISKS, known_scopes, trusted_scopes

KNOWN = catalogue.load()
ASKED = ["user.me.read", "crm.deals.read", "fin.read", "products.full", "nope.read", "not a scope"]
TEXTS = st.lists(
    st.sampled_from([f"{code}.{level}" for code in KNOWN.coverage for level in Level] + ["nope.full", "!"])
)


def trusted(policy: str, requested: list[str]) -> list[str]:
    return [str(scope) for scope in trusted_scopes(policy, requested, KNOWN, KNOWN)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("manual", []),
        ("trust_low", ["user.me.read"]),
        ("trust_medium", ["crm.deals.read", "products.full", "user.me.read"]),
        ("trust_high", ["crm.deals.read", "fin.read", "products.full", "user.me.read"]),
    ],
)
def test_policy_trusts_up_to_its_risk(policy: str, expected: list[str]) -> None:
    assert trusted(policy, ASKED) == expected


def test_part_of_a_module_that_is_asked_for_is_not_trusted_beside_it() -> None:
    # Flowlu's administrator approved crm.read, of which crm.deals.full is a part: the write was approved by nobody.
    assert trusted("trust_high", ["crm.read", "crm.deals.full"]) == ["crm.read"]
    assert trusted("trust_medium", ["crm.read", "crm.deals.read"]) == []


def test_highest_level_of_a_code_counts() -> None:
    assert trusted("trust_low", ["products.read", "products.full"]) == []


@given(TEXTS, st.sampled_from(sorted(TRUSTED_RISKS)))
def test_no_policy_approves_more_than_is_asked_for(texts: list[str], policy: str) -> None:
    found = trusted_scopes(policy, texts, KNOWN, KNOWN)
    effective = scopes.normalise(known_scopes(texts, KNOWN))

    assert {scope.code: scope.level for scope in found}.items() <= effective.items()
    for scope in found:
        risk = KNOWN.entries[[entry.code for entry in KNOWN.entries].index(scope.code)].at(scope.level).risk
        assert risk in TRUSTED_RISKS[policy]


def test_known_scopes_are_those_that_could_be_approved() -> None:
    assert known_scopes(["fin.read", "nope.read", "telephony.read", "!"], KNOWN) == [parse("fin.read")]
