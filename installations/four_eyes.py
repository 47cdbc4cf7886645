"""Four eyes: which approvals a second operator has to confirm, and what a request for one is bound to. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from installations.catalogue import Catalogue
from installations.risks import guarded_risk
from installations.said import said
from installations.scopes import Approval, Coverage, Scope, to_json
from installations.seen import digest_of

_WORDS: Final = {
    "manifest": said("The application's manifest was replaced since."),
    "in_force": said("Other scopes were approved or withdrawn since."),
    "covers": said("The scope catalogue says something else about these scopes since."),
}


def high_risk(
    wanted: Iterable[Scope], in_force: Mapping[str, Approval], known: Catalogue, shipped: Catalogue
) -> list[Scope]:
    """Return the scopes of high risk whose approval lets the application do more than it may now.

    What is in force at this level or a higher one, with at least this reach, adds nothing: lowering needs nobody.
    A scope that the catalogue does not know is none of them; it cannot be approved at all.

    Of high risk is what today's catalogue calls so, and whatever reaches a call that the shipped one calls less of
    nowhere (`guarded_risk`): whoever edits the catalogue is not rid of the second operator by that.
    """
    found = []
    for scope in wanted:
        entry = known.get(scope.code)
        if entry is None or guarded_risk(entry, scope.level, shipped) != "high":
            continue
        held = in_force.get(scope.code)
        if held is None or held.level < scope.level or not set(entry.covers) <= set(held.covers):
            found.append(scope)
    return found


@dataclass(frozen=True, slots=True)
class Bound:
    """What a request was made for on one installation. Any other value later makes it void."""

    status: str
    manifest: str  # SHA-256
    in_force: str  # digest of the approvals in force
    covers: str  # digest of what the catalogue says the scopes cover


def in_force_digest(rows: Iterable[tuple[int, str, str]]) -> str:
    """Return the digest of approvals in force, each as number, code and level."""
    return digest_of({"in_force": sorted(rows)})


def covers_digest(covers: Mapping[str, Iterable[Coverage]]) -> str:
    """Return the digest of what each code covers."""
    return digest_of({code: to_json(rules) for code, rules in covers.items()})


def changes_since(then: Bound, now: Bound) -> list[str]:
    """Return in sentences what is not any more as it was; nothing where all of it still holds."""
    found: list[str] = []
    if then.status != now.status:
        words = said(
            "The installation is %(now)s now; it was %(then)s.", now=_plain(now.status), then=_plain(then.status)
        )
        found.append(words)
    return found + [words for name, words in _WORDS.items() if getattr(then, name) != getattr(now, name)]


def _plain(value: str) -> str:
    return value.replace("_", " ")
