"""Sets of calls: everything that is said of them agrees with asking the rules call by call."""

from itertools import product

import hypothesis.strategies as st
import pytest
from hypothesis import given

from installations.reach import EVERY, NONE, READS, Actions, Cell, Reach
from installations.scopes import Call, Coverage, Level

MODULES, MODELS, ACTIONS = ("crm", "fin"), ("account", "lead", "other"), ("list", "get", "update", "delete", "zap")
# One of each kind that rules can tell apart; no rule names `other` or `zap`, which stand for all the rest.
CALLS = [Call(*parts) for parts in product(MODULES, MODELS, ACTIONS, (None, "7"))]
RULES = st.builds(
    Coverage,
    st.sampled_from(MODULES),
    st.sampled_from(("*", *MODELS[:-1])),
    st.just("*") | st.lists(st.sampled_from(ACTIONS[:-1]), min_size=1, max_size=3).map(tuple),
    st.booleans(),
)
COVERS = st.lists(RULES, max_size=4).map(tuple)
LEVELS = st.sampled_from(list(Level))


def asked(rules: tuple[Coverage, ...], level: Level = Level.FULL) -> set[Call]:
    return {call for call in CALLS if call.level <= level and any(rule.covers(call) for rule in rules)}


def reached(reach: Reach) -> set[Call]:
    found = set()
    for call in CALLS:
        cell = reach.cells.get((call.module, call.model), reach.cells.get((call.module, "*"), Cell()))
        actions = cell.without_id if call.id is None else cell.by_id
        if (call.action in actions.named) is not actions.all_but:
            found.add(call)
    return found


@given(COVERS, LEVELS)
def test_reach_is_what_the_rules_cover(rules: tuple[Coverage, ...], level: Level) -> None:
    reach = Reach.of(rules, level)

    assert reached(reach) == asked(rules, level)
    assert bool(reach) is bool(asked(rules, level))
    assert bool(reach.in_words()) is bool(reach)


@given(COVERS, COVERS, COVERS)
def test_what_two_share_and_what_one_has_beyond_the_other(
    one: tuple[Coverage, ...], other: tuple[Coverage, ...], third: tuple[Coverage, ...]
) -> None:
    mine, theirs, more = (Reach.of(rules) for rules in (one, other, third))

    assert reached(mine & theirs) == asked(one) & asked(other)
    assert reached(mine - theirs) == asked(one) - asked(other)
    assert reached(more & (mine - theirs)) == asked(third) & (asked(one) - asked(other))
    assert bool(mine - theirs) is bool(asked(one) - asked(other))
    assert not (mine - mine)


@given(*[st.builds(Actions, st.frozensets(st.sampled_from(ACTIONS)), st.booleans())] * 2)
def test_actions_are_sets(one: Actions, other: Actions) -> None:
    def names(actions: Actions) -> set[str]:
        every = set(ACTIONS) | {"any other"}
        return every - actions.named if actions.all_but else set(actions.named)

    assert names(one & other) == names(one) & names(other)
    assert names(one | other) == names(one) | names(other)
    assert names(~one) == names(EVERY) - names(one)
    assert bool(one) is bool(names(one))


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (EVERY, "every action"),
        (READS, "get, list"),
        (~READS, "every write"),
        (~Actions(frozenset({"delete"})), "every action but delete"),
        (NONE, ""),
        (Actions(frozenset(f"a{number:02}" for number in range(20))), ", ".join(f"a{n:02}" for n in range(20))),
        (
            Actions(frozenset(f"a{number:02}" for number in range(23))),
            ", ".join(f"a{n:02}" for n in range(20)) + " and 3 more",
        ),
    ],
)
def test_actions_in_words(actions: Actions, words: str) -> None:
    assert str(actions) == words


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ([Coverage("crm", "*")], [], ["crm: every model, every action"]),
        (
            [Coverage("crm", "*")],
            [Coverage("crm", "lead")],
            ["crm: every other model, every action"],
        ),
        (
            [Coverage("crm", "*")],
            [Coverage("crm", "lead", ("list",))],
            ["crm: every other model, every action", "crm: lead, every action but list"],
        ),
        ([Coverage("crm", "lead"), Coverage("crm", "account")], [Coverage("crm", "*")], []),
        (
            [Coverage("core", "user", ("get",))],
            [Coverage("core", "user", ("get",), True)],
            ["core: user, get, records by id only"],
        ),
        ([Coverage("core", "user", ("get",), True)], [], ["core: user, get, own record only"]),
        (
            [Coverage("fin", "invoice"), Coverage("crm", "*")],
            [],
            ["crm: every model, every action", "fin: invoice, every action"],
        ),
    ],
)
def test_difference_in_words(one: list[Coverage], other: list[Coverage], words: list[str]) -> None:
    beyond = Reach.of(one) - Reach.of(other)

    assert beyond.in_words() == words
    assert bool(beyond) is bool(words)
