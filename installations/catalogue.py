"""The catalogue: which scopes are known, what they reach and what that means to a person.

It ships as `catalogue.json`. A code that Flowlu's documentation does not name is described there but not
enabled: pages can explain it, while enforcement treats it like any unknown code, which is to deny.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from installations.scopes import Coverage, Level, Scope, ScopeSyntaxError, from_json, parse
from installations.strict_json import JSONValue, StrictJSONError, loads

Risk: TypeAlias = Literal["low", "medium", "high"]

CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")
MAX_CATALOGUE_BYTES = 1024 * 1024

_RISKS: tuple[Risk, ...] = get_args(Risk)
_MEMBERS = frozenset(
    {"code", "title", "meaning", "read", "full", "covers", "models", "documented", "enabled", "source"}
)


class CatalogueInvalid(ValueError):
    """The shipped file is damaged; nothing can be enforced with it."""


@dataclass(frozen=True, slots=True)
class LevelMeaning:
    """What one level of a scope allows, in words, and how much harm it could do."""

    allows: str
    risk: Risk
    reason: str


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One scope code as the catalogue describes it."""

    code: str
    title: str
    meaning: str
    read: LevelMeaning
    full: LevelMeaning
    covers: tuple[Coverage, ...]
    models: tuple[str, ...]
    documented: bool
    enabled: bool
    source: str

    def at(self, level: Level) -> LevelMeaning:
        """Return what the given level means."""
        return self.full if level is Level.FULL else self.read

    @property
    def modules(self) -> tuple[str, ...]:
        """Name the API modules that are reached, in alphabetical order."""
        return tuple(sorted({rule.module for rule in self.covers}))


@dataclass(frozen=True, slots=True)
class ScopeDescription:
    """A scope in words; `known` is false for one that grants nothing, and `text` is then kept verbatim."""

    text: str
    known: bool
    documented: bool
    title: str
    meaning: str
    allows: str
    risk: Risk | None
    risk_reason: str
    models: tuple[str, ...]


class Catalogue:
    """All entries of one file. Enforcement sees the enabled ones; `described` sees every one."""

    def __init__(self, entries: tuple[CatalogueEntry, ...], version: str) -> None:
        self.version = version
        self.entries = entries
        self._by_code = {entry.code: entry for entry in entries}
        self._coverage = MappingProxyType({entry.code: entry.covers for entry in entries if entry.enabled})

    def __repr__(self) -> str:
        return f"<Catalogue {self.version}: {len(self._coverage)} of {len(self.entries)} codes enabled>"

    @property
    def coverage(self) -> Mapping[str, tuple[Coverage, ...]]:
        """Map each enabled code to its rules: what enforcement works with."""
        return self._coverage

    def get(self, code: str) -> CatalogueEntry | None:
        """Return the enabled entry, the only kind that may be approved and that grants."""
        entry = self._by_code.get(code)
        return entry if entry is not None and entry.enabled else None

    def described(self, code: str) -> CatalogueEntry | None:
        """Return the entry for display, enabled or not."""
        return self._by_code.get(code)

    def describe(self, scope: Scope | str) -> ScopeDescription:
        """Explain a scope, also one that is unknown or is no scope at all."""
        text = str(scope)
        try:
            known_form = scope if isinstance(scope, Scope) else parse(scope)
        except ScopeSyntaxError:
            return _unknown(text, "This is not written as a scope. It grants nothing and cannot be approved.")
        entry = self._by_code.get(known_form.code)
        if entry is None:
            return _unknown(text, "This scope is not in the catalogue. It grants nothing and cannot be approved.")
        level = entry.at(known_form.level)
        meaning = entry.meaning
        if not entry.enabled:
            meaning += " Flowlu documents no such scope: it grants nothing and cannot be approved."
        return ScopeDescription(
            text=text,
            known=entry.enabled,
            documented=entry.documented,
            title=entry.title,
            meaning=meaning,
            allows=_whole(entry, level),
            risk=level.risk,
            risk_reason=level.reason,
            models=entry.models,
        )


@cache
def load() -> Catalogue:
    """Read the shipped catalogue, once per process."""
    return parse_catalogue(CATALOGUE_FILE.read_bytes())


def parse_catalogue(data: bytes) -> Catalogue:
    """Check a catalogue file completely; raises CatalogueInvalid with the place of the first fault."""
    try:
        document = loads(data, max_bytes=MAX_CATALOGUE_BYTES)
    except StrictJSONError as exc:
        raise CatalogueInvalid(str(exc)) from exc
    if not isinstance(document, dict) or document.keys() != {"schema", "scopes"} or document["schema"] != 1:
        raise CatalogueInvalid("the catalogue must be an object with schema 1 and scopes")
    scopes = document["scopes"]
    if not isinstance(scopes, list) or not scopes:
        raise CatalogueInvalid("scopes must be a list with at least one entry")
    entries = tuple(_entry(item, f"scopes[{index}]") for index, item in enumerate(scopes))
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.code in seen:
            raise CatalogueInvalid(f"scopes[{index}].code: {entry.code} is there twice")
        seen.add(entry.code)
    return Catalogue(entries, hashlib.sha256(data).hexdigest()[:12])


def _whole(entry: CatalogueEntry, level: LevelMeaning) -> str:
    """Return what a level allows; where it says "also", with what it adds to."""
    return f"{entry.read.allows} {level.allows}" if level.allows.startswith("Also ") else level.allows


def _unknown(text: str, meaning: str) -> ScopeDescription:
    return ScopeDescription(
        text=text,
        known=False,
        documented=False,
        title=text,
        meaning=meaning,
        allows="Nothing.",
        risk=None,
        risk_reason="",
        models=(),
    )


def _entry(item: JSONValue, place: str) -> CatalogueEntry:
    if not isinstance(item, dict):
        raise CatalogueInvalid(f"{place}: must be an object")
    if item.keys() != _MEMBERS:
        odd = sorted(item.keys() ^ _MEMBERS)
        raise CatalogueInvalid(f"{place}: members missing or unknown: {', '.join(odd)}")
    code = _text(item["code"], f"{place}.code")
    try:
        scope = parse(f"{code}.read")
        own_reading = parse(code)
    except ScopeSyntaxError as exc:
        raise CatalogueInvalid(f"{place}.code: {exc}") from exc
    if scope.code != code or own_reading.code != code:
        raise CatalogueInvalid(f"{place}.code: the level is not part of a code")
    try:
        covers = from_json(item["covers"])
    except ValueError as exc:
        raise CatalogueInvalid(f"{place}: {exc}") from exc
    if not covers:
        raise CatalogueInvalid(f"{place}.covers: must not be empty")
    models = item["models"]
    if not isinstance(models, list):
        raise CatalogueInvalid(f"{place}.models: must be a list")
    names = tuple(_text(model, f"{place}.models[{index}]") for index, model in enumerate(models))
    ruled = {rule.model for rule in covers}
    if "*" not in ruled and ruled != set(names):
        raise CatalogueInvalid(f"{place}.models: must be the models that covers names")
    documented, enabled = item["documented"], item["enabled"]
    if not isinstance(documented, bool) or not isinstance(enabled, bool):
        raise CatalogueInvalid(f"{place}: documented and enabled are true or false")
    return CatalogueEntry(
        code=code,
        title=_text(item["title"], f"{place}.title"),
        meaning=_text(item["meaning"], f"{place}.meaning"),
        read=_level(item["read"], f"{place}.read"),
        full=_level(item["full"], f"{place}.full"),
        covers=covers,
        models=names,
        documented=documented,
        enabled=enabled,
        source=_text(item["source"], f"{place}.source"),
    )


def _level(item: JSONValue, place: str) -> LevelMeaning:
    if not isinstance(item, dict) or item.keys() != {"allows", "risk", "reason"}:
        raise CatalogueInvalid(f"{place}: must be an object with allows, risk and reason")
    risk = next((known for known in _RISKS if known == item["risk"]), None)
    if risk is None:
        raise CatalogueInvalid(f"{place}.risk: must be one of {', '.join(_RISKS)}")
    return LevelMeaning(_text(item["allows"], f"{place}.allows"), risk, _text(item["reason"], f"{place}.reason"))


def _text(item: JSONValue, place: str) -> str:
    if not isinstance(item, str) or not item:
        raise CatalogueInvalid(f"{place}: must be a text that is not empty")
    return item
