"""Nobody is told of what they may not see, whatever they chose; who did not choose is told what concerns them."""

import pytest

from flowlu_admin.notices.kinds import CHOSEN, RULES, How, Kind, default_for, how_told, may_see
from flowlu_admin.roles import ROLES


def may(*permissions: str):
    return set(permissions).__contains__


@pytest.mark.parametrize("kind", CHOSEN)
def test_kind_is_told_only_to_who_may_see_it(kind: Kind) -> None:
    rule = RULES[kind]
    everything = {*rule.sees, rule.concerns}
    for lacking in rule.sees:
        assert how_told(kind, may(*(everything - {lacking})), {kind: How.AT_ONCE}) is How.OFF
    assert how_told(kind, may(*rule.sees), {kind: How.AT_ONCE}) is How.AT_ONCE
    assert rule.sees


@pytest.mark.parametrize("kind", CHOSEN)
def test_choice_comes_before_the_default(kind: Kind) -> None:
    for how in How:
        assert how_told(kind, lambda _permission: True, {kind: how}) is how
    assert how_told(kind, lambda _permission: True, {}) is RULES[kind].default


def test_defaults_of_the_groups_are_these() -> None:
    told = {
        name: {how: [str(kind) for kind in CHOSEN if default_for(kind, may(*held)) is how] for how in How}
        for name, held in ROLES.items()
    }
    always = ["undecryptable", "audit_failed", "key_missing"]
    decides = ["waits", "escalation", "review_due"]
    assert {name: found[How.AT_ONCE] for name, found in told.items()} == {
        "Auditor": ["break_glass", *always],
        "Reviewer": ["four_eyes", "break_glass", *always],
        "Responder": ["break_glass", *always],
    }
    assert {name: found[How.DAILY] for name, found in told.items()} == {
        "Auditor": [],
        "Reviewer": decides,
        "Responder": ["suspected", "bulk_revocation"],
    }


def test_every_group_may_see_every_kind_and_an_outsider_none() -> None:
    for held in ROLES.values():
        assert all(may_see(kind, may(*held)) for kind in CHOSEN)
    assert [kind for kind in CHOSEN if may_see(kind, may())] == []


@pytest.mark.parametrize("kind", Kind)
def test_title_has_its_number_and_its_plural_right(kind: Kind) -> None:
    one, many = RULES[kind].title(1), RULES[kind].title(1234)
    assert "{" not in one + many
    assert (one == many) is (kind in {Kind.UNDECRYPTABLE, Kind.AUDIT_FAILED})
    assert one == many or many.startswith("1,234 ")
