"""A file of a list says at its end how many rows it holds: one that broke off does not, and is seen not to be whole."""

import csv
import json
from collections.abc import Iterator

import pytest

from installations.list_files import END, csv_lines, json_lines

COLUMNS = ("id", "name")


def broken() -> Iterator[tuple[int, str]]:
    yield 1, "a"
    raise ConnectionError


def test_csv_has_names_rows_and_an_end() -> None:
    text = "".join(csv_lines(COLUMNS, [(1, "a,b"), (2, None)]))
    assert list(csv.reader(text.splitlines())) == [["id", "name"], ["1", "a,b"], ["2", ""], [END, "2"]]


def test_json_lines_have_rows_and_an_end() -> None:
    assert [json.loads(each) for each in json_lines(COLUMNS, [(1, "é"), (2, None)])] == [
        {"id": 1, "name": "é"},
        {"id": 2, "name": None},
        {END: 2},
    ]


def test_empty_list_is_a_whole_file() -> None:
    assert "".join(csv_lines(COLUMNS, [])).splitlines() == ["id,name", f"{END},0"]
    assert [json.loads(each) for each in json_lines(COLUMNS, [])] == [{END: 0}]


@pytest.mark.parametrize("lines", [csv_lines, json_lines])
def test_what_breaks_off_has_no_end(lines: object) -> None:
    written = []
    with pytest.raises(ConnectionError):
        written.extend(lines(COLUMNS, broken()))  # type: ignore[operator]
    assert END not in "".join(written)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "a;=1", " =HYPERLINK(1)"])
def test_no_cell_of_the_csv_is_a_formula(text: str) -> None:
    row = next(csv.reader(list(csv_lines(COLUMNS, [(1, text)]))[:1][0].splitlines()[1:]))
    assert "'" in row[1]


def test_json_lines_are_ascii_and_one_line_each() -> None:
    [row, _end] = json_lines(COLUMNS, [(1, "a\n\u2028\u202e")])
    assert row.isascii()
    assert len(row.splitlines()) == 1
