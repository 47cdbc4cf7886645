"""Exports and anchors as files: signed, verified with the keys alone, and safe to open in a spreadsheet."""

import csv
import io
import json
from typing import Any

import pytest

from installations.audit_chain import START, Anchor, Link, Row, Statement, sign
from installations.audit_files import (
    MAX_LINE,
    AnchorFileError,
    ExportReader,
    anchor_line,
    csv_lines,
    header,
    json_lines,
    read_anchors,
)
from installations.keys import Key, KeyRing
from tests.tampering import exported, made_trail

KEY, OTHER = Key("1", bytes(range(32))), Key("2", bytes(range(32, 64)))
RING = KeyRing([OTHER, KEY])
TRAIL = made_trail(20, KEY)
AT = "2026-04-01T12:00:00.000000Z"


def link(sequence: int) -> Link:
    return Link(sequence, TRAIL[sequence - 1]["hash"]) if sequence else START


def export(after: int = 0, to: int = 20, rows: list[Any] | None = None) -> bytes:
    lines = json_lines(header(link(after), link(to), AT, OTHER), TRAIL[after:to] if rows is None else rows)
    return "".join(lines).encode()


def said(data: bytes, *anchors: Anchor, ring: KeyRing = RING) -> list[tuple[str, int | None]]:
    return [(finding.kind.value, finding.sequence) for finding in ExportReader(io.BytesIO(data), ring, anchors)]


@pytest.mark.parametrize(("after", "to"), [(0, 20), (0, 1), (7, 20), (7, 12), (19, 20)])
def test_export_of_any_part_verifies_by_itself(after: int, to: int) -> None:
    reader = ExportReader(io.BytesIO(export(after, to)), RING)
    assert list(reader) == []
    assert (reader.events, reader.after, reader.to) == (to - after, link(after), link(to))


def test_file_that_ends_early_is_cut_off() -> None:
    lines = export().splitlines(keepends=True)
    for length in range(1, 21):
        assert said(b"".join(lines[:length])) == [("tail cut off", length)]
    assert said(b"".join(lines)[:-30])[-1] == ("tail cut off", 20)


def test_line_that_was_edited_removed_added_or_moved_is_found() -> None:
    lines = export().splitlines(keepends=True)
    assert said(b"".join([*lines[:5], lines[5].replace(b"Reason 5", b"Reason 6"), *lines[6:]])) == [("edited", 5)]
    assert said(b"".join([*lines[:5], *lines[6:]])) == [("missing", 5)]
    assert said(b"".join([*lines[:6], lines[5], *lines[6:]])) == [("inserted", 5)]
    assert ("missing", 5) in said(b"".join([*lines[:5], lines[6], lines[5], *lines[7:]]))


def test_header_is_signed_over_where_the_file_begins_and_ends() -> None:
    lines = export().splitlines(keepends=True)
    first = json.loads(lines[0])
    for name, value in {"after": 1, "to": 19, "to_hash": TRAIL[18]["hash"], "key_id": "1", "at": "x"}.items():
        changed = json.dumps(first | {name: value}).encode() + b"\n"
        assert said(changed + b"".join(lines[1:]))[0] == ("not signed by us", None), name
    short = json.dumps(sign(Statement.EXPORT, {"export": "audit trail"}, KEY)).encode() + b"\n"
    assert said(short + b"".join(lines[1:]))[0] == ("not signed by us", None)


def test_events_without_a_header_are_still_verified() -> None:
    assert said(exported(TRAIL)) == [("not signed by us", None)]
    rows = [*TRAIL[7:9], TRAIL[9] | {"reason": "Edited."}, *TRAIL[10:]]
    assert said(exported(rows)) == [("not signed by us", None), ("edited", 10)]


def test_key_that_is_not_there_is_named() -> None:
    alone = KeyRing([Key("3", bytes(range(64, 96)))])
    assert said(export(), ring=alone)[0] == ("unknown key", None)
    assert {kind for kind, _sequence in said(export(), ring=alone)} == {"unknown key"}


def test_anchor_within_the_file_counts_and_one_of_later_events_says_nothing() -> None:
    assert said(export(0, 12), Anchor(link(20), AT), Anchor(link(12), AT)) == []
    assert said(export(), Anchor(Link(12, "f" * 64), AT)) == [("differs from an anchor", 12)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\xff\xfe",
        b"[1]\n",
        b"null",
        b"{" * 10_000,
        b'{"export": "audit trail"}\n',
        b'{"export": "audit trail", "key_id": 5, "mac": 5}\n',
        b'{"sequence": 5, "sequence": 6}\n',
        b"x" * (MAX_LINE + 10) + b"\n",
        export() + b"[]\n",
        export() + b"x" * (MAX_LINE + 10),
        export() + json.dumps({"sequence": 21}).encode(),
    ],
)
def test_what_is_no_export_is_a_finding_and_no_error(data: bytes) -> None:
    assert said(data)


# --- CSV -------------------------------------------------------------------------------------------------------


def cells(rows: list[Row]) -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(csv_lines(iter(rows))))))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "\uff1d1+1", '=cmd|"/c calc"!A1']
)
def test_cell_that_a_spreadsheet_would_run_is_text(text: str) -> None:
    row = TRAIL[0] | {"reason": text, "actor_name": text}
    table = cells([row])
    gap = text[0] if text[0] in "\t\r\n" else ""  # the formula behind it could be a cell of its own
    expected = f"'{gap}'{text[1:]}" if gap else f"'{text}"
    assert table[1][table[0].index("reason")] == expected
    assert table[1][table[0].index("actor_name")] == expected


def test_csv_has_a_line_for_each_event_and_every_column() -> None:
    table = cells([TRAIL[0] | {"reason": 'A "quoted", text\nof two lines'}, TRAIL[1]])
    assert [len(line) for line in table] == [15, 15, 15]
    assert table[1][table[0].index("reason")] == 'A "quoted", text\nof two lines'
    assert json.loads(table[1][table[0].index("details")]) == TRAIL[0]["details"]
    assert table[2][table[0].index("hash")] == TRAIL[1]["hash"]
    assert cells([]) == [table[0]]


# --- Anchors ---------------------------------------------------------------------------------------------------


def anchors(*lines: str) -> list[Anchor]:
    return read_anchors(io.BytesIO("".join(lines).encode()), RING)


def test_anchors_are_read_in_their_order_whatever_key_signed_them() -> None:
    found = anchors(anchor_line(link(5), AT, KEY), anchor_line(link(5), AT, KEY), anchor_line(link(9), AT, OTHER))
    assert found == [Anchor(link(5), AT), Anchor(link(5), AT), Anchor(link(9), AT)]
    assert anchors() == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (anchor_line(link(5), AT, KEY).replace('"sequence":5', '"sequence":6'), "line 2 was not signed"),
        (anchor_line(link(5), AT, KEY).replace('"key_id":"1"', '"key_id":"2"'), "line 2 was not signed"),
        (
            anchor_line(link(5), AT, Key("3", bytes(range(64, 96)))),
            "line 2 is under an audit key that AUDIT_KEY does not",
        ),
        (anchor_line(link(2), AT, KEY), "line 2 names an earlier event"),
        ("not JSON\n", "line 2 is no anchor"),
        ("[]\n", "line 2 is no anchor"),
        ("{}\n", "line 2 is under an audit key"),
        (json.dumps(sign(Statement.ANCHOR, {"sequence": "5"}, KEY)) + "\n", "line 2 was not signed"),
        (json.dumps(sign(Statement.EXPORT, {"sequence": 5, "hash": "f", "at": AT}, KEY)) + "\n", "line 2 was not"),
    ],
)
def test_file_with_an_anchor_that_is_not_ours_is_refused(line: str, message: str) -> None:
    with pytest.raises(AnchorFileError, match=message):
        anchors(anchor_line(link(3), AT, KEY), line)


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("gap", ["", " ", '"', '" ', "\n"])
@pytest.mark.parametrize("sign_", "=+-@")
def test_cell_is_text_where_another_separator_cuts_it(delimiter: str, gap: str, sign_: str) -> None:
    reason = f"a{delimiter}{gap}{sign_}1+cmd|' /C calc'!A0{delimiter}b"
    text = "".join(csv_lines(iter([TRAIL[0] | {"reason": reason, "details": {"said": reason}}])))
    for row in csv.reader(io.StringIO(text), delimiter=delimiter):
        assert not [cell for cell in row if cell.lstrip()[:1] in tuple("=+-@")]


def test_semicolon_before_a_word_is_left_alone() -> None:
    assert "one; two" in cells([TRAIL[0] | {"reason": "one; two"}])[1]
