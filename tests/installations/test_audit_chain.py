"""The verifier finds every edit, deletion, insertion, exchange and cut, on plain rows, and names what it found."""

import copy
import json
import random
from collections.abc import Iterable
from typing import Any

import pytest

from installations.audit_chain import (
    COLUMNS,
    COVERED,
    NOTHING,
    START,
    Anchor,
    Finding,
    Kind,
    Link,
    Signature,
    Statement,
    Walk,
    check_signature,
    read_json,
    row_hash,
    sign,
)
from installations.audit_models import AuditEvent
from installations.keys import Key, KeyRing
from tests.tampering import made_trail

OLD, NEW = Key("1", bytes(range(32))), Key("2", bytes(range(32, 64)))
RING = KeyRing([NEW, OLD])
COUNT, MANY = 200, 10_000
TRAIL = made_trail(COUNT, OLD, NEW)
END = Link(COUNT, TRAIL[-1]["hash"])
ANCHOR = Anchor(END, "2026-04-01T12:00:00.000000Z")
# For each column other values of it, as different in kind as somebody might write there.
EDITS: dict[str, list[Any]] = {
    "id": [0, 10**9],
    "sequence": [0, -1, 10**9, 7],
    "occurred_at": ["2026-04-01T10:15:20.000004Z", "2020-01-01T00:00:00.000000Z", "", None],
    "actor_kind": ["system", ""],
    "actor_id": ["99", ""],
    "actor_name": ["bea", "ana "],
    "via": ["command", ""],
    "verb": ["installation.resumed", "installation.suspended "],
    "target_kind": ["portal", ""],
    "target_id": ["99", ""],
    "installation_id": [99, "1", 0],
    "reason": ["Another.", ""],
    "details": [{"count": 0}, {"count": 1.0}, [], None, "{}"],
    "previous_hash": [NOTHING[:-1] + "1", "", "é"],
    "key_id": ["1", "2", "3", ""],
    "hash": [NOTHING[:-1] + "1", "", "é"],
}


def findings(rows: Iterable[Any], head: Link | None = END, *anchors: Anchor, after: Link = START) -> list[Finding]:
    walk = Walk(RING, after, anchors)
    return [finding for row in rows for finding in walk.step(row)] + list(walk.end(head))


def said(rows: Iterable[Any], head: Link | None = END, *anchors: Anchor) -> list[tuple[str, int | None]]:
    return [(finding.kind.value, finding.sequence) for finding in findings(rows, head, *anchors)]


class Prefixes:
    """Walks that have come to each place of a whole trail, so that a change costs what is behind it only."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        walk = Walk(RING)
        self.walks = [copy.copy(walk)]
        for row in rows:
            assert list(walk.step(row)) == []
            self.walks.append(copy.copy(walk))
        self.head = walk.last
        assert list(walk.end(self.head)) == []

    def is_found(self, place: int, behind: Iterable[Any], head: Link | None = None) -> bool:
        """Say whether anything is found when other rows follow the first `place` ones."""
        walk = copy.copy(self.walks[place])
        return any(True for row in behind for _ in walk.step(row)) or any(True for _ in walk.end(head or self.head))


WHOLE = Prefixes(TRAIL)


def test_whole_trail_over_two_keys_holds() -> None:
    assert {row["key_id"] for row in TRAIL} == {"1", "2"}
    assert findings(TRAIL, END, ANCHOR) == []


def test_columns_are_those_of_the_table() -> None:
    assert set(COLUMNS) | {"id"} == {column.name for column in AuditEvent._meta.get_fields()} == EDITS.keys()
    assert set(COVERED) == set(COLUMNS) - {"hash"}


@pytest.mark.parametrize("column", EDITS)
def test_every_edit_of_a_column_in_every_row_is_found(column: str) -> None:
    tried = 0
    for place, row in enumerate(TRAIL):
        for value in EDITS[column]:
            # As JSON: 1 and 1.0 and True are equal in Python.
            if json.dumps(row[column]) != json.dumps(value):
                tried += 1
                assert WHOLE.is_found(place, [row | {column: value}, *TRAIL[place + 1 :]]), (place, value)
    assert tried >= COUNT


def test_every_deletion_is_found() -> None:
    for place in range(COUNT):
        assert WHOLE.is_found(place, TRAIL[place + 1 :])


@pytest.mark.parametrize("number", ["as the one before", "as the one after", "of its own"])
def test_every_insertion_is_found(number: str) -> None:
    for place in range(COUNT + 1):
        model = TRAIL[min(place, COUNT - 1)]
        sequence = {"as the one before": max(place, 1), "as the one after": place + 1, "of its own": 10**6 + place}
        added = model | {"id": sequence[number], "sequence": sequence[number], "reason": "Added."}
        rows = sorted([*TRAIL[place:], added], key=lambda row: row["sequence"])
        assert WHOLE.is_found(place, rows)


def test_every_exchange_of_two_rows_is_found() -> None:
    tried = 0
    for first in range(COUNT):
        for second in range(first + 1, COUNT):
            a, b = TRAIL[first], TRAIL[second]
            here = b | {"id": a["id"], "sequence": a["sequence"]}
            tried += 1
            assert WHOLE.is_found(first, [here])
    assert tried == COUNT * (COUNT - 1) // 2


def test_every_exchange_of_two_rows_with_their_numbers_is_found() -> None:
    """As an export could have them: whole lines change places."""
    for first in range(COUNT - 1):
        for second in {first + 1, COUNT - 1}:
            rows = [*TRAIL]
            rows[first], rows[second] = rows[second], rows[first]
            assert WHOLE.is_found(first, rows[first:])


def test_every_truncation_is_found_by_the_head_and_by_an_anchor_alone() -> None:
    for length in range(COUNT):
        assert WHOLE.is_found(length, [])
        end = Link(length, TRAIL[length - 1]["hash"]) if length else START
        # Whoever cuts the end off sets the head back as well: only the anchor knows.
        assert findings(TRAIL[:length], end) == []
        assert said(TRAIL[:length], end, ANCHOR) == [("tail cut off", length + 1)]


def test_beginning_that_is_gone_is_found_without_a_checkpoint() -> None:
    for start in range(1, COUNT):
        assert said(TRAIL[start:])[0] == ("missing", 1)
        assert findings(TRAIL[start:], after=Link(start, TRAIL[start - 1]["hash"])) == []


def test_samples_on_ten_thousand_rows() -> None:
    rows = made_trail(MANY, OLD, NEW)
    prefixes = Prefixes(rows)
    chance = random.Random(20260401)
    for place in [0, 1, MANY // 2 - 1, MANY // 2, MANY - 2, MANY - 1, *chance.sample(range(MANY), 30)]:
        for column, values in EDITS.items():
            for value in values:
                if json.dumps(rows[place][column]) != json.dumps(value):
                    assert prefixes.is_found(place, [rows[place] | {column: value}, *rows[place + 1 :]])
        assert prefixes.is_found(place, rows[place + 1 :]), "deletion"
        assert prefixes.is_found(place, [rows[place], rows[place] | {"reason": "Added."}]), "insertion"
        other = chance.choice([number for number in range(place + 1, MANY)] or [0])
        if other > place:
            assert prefixes.is_found(place, [rows[other] | {"id": place + 1, "sequence": place + 1}]), "exchange"
        assert prefixes.is_found(place, []), "truncation"


# --- What it says ----------------------------------------------------------------------------------------------


def test_one_edit_is_one_finding_and_the_walk_goes_on() -> None:
    rows = [*TRAIL]
    for place in (10, 50):
        rows[place] = rows[place] | {"reason": "Edited."}
    assert said(rows) == [("edited", 11), ("edited", 51)]


def test_edited_hash_is_named_where_it_is_and_not_at_the_next_event() -> None:
    rows = [*TRAIL]
    rows[10] = rows[10] | {"hash": "f" * 64}
    assert said(rows) == [("edited", 11)]


def test_edited_hash_of_the_last_event_is_named_once() -> None:
    rows = [*TRAIL[:-1], TRAIL[-1] | {"hash": "f" * 64}]
    assert said(rows) == [("edited", COUNT)]


def test_gap_is_named_as_a_range_once() -> None:
    (finding,) = findings([*TRAIL[:10], *TRAIL[13:]])
    assert str(finding) == "event 11: missing: 11 to 13 are not there"


def test_rewritten_end_without_the_key_is_an_edit_and_with_it_a_difference_from_the_anchor() -> None:
    rows = made_trail(COUNT, OLD, NEW)
    for row in rows[100:]:
        row["reason"] = "Rewritten."
        row["previous_hash"] = rows[row["sequence"] - 2]["hash"]
        row["hash"] = row_hash(row, RING.get(row["key_id"]) or OLD)
    head = Link(COUNT, rows[-1]["hash"])
    assert findings(rows, head) == []
    assert said(rows, head, ANCHOR) == [("differs from an anchor", COUNT)]


def test_chain_that_was_cut_and_went_on_differs_from_the_anchor() -> None:
    rows = made_trail(COUNT + 50, OLD, NEW)
    head = Link(COUNT + 50, rows[-1]["hash"])
    assert said(rows, head, ANCHOR) == [("differs from an anchor", COUNT)]


def test_key_that_is_not_there_is_named_and_the_link_still_checked() -> None:
    rows = made_trail(4, Key("3", bytes(range(64, 96))), NEW)
    head = Link(4, rows[-1]["hash"])
    assert said(rows, head) == [("unknown key", 1), ("unknown key", 2)]
    assert "'3'" in str(findings(rows, head)[0])
    rows[1] = rows[1] | {"previous_hash": NOTHING}
    assert ("wrong link", 2) in said(rows, head)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (Link(COUNT + 1, "f" * 64), ("tail cut off", COUNT + 1)),
        (Link(COUNT - 1, TRAIL[-2]["hash"]), ("head does not match", COUNT - 1)),
        (Link(COUNT, "f" * 64), ("head does not match", COUNT)),
        (Link(0, NOTHING), ("head does not match", 0)),
    ],
)
def test_head_that_was_changed_is_found(head: Link, expected: tuple[str, int]) -> None:
    assert said(TRAIL, head) == [expected]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"sequence": 5},
        TRAIL[4] | {"more": 1},
        TRAIL[4] | {"sequence": "5"},
        TRAIL[4] | {"sequence": True},
        TRAIL[4] | {"sequence": None},
        TRAIL[4] | {"hash": 5},
        TRAIL[4] | {"key_id": None},
        TRAIL[4] | {"previous_hash": ["x"]},
        {name: TRAIL[4][name] for name in COLUMNS if name != "reason"},
    ],
)
def test_row_that_cannot_be_used_is_a_finding_and_the_walk_goes_on(row: dict[str, Any]) -> None:
    found = findings([*TRAIL[:4], row, *TRAIL[5:]])
    assert found[0].kind is Kind.UNREADABLE
    assert {finding.kind for finding in found} <= {Kind.UNREADABLE, Kind.MISSING, Kind.LINK}


def test_two_anchors_that_differ_are_found() -> None:
    other = Anchor(Link(COUNT, "f" * 64), "2026-04-02T00:00:00.000000Z")
    assert ("differs from an anchor", COUNT) in said(TRAIL, END, ANCHOR, other)


def test_empty_trail_holds() -> None:
    assert findings([], START) == []
    assert findings([], None) == []


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', "{", "[" * 100_000, b"\xff"])
def test_text_that_two_readers_could_take_differently_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it is called, it is one
        read_json(text)


# --- Signatures ------------------------------------------------------------------------------------------------

SIGNED = sign(Statement.ANCHOR, {"sequence": 5, "hash": "f" * 64}, OLD)


def test_signature_is_of_its_fields_its_key_and_its_use() -> None:
    assert check_signature(Statement.ANCHOR, SIGNED, RING) is Signature.GOOD
    assert check_signature(Statement.ANCHOR, SIGNED, KeyRing([NEW])) is Signature.UNKNOWN_KEY
    for use in (Statement.CHECKPOINT, Statement.EXPORT):
        assert check_signature(use, SIGNED, RING) is Signature.WRONG
    for name, value in {"sequence": 6, "hash": "e" * 64, "key_id": "2", "mac": "0" * 64, "more": 1}.items():
        assert check_signature(Statement.ANCHOR, SIGNED | {name: value}, RING) is Signature.WRONG


@pytest.mark.parametrize("mac", [None, 5, "", "é", "\ud800"])
def test_signature_of_another_kind_is_wrong(mac: Any) -> None:
    assert check_signature(Statement.ANCHOR, SIGNED | {"mac": mac}, RING) is Signature.WRONG


def test_no_signature_is_a_hash_of_a_row() -> None:
    assert sign(Statement.ANCHOR, {}, OLD)["mac"] != sign(Statement.EXPORT, {}, OLD)["mac"]
