"""Rows as CSV for a spreadsheet, without any cell that it would run. Pure."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence

# In East Asia the full-width ones begin a formula too.
_SIGNS = "=+@\uff1d\uff0b\uff0d\uff20-"
_FORMULA = frozenset(f"{_SIGNS}\t\r")
# Where a list is separated by semicolons or tabs, quotes do not hold a cell together: these begin another one.
_FORMULA_INSIDE = re.compile(rf"([;\t\r\n][\s\"]*)(?=[{_SIGNS}])")


def csv_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Write the columns' names and one line for each row; None is empty, what is no text is JSON."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        yield _taken(out)
    if rest := _taken(out):
        yield rest


def _taken(out: io.StringIO) -> str:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = text.replace("\x00", "")
    # A spreadsheet takes these for the beginning of a formula, also behind white space.
    if text.lstrip(" \n")[:1] in _FORMULA and text.strip():
        text = f"'{text}"
    return _FORMULA_INSIDE.sub(r"\1'", text)
