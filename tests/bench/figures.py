"""What a bench measures, how it is shown and kept, and what benches have in common."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. It says more beside something that was measured in the same run, on the same machine.

    A bench yields them from `measure(scale: float) -> Iterator[Figure]`; `scale` multiplies the numbers of rows, 1 is
    what the project promises.
    """

    what: str
    value: float
    unit: str
    beside: str = ""  # what it is compared with
    beside_value: float | None = None  # the same, in the same unit
    note: str = ""
    details: Mapping[str, object] = field(default_factory=dict)  # of a load: kept in the file under the bench's name

    @property
    def ratio(self) -> float | None:
        return self.value / self.beside_value if self.beside_value else None


def as_line(bench: str, figure: Figure) -> str:
    """Return a figure as one line of JSON, the way in which a bench's process hands it on."""
    return json.dumps({"bench": bench, **asdict(figure), "ratio": figure.ratio})


def as_table(rows: Sequence[dict[str, object]]) -> str:
    """Return figures as a table for people, each with its ratio."""
    cells = [("bench", "what", "measured", "ratio", "beside")]
    for row in rows:
        ratio = f"{float(str(row['ratio'])):.2f}" if row["ratio"] is not None else ""
        beside = f"{row['beside']}: {_number(row['beside_value'])} {row['unit']}" if row["beside"] else ""
        note = f" ({row['note']})" if row["note"] else ""
        cells.append(
            (str(row["bench"]), f"{row['what']}{note}", f"{_number(row['value'])} {row['unit']}", ratio, beside)
        )
    widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _number(value: object) -> str:
    number = float(str(value))
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:,.2f}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ran to its end in a process of its own."""

    seconds: float
    peak_mib: float  # the most memory that it had resident at once
    output: str


def run_command(*arguments: str, **environment: str) -> Ended:
    """Run `manage.py` with these arguments on the bench's database, in the bench's environment and what is added."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    # wait4 instead of wait: it also tells what this one child used.
    _pid, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {process.returncode}\n{output}")
    return Ended(time.monotonic() - began, used.ru_maxrss / 1024, output)


def seeded(installations: int) -> Iterator[Figure]:
    """Make a world of so many installations with `seed`; tell how fast that was, and the memory for it."""
    ended = run_command("seed", "--yes-this-database-is-for-trials", "--installations", str(installations))
    idle = run_command("check")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    rows = sum(int(number.replace(",", "")) for number in re.findall(r"([\d,]*\d) [a-z]", ended.output))
    what = f"seed {installations:,} installations and {2 * installations:,} tokens"
    yield Figure(what, rows / ended.seconds, "rows/s", "COPY of tokens alone", _copied(), note=f"{ended.seconds:.0f} s")
    yield Figure(f"peak memory: {what}", ended.peak_mib, "MiB", "a command that does nothing", idle.peak_mib)


def _copied() -> float:
    """Return how many stored tokens a second COPY writes to a table with the same indexes."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE copied (LIKE tokens_oauthtoken INCLUDING ALL)")
        with cursor.cursor.copy("COPY (SELECT * FROM tokens_oauthtoken LIMIT 50000) TO STDOUT") as source:
            lines = list(source)
        began = time.monotonic()
        with cursor.cursor.copy("COPY copied FROM STDIN") as target:
            for line in lines:
                target.write(line)
        took = time.monotonic() - began
        cursor.execute("DROP TABLE copied")
    return len(lines) / took


def read_lines(text: str) -> Iterator[dict[str, object]]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
