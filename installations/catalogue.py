"""The catalogue: which scopes are known, what they reach and what that means to a person.

It ships as `catalogue.json`. A code that Flowlu's documentation does not name is described there but not
enabled: pages can explain it, while enforcement treats it like any unknown code, which is to deny.
Operators lay entries of their own over the shipped ones: `installations.editions` says which are in force.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from installations.said import joined, said
from installations.scopes import ANY, Coverage, Level, Scope, ScopeSyntaxError, from_json, parse, to_json
from installations.strict_json import JSONValue, StrictJSONError, canonical, loads

Risk: TypeAlias = Literal["low", "medium", "high"]

CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")
MAX_CATALOGUE_BYTES = 1024 * 1024
MAX_ENTRIES = 1000
MAX_RULES = 200  # of one entry
TITLE_MAX = 100
TEXT_MAX = 1000

RISKS: tuple[Risk, ...] = get_args(Risk)
_NAME = re.compile(r"[a-z0-9_]+")
_RULE = re.compile(
    r"(?P<module>[a-z0-9_]+) */ *(?P<model>[a-z0-9_]+|\*)"
    r"(?: *: *(?P<actions>[a-z0-9_]+(?: *, *[a-z0-9_]+)*))?(?P<own> *\(own\))?"
)
_MEMBERS = frozenset(
    {"code", "title", "meaning", "read", "full", "covers", "models", "documented", "enabled", "source"}
)


class CatalogueInvalid(ValueError):
    """The file is damaged; nothing can be enforced with it."""


class Origin(StrEnum):
    """Who says what an entry says."""

    SHIPPED = "shipped"
    OVERRIDDEN = "overridden"  # an operator's entry stands in for the shipped one
    OWN = "own"  # an operator's entry for a code that is not shipped


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
        """Return what the given level means. Full lets through what read does: its risk is not less."""
        if level is Level.READ:
            return self.read
        if RISKS.index(self.full.risk) >= RISKS.index(self.read.risk):
            return self.full
        return replace(self.full, risk=self.read.risk, reason=self.read.reason)

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
    """All entries that are in force. Enforcement sees the enabled ones; `described` sees every one.

    `edition` is the number of the operators' part that is laid over the shipped entries, 0 for none. `damage` says
    what is wrong with one that cannot be read: there are no entries then, so everything is unknown and denied.
    """

    def __init__(
        self,
        entries: tuple[CatalogueEntry, ...],
        version: str,
        *,
        edition: int = 0,
        origins: Mapping[str, Origin] | None = None,
        damage: str = "",
    ) -> None:
        self.version = version
        self.entries = entries
        self.edition = edition
        self.damage = damage
        self._origins = origins or {}
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

    @property
    def own(self) -> list[CatalogueEntry]:
        """Return the operators' part: the entries that stand in for shipped ones, and those of other codes."""
        return [entry for entry in self.entries if self.origin(entry.code) is not Origin.SHIPPED]

    def origin(self, code: str) -> Origin:
        """Return who says what the entry of a code says."""
        return self._origins.get(code, Origin.SHIPPED)

    def describe(self, scope: Scope | str) -> ScopeDescription:
        """Explain a scope, also one that is unknown or is no scope at all."""
        text = str(scope)
        try:
            known_form = scope if isinstance(scope, Scope) else parse(scope)
        except ScopeSyntaxError:
            return _unknown(text, said("This is not written as a scope. It grants nothing and cannot be approved."))
        entry = self._by_code.get(known_form.code)
        if entry is None:
            return _unknown(text, said("This scope is not in the catalogue. It grants nothing and cannot be approved."))
        level = entry.at(known_form.level)
        meaning = entry.meaning
        if not entry.enabled:
            off = (
                said("It is switched off in the catalogue: it grants nothing and cannot be approved.")
                if entry.documented
                else said("Flowlu documents no such scope: it grants nothing and cannot be approved.")
            )
            meaning = joined(" ", (meaning, off))
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
    entries = parse_entries(data)
    if not entries:
        raise CatalogueInvalid(said("scopes must be a list with at least one entry"))
    return Catalogue(entries, hashlib.sha256(data).hexdigest()[:12])


def parse_entries(data: str | bytes) -> tuple[CatalogueEntry, ...]:
    """Check a file of entries, which may be none; raises CatalogueInvalid with the place of the first fault."""
    try:
        document = loads(data, max_bytes=MAX_CATALOGUE_BYTES)
    except StrictJSONError as exc:
        raise CatalogueInvalid(str(exc)) from exc
    if not isinstance(document, dict) or document.keys() != {"schema", "scopes"} or document["schema"] != 1:
        raise CatalogueInvalid(said("the catalogue must be an object with schema 1 and scopes"))
    scopes = document["scopes"]
    if not isinstance(scopes, list):
        raise CatalogueInvalid(said("scopes must be a list"))
    if len(scopes) > MAX_ENTRIES:
        raise CatalogueInvalid(said("scopes: there are more than %(max_entries)s", max_entries=MAX_ENTRIES))
    entries = tuple(_entry(item, f"scopes[{index}]") for index, item in enumerate(scopes))
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.code in seen:
            raise CatalogueInvalid(
                said("scopes[%(index)s].code: %(code)s is there twice", index=index, code=entry.code)
            )
        seen.add(entry.code)
    return entries


def check_entry(entry: CatalogueEntry) -> CatalogueEntry:
    """Return the entry as a file would give it back; raises CatalogueInvalid where a file with it would be refused."""
    (found,) = parse_entries(written([entry]))
    return found


def written(entries: Iterable[CatalogueEntry]) -> bytes:
    """Write entries as the file that `parse_entries` reads, in the one form that is hashed, by code."""
    ordered = sorted(entries, key=lambda entry: entry.code)
    return canonical({"schema": 1, "scopes": [_plain(entry) for entry in ordered]})


def exported(entries: Iterable[CatalogueEntry]) -> str:
    """Write entries as a file that reads back the same, in ASCII: nothing in it hides or is taken for markup."""
    text = json.dumps(json.loads(written(entries)), indent=2, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e") + "\n"


def rules_text(covers: Iterable[Coverage]) -> str:
    """Write rules as people edit them, one on each line: `crm/*`, `fin/invoice: list, get`, `core/user: get (own)`."""
    lines = []
    for rule in covers:
        actions = "" if rule.actions == ANY else f": {', '.join(rule.actions)}"
        lines.append(f"{rule.module}/{rule.model}{actions}{' (own)' if rule.own_only else ''}")
    return "\n".join(lines)


def rules_of(text: str) -> tuple[Coverage, ...]:
    """Read what `rules_text` writes; raises CatalogueInvalid naming the line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = _RULE.fullmatch(line.strip())
        if parts is None:
            raise CatalogueInvalid(
                said(
                    "line %(number)s must be like fin/invoice, fin/*, fin/invoice: list, get or fin/* (own)",
                    number=number,
                )
            )
        named = tuple(action.strip() for action in parts["actions"].split(",")) if parts["actions"] else None
        found.append(Coverage(parts["module"], parts["model"], named or ANY, parts["own"] is not None))
    return tuple(found)


def overlaid(shipped: Catalogue, own: Sequence[CatalogueEntry], edition: int) -> Catalogue:
    """Return the shipped entries with the operators' ones in their place, and behind them those of other codes."""
    by_code = {entry.code: entry for entry in own}
    entries = [by_code.pop(entry.code, entry) for entry in shipped.entries]
    known = {entry.code for entry in shipped.entries}
    origins = {entry.code: Origin.OVERRIDDEN for entry in own if entry.code in known}
    origins |= dict.fromkeys(by_code, Origin.OWN)
    entries += [by_code[code] for code in sorted(by_code)]
    return Catalogue(tuple(entries), f"{shipped.version}+{edition}", edition=edition, origins=origins)


def unusable(shipped: Catalogue, edition: int, damage: str) -> Catalogue:
    """Return the catalogue that knows nothing, for an edition that cannot be read: what it narrowed is not known."""
    return Catalogue((), f"{shipped.version}+{edition}", edition=edition, damage=damage)


def _plain(entry: CatalogueEntry) -> dict[str, object]:
    def level(meaning: LevelMeaning) -> dict[str, str]:
        return {"allows": meaning.allows, "risk": meaning.risk, "reason": meaning.reason}

    return {
        "code": entry.code,
        "title": entry.title,
        "meaning": entry.meaning,
        "read": level(entry.read),
        "full": level(entry.full),
        "covers": to_json(entry.covers),
        "models": list(entry.models),
        "documented": entry.documented,
        "enabled": entry.enabled,
        "source": entry.source,
    }


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
        allows=said("Nothing."),
        risk=None,
        risk_reason="",
        models=(),
    )


def _entry(item: JSONValue, place: str) -> CatalogueEntry:
    if not isinstance(item, dict):
        raise CatalogueInvalid(said("%(place)s: must be an object", place=place))
    if item.keys() != _MEMBERS:
        # Never repeats what is not known: it may be anything that somebody took for a catalogue.
        missing, unknown = sorted(_MEMBERS - item.keys()), len(item.keys() - _MEMBERS)
        raise CatalogueInvalid(
            said(
                "%(place)s: members missing: %(missing)s; unknown: %(unknown)s",
                place=place,
                missing=", ".join(missing) or said("none"),
                unknown=unknown,
            )
        )
    code = _text(item["code"], f"{place}.code")
    try:
        scope = parse(f"{code}.read")
        own_reading = parse(code)
    except ScopeSyntaxError as exc:
        raise CatalogueInvalid(f"{place}.code: {exc}") from exc
    if scope.code != code or own_reading.code != code:
        raise CatalogueInvalid(said("%(place)s.code: the level is not part of a code", place=place))
    try:
        covers = from_json(item["covers"])
    except ValueError as exc:
        raise CatalogueInvalid(f"{place}: {exc}") from exc
    if not covers:
        raise CatalogueInvalid(said("%(place)s.covers: must not be empty", place=place))
    if len(covers) > MAX_RULES:
        raise CatalogueInvalid(
            said("%(place)s.covers: has more than %(max_rules)s rules", place=place, max_rules=MAX_RULES)
        )
    models = item["models"]
    if not isinstance(models, list):
        raise CatalogueInvalid(said("%(place)s.models: must be a list", place=place))
    names = tuple(_text(model, f"{place}.models[{index}]", TITLE_MAX) for index, model in enumerate(models))
    if len(names) > MAX_RULES or not all(_NAME.fullmatch(name) for name in names):
        raise CatalogueInvalid(
            said(
                "%(place)s.models: at most %(max_rules)s names of lower-case letters, digits and '_'",
                place=place,
                max_rules=MAX_RULES,
            )
        )
    ruled = {rule.model for rule in covers}
    if "*" not in ruled and ruled != set(names):
        raise CatalogueInvalid(said("%(place)s.models: must be the models that covers names", place=place))
    documented, enabled = item["documented"], item["enabled"]
    if not isinstance(documented, bool) or not isinstance(enabled, bool):
        raise CatalogueInvalid(said("%(place)s: documented and enabled are true or false", place=place))
    return CatalogueEntry(
        code=code,
        title=_text(item["title"], f"{place}.title", TITLE_MAX),
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
        raise CatalogueInvalid(said("%(place)s: must be an object with allows, risk and reason", place=place))
    risk = next((known for known in RISKS if known == item["risk"]), None)
    if risk is None:
        raise CatalogueInvalid(said("%(place)s.risk: must be one of %(risks)s", place=place, risks=", ".join(RISKS)))
    return LevelMeaning(_text(item["allows"], f"{place}.allows"), risk, _text(item["reason"], f"{place}.reason"))


def _text(item: JSONValue, place: str, most: int = TEXT_MAX) -> str:
    if not isinstance(item, str) or not item.strip():
        raise CatalogueInvalid(said("%(place)s: must be a text that is not empty", place=place))
    if len(item) > most:
        raise CatalogueInvalid(said("%(place)s: has more than %(most)s characters", place=place, most=most))
    return item
