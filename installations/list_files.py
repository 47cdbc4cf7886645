"""A list as a file: CSV for a spreadsheet, or JSON Lines. Pure.

Both end with a line that says how many rows they hold. A file without it is not whole, whatever ended the writing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from installations import spreadsheet
from installations.audit_files import line

END: Final = "end of export"


def csv_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Write the columns' names, each row, and at the end a line of the words END and how many rows there were."""
    return spreadsheet.csv_lines(columns, _ended(rows))


def json_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Write each row as an object, and at the end one whose member END is how many there were."""
    number = 0
    for row in rows:
        number += 1
        yield line(dict(zip(columns, row, strict=True)))
    yield line({END: number})


def _ended(rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
    number = 0
    for row in rows:
        number += 1
        yield row
    yield (END, number)
