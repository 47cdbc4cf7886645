"""What changed between two manifests of an application: who may reach what, and who gets to hear of it. Pure.

A change escalates when the new manifest asks for anything that the old one did not: a scope, a higher level, a scope
that the catalogue does not know (nobody here can say what it will reach), or an address on another host, to which an
entry point or a webhook hands what portals send. What only narrows never escalates.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from installations.catalogue import Catalogue
from installations.said import said
from installations.scopes import Level, normalise, read, swallowed_by
from installations.strict_json import JSONValue

_ADDRESSES = ("entrypointURL", "webhookURL")
_SCOPES, _VERSION = "permissions", "version"


class Change(StrEnum):
    """What became of a scope."""

    ADDED = "added"
    REMOVED = "removed"
    WIDENED = "widened"
    NARROWED = "narrowed"
    SWALLOWED = "swallowed"
    RELEASED = "released"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ScopeChange:
    """One scope by its code, or by its text where it is unknown, and what became of it in words."""

    change: Change
    code: str
    before: Level | None  # with which it was reached, by itself or as a part of another scope
    after: Level | None
    words: str
    escalates: bool


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One other field of the manifest; for an object, what came, went and changed of its members."""

    field: str
    words: str
    escalates: bool


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """All changes, those that escalate first, then by code and field."""

    scopes: Sequence[ScopeChange]
    fields: Sequence[FieldChange]

    @property
    def escalates(self) -> bool:
        """Whether the new manifest asks for anything that the old one did not."""
        return any(scope.escalates for scope in self.scopes) or any(field.escalates for field in self.fields)

    @property
    def follows(self) -> str:
        """Say in a sentence what becomes of installations when the new manifest asks for more."""
        if any(field.field == "appId" for field in self.fields):
            return said("It is another application, for which nothing is approved.")
        if any(scope.escalates for scope in self.scopes):
            return said("Installations go on with what is approved, and ask for the rest.")
        return said("What is approved goes on, and no scope is to be decided about.")

    @property
    def is_empty(self) -> bool:
        """Whether the manifests say the same."""
        return not self.scopes and not self.fields


@dataclass(frozen=True, slots=True)
class Content:
    """What is compared of a manifest: the scopes as it declares them, and the whole document."""

    permissions: Sequence[str]
    document: dict[str, JSONValue]


def diff(old: Content, new: Content, catalogue: Catalogue) -> ManifestDiff:
    """Compare two manifests. Neither is changed; the order of members and scopes does not count."""
    fields = list(_field_changes(old.document, new.document))
    return ManifestDiff(
        scope_changes(old.permissions, new.permissions, catalogue),
        sorted(fields, key=lambda change: (not change.escalates, change.field)),
    )


def scope_changes(old: Sequence[str], new: Sequence[str], catalogue: Catalogue) -> list[ScopeChange]:
    """Compare what two manifests ask for, each as it declares it; those that escalate come first, then by code."""
    found = [*_known_changes(old, new, catalogue), *_unknown_changes(old, new, catalogue)]
    return sorted(found, key=lambda change: (not change.escalates, change.code))


# --- Scopes ---


def _known_changes(old: Sequence[str], new: Sequence[str], catalogue: Catalogue) -> Iterator[ScopeChange]:
    before, after = _Asked(old, catalogue), _Asked(new, catalogue)
    for code in sorted(before.codes | after.codes):
        change = _change_of(code, before, after)
        if change is not None:
            yield change


class _Asked:
    """What a manifest asks for, as far as the catalogue knows it."""

    def __init__(self, texts: Sequence[str], catalogue: Catalogue) -> None:
        known = [scope for scope in map(read, texts) if scope is not None and catalogue.get(scope.code)]
        self.codes = {scope.code for scope in known}
        self._effective = normalise(known)

    def level(self, code: str) -> Level | None:
        """Return the level with which the code is reached: its own, or that of the scope that swallows it."""
        return self._effective.get(self.swallower(code) or code)

    def swallower(self, code: str) -> str | None:
        return swallowed_by(code, self._effective)


def _change_of(code: str, before: _Asked, after: _Asked) -> ScopeChange | None:
    was, now, module = before.level(code), after.level(code), after.swallower(code)
    if was is None:
        return ScopeChange(Change.ADDED, code, was, now, said("new, at level %(now)s", now=now), True)
    if now is None:
        return ScopeChange(Change.REMOVED, code, was, now, said("was asked for at level %(was)s", was=was), False)
    if now > was:
        return ScopeChange(Change.WIDENED, code, was, now, _moved(was, now, module), True)
    if now < was:
        return ScopeChange(Change.NARROWED, code, was, now, _moved(was, now, module), False)
    if module is not None and before.swallower(code) is None:
        words = (
            said("has no effect any more beside %(scope)s", scope=f"{module}.{now}")
            if code in after.codes
            else said("is reached as a part of %(scope)s", scope=f"{module}.{now}")
        )
        return ScopeChange(Change.SWALLOWED, code, was, now, words, False)
    if module is None and before.swallower(code) is not None:
        words = said(
            "stands for itself now, at level %(now)s: %(swallower)s is not asked for any more",
            now=now,
            swallower=before.swallower(code),
        )
        return ScopeChange(Change.RELEASED, code, was, now, words, False)
    return None


def _moved(was: Level, now: Level, module: str | None) -> str:
    if module is None:
        return said("from %(was)s to %(now)s", was=was, now=now)
    return said(
        "from %(was)s to %(now)s as a part of %(module)s, which counts with its own level",
        was=was,
        now=now,
        module=module,
    )


def _unknown_changes(old: Sequence[str], new: Sequence[str], catalogue: Catalogue) -> Iterator[ScopeChange]:
    before, after = _unknown(old, catalogue), _unknown(new, catalogue)
    for text in after - before:
        words = said("new and %(why_unknown)s: it grants nothing here", why_unknown=_why_unknown(text, catalogue))
        yield ScopeChange(Change.UNKNOWN, text, None, None, words, True)
    for text in before - after:
        words = said("was asked for and is %(why_unknown)s", why_unknown=_why_unknown(text, catalogue))
        yield ScopeChange(Change.REMOVED, text, None, None, words, False)


def _unknown(texts: Sequence[str], catalogue: Catalogue) -> set[str]:
    return {text for text in texts if (scope := read(text)) is None or not catalogue.get(scope.code)}


def _why_unknown(text: str, catalogue: Catalogue) -> str:
    scope = read(text)
    is_there = scope is not None and catalogue.described(scope.code) is not None
    return said("in the catalogue, but switched off") if is_there else said("not in the catalogue")


# --- Everything else ---


def _field_changes(old: dict[str, JSONValue], new: dict[str, JSONValue]) -> Iterator[FieldChange]:
    if old.get("appId") != new.get("appId"):
        yield FieldChange(
            "appId",
            said("from %(was)s to %(now)s", was=_shown(old.get("appId")), now=_shown(new.get("appId"))),
            True,
        )
    for field in sorted((old.keys() | new.keys()) - {_SCOPES, "appId"}):
        before, after = old.get(field), new.get(field)
        if before != after:
            words = _WORDS_OF.get(field, _plain_words)(before, after)
            yield FieldChange(field, words, field in _ADDRESSES and _goes_elsewhere(before, after))
    if old != new and old.get(_VERSION) == new.get(_VERSION):
        yield FieldChange(
            _VERSION, said("stays %(shown)s though the content changed", shown=_shown(new.get(_VERSION))), False
        )


def _goes_elsewhere(before: JSONValue, after: JSONValue) -> bool:
    return isinstance(after, str) and _place(after) != _place(before)


def _place(address: JSONValue) -> tuple[str, str] | None:
    if not isinstance(address, str):
        return None
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()


def _members(before: JSONValue, after: JSONValue) -> str:
    was = before if isinstance(before, dict) else {}
    now = after if isinstance(after, dict) else {}
    groups = (
        ("added", sorted(now.keys() - was.keys())),
        ("removed", sorted(was.keys() - now.keys())),
        ("changed", sorted(key for key in was.keys() & now.keys() if was[key] != now[key])),
    )
    return "; ".join(f"{word} {', '.join(names)}" for word, names in groups if names) or "changed"


def _values(before: JSONValue, after: JSONValue) -> str:
    if before is None:
        return said("new: %(shown)s", shown=_shown(after))
    if after is None:
        return said("removed: %(shown)s", shown=_shown(before))
    return said("from %(was)s to %(now)s", was=_shown(before), now=_shown(after))


def _addresses(before: JSONValue, after: JSONValue) -> str:
    shown = [None if value is None else _without_query(str(value)) for value in (before, after)]
    return said("has another query") if shown[0] == shown[1] else _values(*shown)


def _without_query(address: str) -> str:
    """Return the address without what a webhook may keep its secret in: this goes into the log of a pipeline."""
    shown, mark, _query = address.partition("?")
    return f"{shown}?…" if mark else shown


def _plain_words(before: JSONValue, after: JSONValue) -> str:
    return said("new") if before is None else said("removed") if after is None else said("changed")


def _shown(value: JSONValue) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


# What is not named here may hold anything, and a value that nobody documents is not repeated.
_WORDS_OF: dict[str, Callable[[JSONValue, JSONValue], str]] = {
    **dict.fromkeys(("name", "version", "categories", "tags", "platformVersion"), _values),
    **dict.fromkeys(("entrypointURL", "webhookURL", "iconUrl"), _addresses),
    **dict.fromkeys(("integrationPoints", "apiEndpoints", "configuration", "author"), _members),
}
