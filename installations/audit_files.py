"""The audit trail outside of the database: exports, archives and anchors, written and read line by line.

Pure. An export is JSON Lines: first a signed header that says which events follow, then one event a line. A file of
anchors has one signed anchor a line and is only ever appended to. Both are verified with the keys alone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final

from installations import spreadsheet
from installations.audit_chain import (
    COLUMNS,
    START,
    Anchor,
    Finding,
    Kind,
    Link,
    Row,
    Signature,
    Statement,
    Walk,
    check_signature,
    read_json,
    sign,
)
from installations.keys import Key, KeyRing

MAX_LINE: Final = 1024 * 1024


class AnchorFileError(ValueError):
    """A file of anchors cannot be relied on; the text says which line and why."""


# --- Writing ---------------------------------------------------------------------------------------------------


def header(after: Link, to: Link, at: str, key: Key) -> dict[str, Any]:
    """Return the first line of an export: what follows is every event after one point, up to another."""
    fields = {
        "export": "audit trail",
        "after": after.sequence,
        "after_hash": after.hash,
        "to": to.sequence,
        "to_hash": to.hash,
        "at": at,
    }
    return sign(Statement.EXPORT, fields, key)


def line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True) + "\n"


def json_lines(head: Mapping[str, Any], rows: Iterable[Row]) -> Iterator[str]:
    yield line(head)
    for row in rows:
        yield line({name: row[name] for name in COLUMNS})


def csv_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Write for a spreadsheet. No cell is one that a spreadsheet would run; such a file cannot be verified."""
    return spreadsheet.csv_lines(COLUMNS, ([row[name] for name in COLUMNS] for row in rows))


def anchor_line(head: Link, at: str, key: Key) -> str:
    return line(sign(Statement.ANCHOR, {"sequence": head.sequence, "hash": head.hash, "at": at}, key))


# --- Reading ---------------------------------------------------------------------------------------------------


def read_anchors(stream: BinaryIO, ring: KeyRing) -> list[Anchor]:
    """Return every anchor of a file; raises AnchorFileError unless each is ours and none goes back."""
    found: list[Anchor] = []
    for number, value in _objects(stream):
        if isinstance(value, str):
            raise AnchorFileError(f"line {number} is no anchor: {value}")
        signature = check_signature(Statement.ANCHOR, value, ring)
        if signature is Signature.UNKNOWN_KEY:
            raise AnchorFileError(f"line {number} is under an audit key that AUDIT_KEY does not have")
        anchor = _anchor(value)
        if signature is Signature.WRONG or anchor is None:
            raise AnchorFileError(f"line {number} was not signed with the audit key that it names")
        if found and anchor.link.sequence < found[-1].link.sequence:
            raise AnchorFileError(f"line {number} names an earlier event than the line before it")
        found.append(anchor)
    return found


def _anchor(value: Mapping[str, Any]) -> Anchor | None:
    sequence, digest, at = value.get("sequence"), value.get("hash"), value.get("at")
    if isinstance(sequence, int) and isinstance(digest, str) and isinstance(at, str):
        return Anchor(Link(sequence, digest), at)
    return None


class ExportReader:
    """Verify an exported file; yields findings, then `events`, `after` and `to` tell what was read."""

    def __init__(self, stream: BinaryIO, ring: KeyRing, anchors: Iterable[Anchor] = ()) -> None:
        self._lines = _objects(stream)
        self._ring = ring
        self._anchors = list(anchors)
        self.events = 0
        self.after = START
        self.to: Link | None = None
        self.read = 0  # lines, for whoever shows how far it is

    def __iter__(self) -> Iterator[Finding]:
        first = next(self._lines, None)
        if first is None:
            yield Finding(Kind.UNREADABLE, None, "the file is empty")
            return
        pending: list[tuple[int, dict[str, Any] | str]] = []
        problem = self._take_header(first[1])
        if problem is not None:
            yield problem
            if isinstance(first[1], dict) and "export" not in first[1]:
                pending.append(first)
                self._start_at(first[1])
        # Beyond the end of this file nothing can be said; an anchor of a later event says nothing about it.
        limit = self.to.sequence if self.to else None
        anchors = [anchor for anchor in self._anchors if limit is None or anchor.link.sequence <= limit]
        walk = Walk(self._ring, self.after, anchors)
        for source in (pending, self._lines):
            for number, value in source:
                self.read += 1
                if isinstance(value, str):
                    yield Finding(Kind.UNREADABLE, None, f"line {number}: {value}")
                else:
                    yield from walk.step(value, f"line {number}: ")
        self.events = walk.events
        yield from walk.end(self.to)

    def _start_at(self, row: Mapping[str, Any]) -> None:
        # Without a header nobody says where the file begins: the first event itself has to.
        sequence, previous = row.get("sequence"), row.get("previous_hash")
        if isinstance(sequence, int) and sequence > 1 and isinstance(previous, str):
            self.after = Link(sequence - 1, previous)

    def _take_header(self, value: dict[str, Any] | str) -> Finding | None:
        if isinstance(value, str) or "export" not in value:
            return Finding(
                Kind.SIGNATURE, None, "the first line is not the signed header that says which events the file holds"
            )
        signature = check_signature(Statement.EXPORT, value, self._ring)
        if signature is Signature.UNKNOWN_KEY:
            words = f"the header is under the audit key {value.get('key_id')!r}, which AUDIT_KEY does not have"
            self._take_points(value)
            return Finding(Kind.UNKNOWN_KEY, None, words)
        if signature is Signature.WRONG or not self._take_points(value):
            return Finding(Kind.SIGNATURE, None, "the header was not signed with the audit key that it names")
        return None

    def _take_points(self, value: dict[str, Any]) -> bool:
        after, to = (value.get("after"), value.get("after_hash")), (value.get("to"), value.get("to_hash"))
        if all(isinstance(number, int) and isinstance(digest, str) for number, digest in (after, to)):
            self.after, self.to = Link(*after), Link(*to)  # type: ignore[arg-type]  # looked at in the line above
            return True
        return False


def _objects(stream: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield each line's number with its object, or with what is wrong with it."""
    number = 0
    while raw := stream.readline(MAX_LINE + 1):
        number += 1
        if len(raw) > MAX_LINE:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(MAX_LINE + 1)
            yield number, f"it is longer than {MAX_LINE} bytes"
            continue
        if not raw.strip():
            continue
        try:
            value = read_json(raw)
        except ValueError:
            yield number, "it is not JSON, or names a member twice"
            continue
        yield number, value if isinstance(value, dict) else "it is no JSON object"
