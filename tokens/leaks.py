"""Read what was found in a leak: every piece of a line that could be a token. Pure; nothing of it is kept or repeated.

A line may be the token alone, in quotes, after `Bearer` or `name=`, or stand in a log, CSV, JSON or an address.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from installations.said import said

MAX_BYTES = 1024 * 1024
MAX_LINES = 10_000
_MAX_PIECES = 64  # of one line
_SHORTEST_LINE, _SHORTEST_PIECE = 8, 16
_LONGEST = 4096
_BEARER = re.compile(r"(?:authorization:\s*)?bearer\s+", re.IGNORECASE)
_AROUND = " \t\r\n\"'`,;"
_WORD = re.compile(r"""[^\s,;"'`<>(){}\[\]|\\]+""")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class TooMuchAtOnce(ValueError):
    """More than is looked up at once. The text says how much that is and holds nothing of what was handed in."""


@dataclass(frozen=True, slots=True)
class LeakedLine:
    """A line by its number, and the pieces of it that could be a token."""

    number: int
    pieces: tuple[str, ...] = field(repr=False)


def read(text: str) -> list[LeakedLine]:
    """Return every line that is not empty. Raises TooMuchAtOnce."""
    lines = [
        (number, line.strip()) for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1) if line.strip()
    ]
    if len(text.encode("utf-8", "replace")) > MAX_BYTES or len(lines) > MAX_LINES:
        raise TooMuchAtOnce(
            said(
                "That is more than is looked up at once: at most %(max_lines)s lines and 1 MiB. Split it and do one "
                "part after the other.",
                max_lines=f"{MAX_LINES:,}",
            )
        )
    return [LeakedLine(number, tuple(_pieces(line))) for number, line in lines]


def _pieces(line: str) -> Iterator[str]:
    seen: set[str] = set()
    for piece in _candidates(line):
        if piece not in seen and len(piece) <= _LONGEST and _VISIBLE.fullmatch(piece):
            seen.add(piece)
            yield piece
        if len(seen) >= _MAX_PIECES:
            return


def _candidates(line: str) -> Iterator[str]:
    bare = line.strip(_AROUND)
    bare = _BEARER.sub("", bare, count=1) if _BEARER.match(bare) else bare
    bare = bare.strip(_AROUND)
    if len(bare) >= _SHORTEST_LINE:
        yield bare
    for word in _WORD.findall(line):
        for piece in _inside(word):
            if len(piece) >= _SHORTEST_PIECE:
                yield piece
                if "%" in piece:
                    yield unquote(piece)


def _inside(word: str) -> Iterator[str]:
    yield word
    # A token may itself hold and end in these: what follows the first is tried whole as well as cut.
    for mark in "=:":
        yield word.partition(mark)[2]
    yield from re.split(r"[?&=:#]", word)
    yield from re.split(r"[?&#]", word)
    for part in re.split(r"[?&#]", word):
        yield part.partition("=")[2]
