"""The scope algebra: what approved scopes add up to and which of them lets a call through.

Pure, and written so that doubt denies: a swallowed scope grants nothing of its own, an approval never covers
more than it did on the day it was given, and a code that the catalogue does not know covers nothing at all.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from installations.said import said

MAX_SCOPE_LENGTH = 200
ANY: Literal["*"] = "*"
READ_ACTIONS = frozenset({"list", "get"})

_CODE = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_NAME = re.compile(r"[a-z0-9_]+")

Actions: TypeAlias = Literal["*"] | tuple[str, ...]


class ScopeSyntaxError(ValueError):
    """The text is not a scope: nothing can be looked up under it. It may still be kept and shown verbatim."""


class Level(StrEnum):
    """How far a scope reaches; `READ < FULL`.

    The comparisons of `str` are replaced, because by the alphabet `full` would be the lower one.
    """

    READ = "read"
    FULL = "full"

    @property
    def rank(self) -> int:
        """Give the place in the order of levels."""
        return int(self is Level.FULL)

    def __lt__(self, other: str) -> bool:
        return self.rank < Level(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Level(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Level(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Level(other).rank


_LEVELS = frozenset(level.value for level in Level)


@dataclass(frozen=True, slots=True)
class Scope:
    """One code at one level."""

    code: str
    level: Level

    def __post_init__(self) -> None:
        if len(self.code) > MAX_SCOPE_LENGTH or not _CODE.fullmatch(self.code):
            raise ScopeSyntaxError(said("a scope code is dot-separated names of letters, digits, '_' and '-'"))

    def __str__(self) -> str:
        return f"{self.code}.{self.level.value}"


def parse(text: str) -> Scope:
    """Read `code[.level]`; without a level it is `read`, since Flowlu does not say which level is meant.

    Case counts: `CRM.read` and `crm.Read` are other scopes than `crm.read`. Raises ScopeSyntaxError.
    """
    if len(text) > MAX_SCOPE_LENGTH:
        raise ScopeSyntaxError(
            said("a scope has at most %(max_scope_length)s characters", max_scope_length=MAX_SCOPE_LENGTH)
        )
    code, _, last = text.rpartition(".")
    if last in _LEVELS:
        if not code:
            raise ScopeSyntaxError(said("a level alone is not a scope"))
        return Scope(code, Level(last))
    return Scope(text, Level.READ)


def read(text: str) -> Scope | None:
    """Return the scope, or None for a text that is none."""
    try:
        return parse(text)
    except ScopeSyntaxError:
        return None


def is_code(text: str) -> bool:
    """Say whether a text is written as the code of a scope, without a level."""
    scope = read(text)
    return scope is not None and scope.code == text


def highest(scopes: Iterable[Scope]) -> dict[str, Level]:
    """Return the highest level of each code."""
    found: dict[str, Level] = {}
    for scope in scopes:
        found[scope.code] = max(scope.level, found.get(scope.code, scope.level))
    return found


def swallowed_by(code: str, codes: Iterable[str]) -> str | None:
    """Name the most general of `codes` that `code` is a part of, or None if it stands for itself."""
    parts = code.split(".")
    present = set(codes)
    for length in range(1, len(parts)):
        module = ".".join(parts[:length])
        if module in present:
            return module
    return None


def swallowed(scopes: Iterable[Scope]) -> dict[str, str]:
    """Map each part that is swallowed to the module code that swallows it."""
    codes = {scope.code for scope in scopes}
    found = ((code, swallowed_by(code, codes)) for code in sorted(codes))
    return {code: module for code, module in found if module is not None}


def normalise(scopes: Iterable[Scope]) -> dict[str, Level]:
    """Reduce scopes to what they add up to, by code in alphabetical order.

    The highest level of a code counts. A module swallows its parts with its own level, also where that is the
    lower one: `crm.read` with `crm.accounts.full` is `crm.read`. That is Flowlu's documented rule, and it
    denies the write.
    """
    levels = highest(scopes)
    return {code: levels[code] for code in sorted(levels) if swallowed_by(code, levels) is None}


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of Flowlu, as far as scopes are concerned."""

    module: str
    model: str
    action: str
    id: str | None = None

    @property
    def level(self) -> Level:
        """Give the level that the call needs: by the action's name, since Flowlu's deletes are GETs."""
        return Level.READ if self.action in READ_ACTIONS else Level.FULL


@dataclass(frozen=True, slots=True)
class Coverage:
    """One rule of what a scope reaches: a module, one model or all of them, some actions or all of them.

    `own_only` narrows it to calls without an id, which at Flowlu means the caller's own record.
    """

    module: str
    model: str
    actions: Actions = ANY
    own_only: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.module):
            raise ValueError("module must be a name of lower-case letters, digits and '_'")
        if self.model != ANY and not _NAME.fullmatch(self.model):
            raise ValueError("model must be '*' or a name of lower-case letters, digits and '_'")
        if self.actions != ANY and not (self.actions and all(_NAME.fullmatch(action) for action in self.actions)):
            raise ValueError("actions must be '*' or names of lower-case letters, digits and '_'")

    def covers(self, call: Call) -> bool:
        """Say whether the call is inside this rule, whatever the level."""
        return (
            self.module == call.module
            and self.model in (ANY, call.model)
            and (self.actions == ANY or call.action in self.actions)
            and not (self.own_only and call.id is not None)
        )

    def meets(self, other: "Coverage", level: Level) -> Level | None:
        """Return the highest level, up to the given one, of a call that both rules cover; None if there is none."""
        if self.module != other.module or not (ANY in (self.model, other.model) or self.model == other.model):
            return None
        if self.actions == ANY and other.actions == ANY:
            return level
        named = other.actions if self.actions == ANY else self.actions
        shared = [action for action in named if ANY in (self.actions, other.actions) or action in other.actions]
        needed = {Level.READ if action in READ_ACTIONS else Level.FULL for action in shared}
        return max((each for each in needed if each <= level), default=None)


@dataclass(frozen=True, slots=True)
class Approval:
    """One approved scope with a copy of what its catalogue entry covered when it was approved."""

    code: str
    level: Level
    covers: tuple[Coverage, ...]

    @property
    def scope(self) -> Scope:
        """Give the scope without what it covers."""
        return Scope(self.code, self.level)


class CoverageSource(Protocol):
    """What the algebra needs of a catalogue: the rules of each code that counts."""

    @property
    def coverage(self) -> Mapping[str, tuple[Coverage, ...]]:
        """Map each enabled code to its rules."""
        ...


def granting_scope(approved: Iterable[Approval], catalogue: CoverageSource, call: Call) -> Scope | None:
    """Name the approved scope that lets the call through, the narrowest of several, or None to deny.

    Both today's catalogue and the copy in the approval must cover the call, so an edited catalogue can take
    away but never add. Each approval counts with its own level and its own copy: two rows of one code do not
    lend each other reach. A swallowed scope grants nothing, even where the scope that swallows it does not
    cover the call.
    """
    approvals = tuple(approved)
    codes = {approval.code for approval in approvals}
    granting = [
        approval.scope
        for approval in approvals
        if approval.level >= call.level
        and swallowed_by(approval.code, codes) is None
        and _covered(approval.covers, call)
        and _covered(catalogue.coverage.get(approval.code, ()), call)
    ]
    return min(granting, key=lambda scope: _breadth(scope.code, catalogue.coverage[scope.code]), default=None)


def effective_level(approval: Approval, approved: Iterable[str], catalogue: CoverageSource) -> Level | None:
    """Return the highest level of a call that the approval lets through beside the other approved codes, or None.

    The same reading as `granting_scope`: what a module swallows grants nothing, and only what both today's catalogue
    and the copy in the approval cover counts.
    """
    if swallowed_by(approval.code, approved) is not None:
        return None
    today = catalogue.coverage.get(approval.code, ())
    levels = [rule.meets(other, approval.level) for rule in approval.covers for other in today]
    return max((level for level in levels if level is not None), default=None)


def smallest_scope(catalogue: CoverageSource, call: Call) -> Scope | None:
    """Name the narrowest scope in the catalogue that would allow the call, or None if none would."""
    covering = [code for code, rules in catalogue.coverage.items() if _covered(rules, call)]
    if not covering:
        return None
    return Scope(min(covering, key=lambda code: _breadth(code, catalogue.coverage[code])), call.level)


def to_json(covers: Iterable[Coverage]) -> list[dict[str, object]]:
    """Write rules as plain JSON, for a column."""
    return [
        {
            "module": rule.module,
            "model": rule.model,
            "actions": ANY if rule.actions == ANY else list(rule.actions),
            "own_only": rule.own_only,
        }
        for rule in covers
    ]


def from_json(value: object) -> tuple[Coverage, ...]:
    """Read what `to_json` wrote; raises ValueError on anything else, so that a damaged row grants nothing."""
    if not isinstance(value, list):
        raise ValueError("covers must be a list")
    return tuple(_rule_from_json(item, f"covers[{index}]") for index, item in enumerate(value))


def _rule_from_json(item: object, place: str) -> Coverage:
    if not isinstance(item, dict):
        raise ValueError(f"{place} must be an object")
    if item.keys() - {"module", "model", "actions", "own_only"}:
        raise ValueError(f"{place} has members other than module, model, actions and own_only")
    module, model, actions = item.get("module"), item.get("model"), item.get("actions")
    own_only = item.get("own_only", False)
    if not isinstance(module, str) or not isinstance(model, str) or not isinstance(own_only, bool):
        raise ValueError(f"{place} needs the texts module and model; own_only is true or false")
    names: Actions
    if actions == ANY:
        names = ANY
    elif isinstance(actions, list) and all(isinstance(action, str) for action in actions):
        names = tuple(actions)
    else:
        raise ValueError(f"{place}.actions must be '*' or a list of texts")
    try:
        return Coverage(module, model, names, own_only)
    except ValueError as exc:
        raise ValueError(f"{place}: {exc}") from exc


def _covered(rules: Iterable[Coverage], call: Call) -> bool:
    return any(rule.covers(call) for rule in rules)


def _breadth(code: str, rules: tuple[Coverage, ...]) -> tuple[int, int, int, int, str]:
    """Order codes from narrow to broad: whole modules weigh most, then whole models, then single actions.

    Where the reach is the same, the longer code is the more specific one; the code itself makes the order
    total.
    """
    return (
        sum(rule.model == ANY for rule in rules),
        sum(rule.actions == ANY and not rule.own_only for rule in rules),
        sum(len(rule.actions) for rule in rules),
        -code.count("."),
        code,
    )
