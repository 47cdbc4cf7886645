"""What an edit of the catalogue means: wider, narrower, another risk, other words. Pure.

A change is of one code, from the entry that was in force to the one that is to be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from installations.catalogue import Catalogue, CatalogueEntry
from installations.reach import Reach
from installations.said import joined, said
from installations.scopes import Approval, Level

NOTHING = Reach({})
_TEXTS = ("title", "meaning", "source")


@dataclass(frozen=True, slots=True)
class EntryChange:
    """How the entry of one code differs. A change that covers more grants nothing until it is approved anew."""

    code: str
    old: CatalogueEntry | None
    new: CatalogueEntry | None
    wider: Sequence[str]  # what is reached beyond, a line for each model
    narrower: Sequence[str]
    risks: Sequence[str]
    words: Sequence[str]  # what else is different

    @property
    def is_empty(self) -> bool:
        return not (self.wider or self.narrower or self.risks or self.words)

    @property
    def summary(self) -> str:
        """Return in a few words what the change is."""
        kind = ""
        if self.old is None:
            kind = said("new")
        elif self.new is None:
            kind = said("gone")
        words = [
            kind,
            said("covers more") if self.wider else "",
            said("covers less") if self.narrower else "",
            said("other risk") if self.risks else "",
            said("other words") if self.words and not kind else "",
        ]
        return joined(", ", filter(None, words)) or said("no change")


def reach_of(entry: CatalogueEntry | None) -> Reach:
    """Return what an entry lets its scope reach; nothing where it is switched off or is not there."""
    return Reach.of(entry.covers) if entry is not None and entry.enabled else NOTHING


def change_of(code: str, old: CatalogueEntry | None, new: CatalogueEntry | None) -> EntryChange:
    """Return how the new entry of a code differs from the old one."""
    before, after = reach_of(old), reach_of(new)
    wider, narrower = (after - before).in_words(), (before - after).in_words()
    if old is None or new is None:
        words: list[str] = [said("It is new.")] if new else [said("It is gone.")] if old else []
        if new and not new.enabled:
            words.append(said("It is switched off."))
        return EntryChange(code, old, new, wider, narrower, (), words)
    return EntryChange(code, old, new, wider, narrower, _risks(old, new), _words(old, new))


def changes(old: Catalogue, new: Catalogue) -> list[EntryChange]:
    """Return what differs between two catalogues, by code."""
    codes = sorted({entry.code for catalogue in (old, new) for entry in catalogue.entries})
    found = (change_of(code, old.described(code), new.described(code)) for code in codes)
    return [change for change in found if not change.is_empty]


def _risks(old: CatalogueEntry, new: CatalogueEntry) -> list[str]:
    return [
        said("%(level)s: %(old)s becomes %(new)s", level=level, old=old.at(level).risk, new=new.at(level).risk)
        for level in Level
        if old.at(level).risk != new.at(level).risk
    ]


def _words(old: CatalogueEntry, new: CatalogueEntry) -> list[str]:
    found: list[str] = []
    if old.enabled != new.enabled:
        found.append(said("It is switched on.") if new.enabled else said("It is switched off."))
    if old.documented != new.documented:
        found.append(said("It is documented by Flowlu.") if new.documented else said("It is not documented by Flowlu."))
    other = [name for name in _TEXTS if getattr(old, name) != getattr(new, name)]
    for level in Level:
        other += [
            said("%(name)s of %(level)s", name=name, level=level)
            for name in ("allows", "reason")
            if getattr(old.at(level), name) != getattr(new.at(level), name)
        ]
    if set(old.models) != set(new.models):
        other.append(said("models"))
    if old.covers != new.covers and old.enabled == new.enabled and _same(old, new):
        other.append(said("the way in which the rules are written"))
    if old.covers != new.covers and not (old.enabled or new.enabled):
        other.append(said("what it would cover"))
    return [*found, said("Other words: %(other)s.", other=joined(", ", other))] if other else found


def _same(old: CatalogueEntry, new: CatalogueEntry) -> bool:
    before, after = Reach.of(old.covers), Reach.of(new.covers)
    return not (before - after or after - before)


@dataclass(frozen=True, slots=True)
class Touched:
    """How many approvals in force reach less through a change, and how many reach again what they once did."""

    less: int = 0
    again: int = 0

    def __add__(self, other: "Touched") -> "Touched":
        return Touched(self.less + other.less, self.again + other.again)


def touched_by(change: EntryChange, approvals: Iterable[tuple[Approval, int]]) -> Touched:
    """Return what becomes of approvals in force of the code, each with how many there are of it.

    An approval reaches what its own copy and the entry both cover: it may lose, and it may get back what an earlier
    edit took, but never more than on the day when it was given.
    """
    before, after = reach_of(change.old), reach_of(change.new)
    less = again = 0
    for approval, count in approvals:
        given = Reach.of(approval.covers, approval.level)
        less += count if given & (before - after) else 0
        again += count if given & (after - before) else 0
    return Touched(less, again)
