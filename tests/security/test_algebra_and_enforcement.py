"""The scope algebra and the enforcement agree on every set of scopes, module, model and action of the catalogue.

The algebra is written here a second time, naively: as the sets of calls that the words of design.md §9 give. What is
compared with it is `check_call`, with the shipped catalogue and with one that operators laid over it.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations, product

import pytest

from installations import catalogue
from installations.catalogue import Catalogue
from installations.errors import InsufficientScope
from installations.scopes import Approval, Call, Level, Scope, effective_level, normalise
from tests.catalogues import covers, entry
from tests.tokens.test_access import WELL
from tokens.access import Caller, check_call

SAMPLED = 150
SHIPPED = catalogue.load()


def edited() -> Catalogue:
    """Return a catalogue with codes of every kind that an operator can make."""
    fin, crm, users = (SHIPPED.described(code) for code in ("fin", "crm.accounts", "users"))
    assert fin is not None
    assert crm is not None
    assert users is not None
    own = [
        replace(fin, covers=covers("fin/invoice/list", "fin/estimate")),
        replace(crm, covers=(*crm.covers, *covers("fin/*/get")), models=()),
        replace(users, enabled=False),
        entry("st.projects", "st/projects"),
        entry("st", "st/*/list", "agile/issues/archive"),
    ]
    return catalogue.overlaid(SHIPPED, own, 1)


CATALOGUES = {"shipped": SHIPPED, "edited": edited()}


def calls_of(known: Catalogue) -> list[Call]:
    """Return every module and model that any entry names, and one of each that none does, with every kind of action."""
    found = {
        (rule.module, model)
        for each in (*known.entries, *SHIPPED.entries)
        for rule in each.covers
        for model in (rule.model, *each.models, "unseen")
        if model != "*"
    } | {("unseen", "unseen")}
    named = {action for each in known.entries for rule in each.covers for action in rule.actions if action != "*"}
    actions = sorted(named | {"list", "get", "update", "unseen"})
    return [
        Call(module, model, action, id)
        for (module, model), action in product(sorted(found), actions)
        for id in (None, "7")
    ]


def allowed_by_words(approved: Iterable[Scope], known: Catalogue, calls: list[Call]) -> set[Call]:
    """Return the calls that the approved scopes let through, read from the rules as people read them."""
    highest: dict[str, str] = {}
    for scope in approved:
        if highest.get(scope.code) != "full":
            highest[scope.code] = scope.level.value
    found = set()
    for code, level in highest.items():
        general = [other for other in highest if code.startswith(f"{other}.")]
        described = known.described(code)
        if general or described is None or not described.enabled:
            continue
        for call in calls:
            if level == "read" and call.action not in ("list", "get"):
                continue
            for rule in described.covers:
                if rule.module != call.module or rule.model not in ("*", call.model):
                    continue
                if rule.actions != "*" and call.action not in rule.actions:
                    continue
                if not (rule.own_only and call.id):
                    found.add(call)
    return found


def allowed_by_enforcement(caller: Caller, known: Catalogue, calls: list[Call]) -> set[Call]:
    found = set()
    for call in calls:
        try:
            check_call(caller, call, known, http_method="POST")
        except InsufficientScope:
            continue
        found.add(call)
    return found


def approvals_of(scopes: Iterable[Scope], known: Catalogue) -> list[Approval]:
    """Return approvals that were given under this catalogue, also of codes that were switched off since."""
    found = []
    for code, level in _highest(scopes).items():
        described = known.described(code)
        found.append(Approval(code, level, described.covers if described else ()))
    return found


def _highest(scopes: Iterable[Scope]) -> dict[str, Level]:
    found: dict[str, Level] = {}
    for scope in scopes:
        found[scope.code] = max(scope.level, found.get(scope.code, scope.level))
    return found


def sets_of(known: Catalogue) -> Iterator[tuple[Scope, ...]]:
    """Yield every set of at most two scopes, and some of the larger ones, the same in each run."""
    every = [Scope(code, level) for code in [*(each.code for each in known.entries), "no.such"] for level in Level]
    for size in (0, 1, 2):
        yield from combinations(every, size)
    chance = random.Random(20261125)
    for _ in range(SAMPLED):
        yield tuple(chance.sample(every, chance.randint(3, 12)))


@pytest.mark.parametrize("name", CATALOGUES)
def test_enforcement_lets_through_what_the_words_say_and_nothing_else(name: str) -> None:
    known = CATALOGUES[name]
    calls = calls_of(known)
    by_scope: dict[Scope, set[Call]] = {}
    for scopes in sets_of(known):
        # A set allows what each of its effective scopes allows by itself; the words are read for each once.
        expected: set[Call] = set()
        for code, level in _without_swallowed(scopes).items():
            scope = Scope(code, level)
            if scope not in by_scope:
                by_scope[scope] = allowed_by_words([scope], known, calls)
            expected |= by_scope[scope]
        approvals = approvals_of(scopes, known)
        caller = replace(WELL, approvals=approvals, catalogue=known)
        assert allowed_by_enforcement(caller, known, calls) == expected, scopes
        assert normalise(scopes) == _without_swallowed(scopes)
        codes = [approval.code for approval in approvals]
        for approval in approvals:
            mine = by_scope.get(approval.scope, set()) if approval.code in _without_swallowed(scopes) else set()
            level = effective_level(approval, codes, known)
            assert level == max((call.level for call in mine), default=None), (scopes, approval)


def _without_swallowed(scopes: Iterable[Scope]) -> dict[str, Level]:
    highest = _highest(scopes)
    return {
        code: highest[code] for code in sorted(highest) if not any(code.startswith(f"{other}.") for other in highest)
    }


@pytest.mark.parametrize("name", CATALOGUES)
def test_words_of_a_set_are_those_of_its_scopes(name: str) -> None:
    known = CATALOGUES[name]
    calls = calls_of(known)
    every = [Scope(each.code, level) for each in known.entries for level in Level]
    chance = random.Random(7)
    for _ in range(60):
        scopes = chance.sample(every, chance.randint(1, 6))
        parts = [allowed_by_words([Scope(*each)], known, calls) for each in _without_swallowed(scopes).items()]
        assert allowed_by_words(scopes, known, calls) == set().union(*parts)


def test_calls_reach_every_entry_and_miss_every_one() -> None:
    for known in CATALOGUES.values():
        calls = calls_of(known)
        for each in known.entries:
            reached = {call for call in calls for rule in each.covers if rule.covers(call)}
            assert reached
            assert len(reached) < len(calls)
