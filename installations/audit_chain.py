"""The keyed chain of the audit trail as rules over plain values: how a row is hashed, and what is wrong with a trail.

Pure. A row is a mapping of column to JSON value, as it comes from the database or from a line of an export, so that
one verifier serves both. It keeps going after a break, names each thing once and needs the same memory for any length.
"""

import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from installations.keys import Key, KeyRing

NOTHING: Final = "0" * 64  # the hash before the first event
# Every column that the hash covers. `id` is the sequence again, and `hash` is what is computed.
COVERED: Final = (
    "sequence",
    "occurred_at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "via",
    "verb",
    "target_kind",
    "target_id",
    "installation_id",
    "reason",
    "details",
    "previous_hash",
    "key_id",
)
COLUMNS: Final = (*COVERED, "hash")

Row = Mapping[str, Any]


def row_hash(row: Row, key: Key) -> str:
    """Return the hex HMAC of every covered column, previous hash included."""
    return _hmac({name: row[name] for name in COVERED}, key, "audit")


def _hmac(value: Mapping[str, Any], key: Key, use: str) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key.derive(use), text.encode("ascii"), sha256).hexdigest()


def read_json(text: str | bytes) -> Any:
    """Read what was written as JSON; raises ValueError for what two readers could take for different things.

    The quick one of the standard library: a trail may have millions of rows.
    """
    try:
        return json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is named twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


# --- Signed statements about the chain: anchors, checkpoints, headers of exports -------------------------------


class Statement(StrEnum):
    """What a signature is for. Each has a subkey of its own: none can be passed off as another."""

    ANCHOR = "audit anchor"
    CHECKPOINT = "audit checkpoint"
    EXPORT = "audit export"


class Signature(StrEnum):
    GOOD = "good"
    WRONG = "wrong"
    UNKNOWN_KEY = "unknown key"


def sign(statement: Statement, fields: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Return the fields with `key_id` and `mac`."""
    named = {**fields, "key_id": key.id}
    return {**named, "mac": _hmac(named, key, statement)}


def check_signature(statement: Statement, signed: Mapping[str, Any], ring: KeyRing) -> Signature:
    """Return whether `mac` is that of all the other fields under the key that they name."""
    mac, key_id = signed.get("mac"), signed.get("key_id")
    key = ring.get(key_id) if isinstance(key_id, str) else None
    if key is None:
        return Signature.UNKNOWN_KEY
    expected = _hmac({name: value for name, value in signed.items() if name != "mac"}, key, statement)
    good = isinstance(mac, str) and hmac.compare_digest(expected.encode(), mac.encode("utf-8", "surrogatepass"))
    return Signature.GOOD if good else Signature.WRONG


# --- Verifying -------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    """What can be wrong."""

    EDITED = "edited"
    MISSING = "missing"
    INSERTED = "inserted"
    LINK = "wrong link"
    UNKNOWN_KEY = "unknown key"
    UNREADABLE = "unreadable"
    HEAD = "head does not match"
    TAIL = "tail cut off"
    ANCHOR = "differs from an anchor"
    SIGNATURE = "not signed by us"


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    sequence: int | None  # None: no event can be named
    message: str

    def __str__(self) -> str:
        where = "" if self.sequence is None else f"event {self.sequence}: "
        return f"{where}{self.kind}: {self.message}"


@dataclass(frozen=True, slots=True)
class Link:
    """A point of the chain: what comes next has the next number and names this hash."""

    sequence: int
    hash: str


START: Final = Link(0, NOTHING)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The head of the chain as it was written down elsewhere, at a time."""

    link: Link
    at: str


class Walk:
    """One pass over a trail, event by event in the order of their numbers."""

    def __init__(self, ring: KeyRing, after: Link = START, anchors: Iterable[Anchor] = ()) -> None:
        self._ring = ring
        self._anchors: dict[int, Anchor] = {}
        self._newest_anchor: Anchor | None = None
        self._accepted = {after.hash}  # what the next event may name as the hash before it
        self._linked = True  # whether the event before was there
        self.last = after
        self.events = 0
        self._early: list[Finding] = []
        for anchor in anchors:
            self._add_anchor(anchor)
        self._check_anchor(after)

    def _add_anchor(self, anchor: Anchor) -> None:
        other = self._anchors.setdefault(anchor.link.sequence, anchor)
        if other.link != anchor.link:
            self._early.append(
                Finding(Kind.ANCHOR, anchor.link.sequence, "two anchors name different hashes for this event")
            )
        if self._newest_anchor is None or anchor.link.sequence > self._newest_anchor.link.sequence:
            self._newest_anchor = anchor

    def _check_anchor(self, link: Link) -> None:
        anchor = self._anchors.get(link.sequence)
        if anchor is not None and anchor.link.hash != link.hash:
            words = f"the chain was another one when it was anchored at {anchor.at}"
            self._early.append(Finding(Kind.ANCHOR, link.sequence, words))

    def skip_to(self, link: Link) -> None:
        """Go on behind a checkpoint that was made during the walk."""
        if link.sequence > self.last.sequence:
            self.last, self._accepted, self._linked = link, {link.hash}, True

    def step(self, row: Row, place: str = "") -> Iterator[Finding]:
        """Take the next event and yield what is wrong with it and with what should be before it."""
        yield from self._pop_early()
        self.events += 1
        sequence = row.get("sequence")
        if problem := _shape(row):
            number = sequence if _is_number(sequence) else None
            yield Finding(Kind.UNREADABLE, number, f"{place}{problem}")
            if number is not None and number > self.last.sequence:
                yield from self._gap(number)
                self.last, self._linked = Link(number, NOTHING), False
            return
        assert isinstance(sequence, int)  # noqa: S101 - _shape has looked
        stored: str = row["hash"]
        if sequence <= self.last.sequence:
            yield Finding(Kind.INSERTED, sequence, f"{place}its number was there already, or is before the start")
            return
        yield from self._gap(sequence)
        if row.get("id", sequence) != sequence:
            yield Finding(Kind.EDITED, sequence, f"{place}its id is not its number")
        key = self._ring.get(row["key_id"])
        accepted = {stored}
        if key is None:
            words = f"{place}it is under the audit key {row['key_id']!r}, which AUDIT_KEY does not have"
            yield Finding(Kind.UNKNOWN_KEY, sequence, words)
        else:
            computed = row_hash(row, key)
            accepted.add(computed)
            if not hmac.compare_digest(computed.encode(), stored.encode("utf-8", "surrogatepass")):
                yield Finding(Kind.EDITED, sequence, f"{place}its hash is not that of its columns")
        # An event before that was edited is named there; what was hashed then is what counts here.
        if self._linked and row["previous_hash"] not in self._accepted:
            yield Finding(Kind.LINK, sequence, f"{place}it does not name the hash of the event before it")
        self.last, self._accepted, self._linked = Link(sequence, stored), accepted, True
        self._check_anchor(self.last)
        yield from self._pop_early()

    def end(self, head: Link | None) -> Iterator[Finding]:
        """Yield what is wrong with the end, given where the chain is said to end; None: that is not known."""
        yield from self._pop_early()
        if head is not None:
            if head.sequence > self.last.sequence:
                yield Finding(Kind.TAIL, self.last.sequence + 1, f"{_range(self.last.sequence + 1, head.sequence)}")
            elif head.sequence < self.last.sequence:
                words = f"the chain is said to end at {head.sequence}, and there are events after it"
                yield Finding(Kind.HEAD, head.sequence, words)
            elif head.hash not in self._accepted:
                yield Finding(Kind.HEAD, head.sequence, "the hash that the chain is said to end with is another one")
        newest = self._newest_anchor
        if newest is not None and newest.link.sequence > max(self.last.sequence, head.sequence if head else 0):
            words = (
                f"{_range(self.last.sequence + 1, newest.link.sequence)}; {newest.link.sequence} was, at {newest.at}"
            )
            yield Finding(Kind.TAIL, self.last.sequence + 1, words)

    def _gap(self, sequence: int) -> Iterator[Finding]:
        if sequence > self.last.sequence + 1:
            self._linked = False
            yield Finding(Kind.MISSING, self.last.sequence + 1, _range(self.last.sequence + 1, sequence - 1))

    def _pop_early(self) -> Iterator[Finding]:
        found, self._early = self._early, []
        yield from found


def _range(first: int, last: int) -> str:
    return f"{first} is not there" if first == last else f"{first} to {last} are not there"


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shape(row: Row) -> str:
    """Return what makes a row unusable, or nothing."""
    names = row.keys() - {"id"}
    if missing := sorted(set(COLUMNS) - names):
        return f"it has no {', '.join(missing)}"
    if added := sorted(names - set(COLUMNS)):
        return f"it has {', '.join(map(repr, added))}, which no event has"
    if not _is_number(row["sequence"]):
        return "its number is none"
    wrong: Sequence[str] = [name for name in ("hash", "previous_hash", "key_id") if not isinstance(row[name], str)]
    return f"its {', '.join(wrong)} cannot be read" if wrong else ""
