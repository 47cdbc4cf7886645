"""The scope algebra: it follows Flowlu's documented merge rules and never grants by accident."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.scopes import (
    ANY,
    Approval,
    Call,
    Coverage,
    Level,
    Scope,
    ScopeSyntaxError,
    effective_level,
    from_json,
    granting_scope,
    is_code,
    normalise,
    parse,
    smallest_scope,
    swallowed,
    swallowed_by,
    to_json,
)


@dataclass(frozen=True)
class Rules:
    coverage: Mapping[str, tuple[Coverage, ...]]


CRM = (Coverage("crm", "*"),)
ACCOUNTS = (Coverage("crm", "account"), Coverage("crm", "industry"))
USERS = (Coverage("core", "user"),)
OWN = (Coverage("core", "user", ("get",), own_only=True),)
RULES = Rules({"crm": CRM, "crm.accounts": ACCOUNTS, "users": USERS, "user.me": OWN})

codes = st.sampled_from(["crm", "crm.accounts", "crm.accounts.notes", "crm.deals", "fin", "user.me", "users", "other"])
levels = st.sampled_from(Level)
scopes = st.builds(Scope, codes, levels)
names = st.sampled_from(["crm", "core", "account", "industry", "user", "lead", "get", "list", "update", "delete"])
calls = st.builds(Call, names, names, names, st.none() | st.just("7"))
approvals = st.builds(
    lambda scope, covers: Approval(scope.code, scope.level, covers),
    scopes,
    st.sampled_from([CRM, ACCOUNTS, USERS, OWN, ()]),
)


@pytest.mark.parametrize(
    ("text", "code", "level"),
    [
        ("crm", "crm", Level.READ),
        ("crm.read", "crm", Level.READ),
        ("crm.full", "crm", Level.FULL),
        ("crm.accounts.full", "crm.accounts", Level.FULL),
        ("crm.accounts", "crm.accounts", Level.READ),
        ("user.me", "user.me", Level.READ),
        ("tasks.create", "tasks.create", Level.READ),
        ("b2b-crm_1.to-do.full", "b2b-crm_1.to-do", Level.FULL),
        ("CRM.read", "CRM", Level.READ),
        ("crm.Full", "crm.Full", Level.READ),
        ("a" * 200, "a" * 200, Level.READ),
        ("a" * 195 + ".full", "a" * 195, Level.FULL),
    ],
)
def test_parse(text: str, code: str, level: Level) -> None:
    assert parse(text) == Scope(code, level)


GRAMMAR = "a scope code is dot-separated names of letters, digits, '_' and '-'"
ALONE = "a level alone is not a scope"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", GRAMMAR),
        ("read", ALONE),
        ("full", ALONE),
        (".read", ALONE),
        ("crm.", GRAMMAR),
        ("crm..read", GRAMMAR),
        (".", GRAMMAR),
        (" crm", GRAMMAR),
        ("crm\n", GRAMMAR),
        ("crm read", GRAMMAR),
        ("crm\0", GRAMMAR),
        ("ｃrm", GRAMMAR),
        ("a" * 201, "a scope has at most 200 characters"),
        ("a" * 196 + ".full", "a scope has at most 200 characters"),
    ],
)
def test_what_is_no_scope_is_refused(text: str, message: str) -> None:
    with pytest.raises(ScopeSyntaxError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_a_code_is_no_longer_than_a_scope_may_be() -> None:
    assert Scope("a" * 200, Level.FULL).code == "a" * 200
    with pytest.raises(ScopeSyntaxError) as caught:
        Scope("a" * 201, Level.FULL)
    assert str(caught.value) == GRAMMAR


@given(st.text())
def test_any_text_is_a_scope_or_a_syntax_error(text: str) -> None:
    try:
        scope = parse(text)
    except ScopeSyntaxError:
        return
    assert str(scope) in (text, f"{text}.read")


@given(scopes)
def test_a_scope_reads_back_as_written(scope: Scope) -> None:
    assert parse(str(scope)) == scope


def test_levels_are_ordered_by_reach_and_not_by_the_alphabet() -> None:
    assert Level.READ < Level.FULL
    assert Level.FULL > Level.READ
    assert Level.READ <= Level.READ >= Level.READ
    assert (Level.FULL <= Level.READ) is False
    assert (Level.READ >= Level.FULL) is False
    assert (Level.READ < Level.READ) is False
    assert (Level.FULL > Level.FULL) is False
    assert max(Level.READ, Level.FULL) is Level.FULL
    assert sorted(Level) == [Level.READ, Level.FULL]


@pytest.mark.parametrize(
    ("given_scopes", "expected"),
    [
        (["crm.read", "crm.full"], {"crm": Level.FULL}),
        (["crm.full", "crm.read"], {"crm": Level.FULL}),
        (["crm.read", "crm.accounts.full"], {"crm": Level.READ}),
        (["crm.full", "crm.accounts.read"], {"crm": Level.FULL}),
        (["crm.accounts", "crm.deals.full"], {"crm.accounts": Level.READ, "crm.deals": Level.FULL}),
        (["user.me", "users"], {"user.me": Level.READ, "users": Level.READ}),
        (["user.me", "user"], {"user": Level.READ}),
        (["crm", "crmx.accounts"], {"crm": Level.READ, "crmx.accounts": Level.READ}),
        ([], {}),
    ],
)
def test_normalise(given_scopes: list[str], expected: dict[str, Level]) -> None:
    assert normalise(parse(text) for text in given_scopes) == expected


@given(st.lists(scopes))
def test_normalise_is_stable_and_free_of_order(given_scopes: list[Scope]) -> None:
    once = normalise(given_scopes)
    assert normalise(reversed(given_scopes)) == once
    assert normalise(Scope(code, level) for code, level in once.items()) == once
    assert all(swallowed_by(code, once) is None for code in once)
    assert set(once) | set(swallowed(given_scopes)) == {scope.code for scope in given_scopes}


def test_swallowed_names_the_most_general_module() -> None:
    three = [parse("crm"), parse("crm.accounts"), parse("crm.accounts.notes"), parse("fin")]
    assert swallowed(three) == {"crm.accounts": "crm", "crm.accounts.notes": "crm"}
    assert swallowed_by("crm", {"crm"}) is None


def test_a_part_of_several_names_swallows_what_is_below_it() -> None:
    assert swallowed_by("crm.accounts.notes", {"crm.accounts", "crm.accounts.notes"}) == "crm.accounts"
    assert swallowed_by("crm.accounts.notes.old", {"crm.accounts.notes", "crm.accounts"}) == "crm.accounts"


def test_an_empty_code_swallows_nothing() -> None:
    assert swallowed_by("crm.accounts", {"", "crm.accounts"}) is None


@pytest.mark.parametrize(
    ("action", "level"),
    [
        ("list", "read"),
        ("get", "read"),
        ("delete", "full"),
        ("create", "full"),
        ("listx", "full"),
        ("get_all", "full"),
    ],
)
def test_only_list_and_get_read(action: str, level: str) -> None:
    assert Call("crm", "lead", action).level == Level(level)


def _approve(text: str, covers: tuple[Coverage, ...] | None = None) -> Approval:
    scope = parse(text)
    return Approval(scope.code, scope.level, RULES.coverage[scope.code] if covers is None else covers)


@pytest.mark.parametrize(
    ("approved", "call", "expected"),
    [
        (["crm.read"], Call("crm", "lead", "list"), "crm.read"),
        (["crm.full"], Call("crm", "lead", "list"), "crm.full"),
        (["crm.read"], Call("crm", "lead", "delete", "7"), None),
        (["crm.full"], Call("crm", "lead", "delete", "7"), "crm.full"),
        (["crm.accounts.full"], Call("crm", "account", "update", "7"), "crm.accounts.full"),
        (["crm.accounts.full"], Call("crm", "lead", "get", "7"), None),
        (["crm.read", "crm.accounts.full"], Call("crm", "account", "update", "7"), None),
        (["crm.read", "crm.accounts.full"], Call("crm", "account", "get", "7"), "crm.read"),
        (["user.me"], Call("core", "user", "get"), "user.me.read"),
        (["user.me.full"], Call("core", "user", "get", "7"), None),
        (["user.me.full"], Call("core", "user", "list"), None),
        (["users"], Call("core", "user", "get"), "users.read"),
        (["users", "user.me"], Call("core", "user", "get"), "user.me.read"),
        (["users.read"], Call("core", "user", "update", "7"), None),
        ([], Call("crm", "lead", "list"), None),
        (["crm.full"], Call("fin", "invoice", "list"), None),
    ],
)
def test_granting_scope(approved: list[str], call: Call, expected: str | None) -> None:
    scope = granting_scope([_approve(text) for text in approved], RULES, call)
    assert (None if scope is None else str(scope)) == expected


def test_a_wider_catalogue_does_not_widen_an_approval() -> None:
    then = _approve("crm.accounts.full", (Coverage("crm", "account"),))
    assert granting_scope([then], RULES, Call("crm", "industry", "list")) is None


def test_a_narrower_catalogue_narrows_an_approval() -> None:
    now = Rules({"crm": (Coverage("crm", "lead"),)})
    assert granting_scope([_approve("crm.full")], now, Call("crm", "account", "list")) is None
    assert granting_scope([_approve("crm.full")], now, Call("crm", "lead", "list")) == parse("crm.full")


def test_a_code_that_left_the_catalogue_grants_nothing_and_still_swallows() -> None:
    now = Rules({"crm.accounts": ACCOUNTS})
    approved = [_approve("crm.full"), _approve("crm.accounts.full")]
    assert granting_scope(approved, now, Call("crm", "account", "list")) is None


def test_two_rows_of_one_code_do_not_lend_each_other_reach() -> None:
    wide_read = _approve("crm.read", CRM)
    narrow_full = _approve("crm.full", (Coverage("crm", "account"),))
    assert granting_scope([wide_read, narrow_full], RULES, Call("crm", "lead", "delete", "7")) is None
    assert granting_scope([wide_read, narrow_full], RULES, Call("crm", "lead", "get", "7")) == parse("crm.read")


@given(st.lists(approvals, max_size=5), calls)
def test_whatever_is_granted_is_approved_high_enough_and_covered_twice(
    given_approvals: list[Approval], call: Call
) -> None:
    scope = granting_scope(given_approvals, RULES, call)
    if scope is None:
        return
    effective = normalise(approval.scope for approval in given_approvals)
    assert call.level <= scope.level <= effective[scope.code]
    assert any(rule.covers(call) for rule in RULES.coverage[scope.code])
    assert any(rule.covers(call) for approval in given_approvals if approval.scope == scope for rule in approval.covers)


@given(st.lists(approvals, max_size=5), calls)
def test_the_smallest_scope_would_grant(given_approvals: list[Approval], call: Call) -> None:
    smallest = smallest_scope(RULES, call)
    if smallest is None:
        assert granting_scope(given_approvals, RULES, call) is None
    else:
        alone = Approval(smallest.code, smallest.level, RULES.coverage[smallest.code])
        assert granting_scope([alone], RULES, call) == smallest


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call("core", "user", "get"), "user.me.read"),
        (Call("core", "user", "get", "7"), "users.read"),
        (Call("core", "user", "list"), "users.read"),
        (Call("crm", "account", "get", "7"), "crm.accounts.read"),
        (Call("crm", "account", "delete", "7"), "crm.accounts.full"),
        (Call("crm", "lead", "create"), "crm.full"),
        (Call("st", "projects", "list"), None),
    ],
)
def test_smallest_scope(call: Call, expected: str | None) -> None:
    scope = smallest_scope(RULES, call)
    assert (None if scope is None else str(scope)) == expected


# In each pair both cover the call; the first is the narrower one, for the one reason that the case is named after.
@pytest.mark.parametrize(
    ("narrow", "broad"),
    [
        pytest.param(
            ("b", (Coverage("crm", "lead"), Coverage("crm", "account"))),
            ("a.x", (Coverage("crm", ANY, ("list",)),)),
            id="models outweigh a whole module",
        ),
        pytest.param(
            ("b", (Coverage("crm", "lead", ("list", "get", "create", "update")),)),
            ("a.x", (Coverage("crm", "lead"),)),
            id="single actions outweigh a whole model",
        ),
        pytest.param(
            ("b", (Coverage("crm", "lead", own_only=True), Coverage("crm", "lead", own_only=True))),
            ("a.x", (Coverage("crm", "lead"),)),
            id="own records outweigh a whole model",
        ),
        pytest.param(
            ("b", (Coverage("crm", "lead", ("list",)),)),
            ("a.x", (Coverage("crm", "lead", ("list", "get")),)),
            id="fewer actions outweigh more",
        ),
        pytest.param(
            ("z.x", (Coverage("crm", "lead"),)),
            ("a", (Coverage("crm", "lead"),)),
            id="the longer code is more specific",
        ),
        pytest.param(
            ("a.x", (Coverage("crm", "lead"),)),
            ("b.x", (Coverage("crm", "lead"),)),
            id="the code makes the order total",
        ),
    ],
)
def test_the_narrowest_code_is_named(
    narrow: tuple[str, tuple[Coverage, ...]], broad: tuple[str, tuple[Coverage, ...]]
) -> None:
    call = Call("crm", "lead", "list")
    approved = [Approval(code, Level.READ, covers) for code, covers in (broad, narrow)]
    for rules in (Rules(dict([narrow, broad])), Rules(dict([broad, narrow]))):
        assert smallest_scope(rules, call) == Scope(narrow[0], Level.READ)
        assert granting_scope(approved, rules, call) == Scope(narrow[0], Level.READ)


@given(st.lists(st.sampled_from([*CRM, *ACCOUNTS, *USERS, *OWN])))
def test_coverage_survives_storage(covers: list[Coverage]) -> None:
    assert from_json(to_json(covers)) == tuple(covers)


def test_names_of_a_rule_hold_letters_digits_and_underscores() -> None:
    rule = Coverage("crm_2", "lead_2", ("get_2",))
    assert rule.covers(Call("crm_2", "lead_2", "get_2")) is True


def test_coverage_without_own_only_reaches_every_record() -> None:
    assert from_json([{"module": "crm", "model": "lead", "actions": ["get"]}]) == (
        Coverage("crm", "lead", ("get",), own_only=False),
    )


TEXTS = "needs the texts module and model; own_only is true or false"
MODULE = "module must be a name of lower-case letters, digits and '_'"
MODEL = "model must be '*' or a name of lower-case letters, digits and '_'"
ACTIONS = "actions must be '*' or names of lower-case letters, digits and '_'"


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (None, "covers must be a list"),
        ({}, "covers must be a list"),
        ("*", "covers must be a list"),
        ([None], "covers[0] must be an object"),
        ([to_json(CRM)[0], {}], f"covers[1] {TEXTS}"),
        ([{"module": 1, "model": "*", "actions": "*"}], f"covers[0] {TEXTS}"),
        ([{"module": "crm", "model": 1, "actions": "*"}], f"covers[0] {TEXTS}"),
        ([{"module": "crm", "model": "*", "actions": "*", "own_only": 0}], f"covers[0] {TEXTS}"),
        ([{"module": "crm", "model": "*"}], "covers[0].actions must be '*' or a list of texts"),
        ([{"module": "crm", "model": "*", "actions": "get"}], "covers[0].actions must be '*' or a list of texts"),
        ([{"module": "crm", "model": "*", "actions": [1]}], "covers[0].actions must be '*' or a list of texts"),
        ([{"module": "*", "model": "*", "actions": "*"}], f"covers[0]: {MODULE}"),
        ([{"module": "crm.deals", "model": "*", "actions": "*"}], f"covers[0]: {MODULE}"),
        ([{"module": "crm", "model": "", "actions": "*"}], f"covers[0]: {MODEL}"),
        ([{"module": "crm", "model": "*", "actions": []}], f"covers[0]: {ACTIONS}"),
        ([{"module": "crm", "model": "*", "actions": ["get", "Get"]}], f"covers[0]: {ACTIONS}"),
        (
            [{"module": "crm", "model": "*", "actions": "*", "level": "full", "a": 1}],
            "covers[0] has members other than module, model, actions and own_only",
        ),
    ],
)
def test_damaged_coverage_is_an_error(damaged: object, message: str) -> None:
    with pytest.raises(ValueError, match="cover") as caught:
        from_json(damaged)
    assert str(caught.value) == message


EVERY_CALL = [
    Call(*parts)
    for parts in itertools.product(
        ["crm", "core"], ["account", "industry", "user", "lead"], ["get", "list", "update", "delete"], [None, "7"]
    )
]


rules = st.builds(
    Coverage,
    st.sampled_from(["crm", "core"]),
    st.sampled_from([ANY, "account", "user"]),
    st.just(ANY) | st.lists(st.sampled_from(["get", "list", "update", "delete"]), min_size=1).map(tuple),
    st.booleans(),
)
rule_sets = st.lists(rules, max_size=3).map(tuple)


@given(codes, levels, rule_sets, rule_sets, st.sets(codes))
def test_effective_level_is_that_of_the_highest_call_that_is_let_through(
    code: str, level: Level, then: tuple[Coverage, ...], today: tuple[Coverage, ...], others: set[str]
) -> None:
    approval = Approval(code, level, then)
    beside = [Approval(other, Level.FULL, ()) for other in others - {code}]
    catalogue = Rules({code: today})
    let_through = [call.level for call in EVERY_CALL if granting_scope([approval, *beside], catalogue, call)]

    assert effective_level(approval, {code, *others}, catalogue) == max(let_through, default=None)


@given(approvals, st.sets(codes))
def test_effective_level_is_none_for_what_the_catalogue_does_not_know(approval: Approval, others: set[str]) -> None:
    assert effective_level(approval, others, Rules({})) is None


@pytest.mark.parametrize(
    ("named", "expected"),
    [(("list", "get"), Level.READ), (("update",), Level.FULL), (("list", "update"), Level.FULL)],
)
def test_rule_for_every_action_meets_what_the_other_one_names(named: tuple[str, ...], expected: Level) -> None:
    every, some = Coverage("crm", "*"), Coverage("crm", "account", named)

    assert every.meets(some, Level.FULL) == some.meets(every, Level.FULL) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("crm", True), ("crm.accounts", True), ("crm.read", False), ("read", False), ("", False), ("crm accounts", False)],
)
def test_code_is_a_scope_without_a_level(text, expected):
    assert is_code(text) is expected
