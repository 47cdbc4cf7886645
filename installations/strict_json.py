"""A JSON reader for documents that people hand in: what two readers could understand differently is refused.

Duplicate names, NaN, numbers that lose digits elsewhere, lone surrogates, NUL (PostgreSQL cannot store it)
and deep nesting are errors with a line and a column. The standard library accepts most of these and places
none of them.
"""

import json
import math
import re
from typing import NoReturn, TypeAlias

from installations.said import said

JSONValue: TypeAlias = "None | bool | int | float | str | list[JSONValue] | dict[str, JSONValue]"

# RFC 7493 (I-JSON) §2.2: beyond this, a reader that uses doubles sees another number.
MAX_INTEGER = 2**53 - 1

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Pieces of a text without a fault. A thousand at a time: the matcher remembers each, a hundred bytes for an escape of
# two. (Possessive repeats would not, but Python 3.11.2, which Debian has, goes past a fault with them.)
_SOUND = re.compile(
    r"""
    (?: [^"\\\x00-\x1f]+
      | \\ (?: ["\\/bfnrt]
            | u (?! 0000 | [dD][89A-Fa-f] ) [0-9A-Fa-f]{4}
            | u [dD][89ABab] [0-9A-Fa-f]{2} \\u [dD][C-Fc-f] [0-9A-Fa-f]{2}
            )
    ){1,1000}
    """,
    re.VERBOSE,
)
_HEX4 = re.compile(r"[0-9A-Fa-f]{4}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WORDS: tuple[tuple[str, bool | None], ...] = (("true", True), ("false", False), ("null", None))


class StrictJSONError(ValueError):
    """The text is not the JSON that is accepted; `line` and `column` count from 1, in characters."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return said(
            "%(message)s (line %(line)s, column %(column)s)", message=self.message, line=self.line, column=self.column
        )


def loads(
    text: str | bytes, *, max_bytes: int, max_depth: int = 32, max_values: int | None = None, quotes: bool = True
) -> JSONValue:
    """Read one JSON document; raises StrictJSONError for the first thing that is wrong.

    `max_values` stops the reading early where a document of many small values would cost more than it may. Without
    `quotes` no error repeats anything of the document, which may be a secret.
    """
    return _Reader(_decoded(text, max_bytes), max_depth, max_values, quotes).document()


def canonical(value: object) -> bytes:
    """Write a JSON value in the one form that is hashed: sorted names, no space, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _decoded(text: str | bytes, max_bytes: int) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise StrictJSONError(said("the document is larger than %(max_bytes)s bytes", max_bytes=max_bytes), 1, 1)
    if isinstance(text, bytes):
        raw = text
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            before = raw[: exc.start].decode("utf-8")
            raise StrictJSONError(
                said("the document is not UTF-8; save it as UTF-8"), *_place(before, len(before))
            ) from None
    if text.startswith("\ufeff"):
        raise StrictJSONError(said("the document starts with a byte order mark; save it as UTF-8 without BOM"), 1, 1)
    if lone := _SURROGATE.search(text):
        raise StrictJSONError(said("half of a surrogate pair is not a character"), *_place(text, lone.start()))
    return text


def _place(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


class _Reader:
    """Recursive descent over one text; the depth limit keeps it far from Python's own recursion limit."""

    def __init__(self, text: str, max_depth: int, max_values: int | None, quotes: bool) -> None:
        self.text = text
        self.values_left = max_values
        self.quotes = quotes
        self.index = 0
        self.max_depth = max_depth

    def document(self) -> JSONValue:
        self._skip_space()
        if self.index == len(self.text):
            self._fail(said("the document is empty"))
        value = self._value(0)
        self._skip_space()
        if self.index != len(self.text):
            self._fail(said("there is more text after the end of the document"))
        return value

    def _fail(self, message: str, index: int | None = None) -> NoReturn:
        at = self.index if index is None else index
        if self.text.startswith(("//", "/*"), at):
            message = said("comments are not JSON; remove them")
        raise StrictJSONError(message, *_place(self.text, at))

    def _skip_space(self) -> None:
        self._pass(_SPACE)

    def _pass(self, pattern: re.Pattern[str]) -> str:
        """Go past what the pattern, which may match nothing, finds here."""
        found = pattern.match(self.text, self.index)
        text = found.group() if found else ""
        self.index += len(text)
        return text

    def _peek(self) -> str:
        return self.text[self.index : self.index + 1]

    def _value(self, depth: int) -> JSONValue:
        if self.values_left is not None:
            self.values_left -= 1
            if self.values_left < 0:
                self._fail(said("the document has too many values"))
        start = self._peek()
        if start == '"':
            return self._string()
        if start in ("{", "["):
            if depth >= self.max_depth:
                self._fail(said("the document is nested deeper than %(max_depth)s levels", max_depth=self.max_depth))
            self.index += 1
            return self._object(depth + 1) if start == "{" else self._array(depth + 1)
        for word, value in _WORDS:
            if self.text.startswith(word, self.index):
                self.index += len(word)
                return value
        return self._number()

    def _object(self, depth: int) -> dict[str, JSONValue]:
        result: dict[str, JSONValue] = {}
        self._skip_space()
        if self._take("}"):
            return result
        while True:
            at = self.index
            if self._peek() != '"':
                self._fail(
                    said("a name in double quotes must stand here; remove the comma before it")
                    if result and self._peek() == "}"
                    else said("a name in double quotes must stand here")
                )
            name = self._string()
            if name in result:
                self._fail(
                    said("the name %(name)s is there twice", name=f"{name[:60]!r}")
                    if self.quotes
                    else said("a name is there twice"),
                    at,
                )
            self._skip_space()
            if not self._take(":"):
                self._fail(said("a colon must stand here"))
            self._skip_space()
            result[name] = self._value(depth)
            self._skip_space()
            if self._take("}"):
                return result
            if not self._take(","):
                self._fail(said("a comma or } must stand here"))
            self._skip_space()

    def _array(self, depth: int) -> list[JSONValue]:
        result: list[JSONValue] = []
        self._skip_space()
        if self._take("]"):
            return result
        while True:
            if result and self._peek() == "]":
                self._fail(said("a value must stand here; remove the comma before it"))
            result.append(self._value(depth))
            self._skip_space()
            if self._take("]"):
                return result
            if not self._take(","):
                self._fail(said("a comma or ] must stand here"))
            self._skip_space()

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self.index += 1
        return True

    def _string(self) -> str:
        start = self.index
        self.index += 1
        while self._pass(_SOUND):
            pass
        if self._peek() != '"':
            self._fail_inside_text()
        self.index += 1
        # Faster than a loop of ours, and safe: the pattern lets through only what the standard library reads as we do.
        text: str = json.loads(self.text[start : self.index])
        return text

    def _fail_inside_text(self) -> NoReturn:
        if self.index == len(self.text):
            self._fail(said("a text is not closed"))
        if self._peek() != "\\":
            self._fail(said("a line break or control character inside a text must be written as an escape"))
        if not self.text.startswith("u", self.index + 1):
            self._fail(said("this is not an escape that JSON knows"))
        code = self._hex4(self.index)
        if code == 0:
            self._fail(said("the NUL character is not accepted"))
        if code < 0xDC00 and self.text.startswith("\\u", self.index + 6):
            self._hex4(self.index + 6)
        self._fail(said("half of a surrogate pair is not a character"))

    def _hex4(self, escape: int) -> int:
        found = _HEX4.match(self.text, escape + 2)
        if not found:
            self._fail(said("\\u must be followed by four hexadecimal digits"), escape)
        return int(found.group(), 16)

    def _number(self) -> int | float:
        found = _NUMBER.match(self.text, self.index)
        if not found:
            if self.text.startswith(("NaN", "Infinity", "-Infinity"), self.index):
                self._fail(said("NaN and Infinity are not JSON"))
            self._fail(said("a value must stand here"))
        digits = found.group()
        if found.group(1) is None and found.group(2) is None:
            # The length is looked at first: int() of a very long text is slow, and Python refuses it in its
            # own words.
            if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
                self._fail(said("the number is too large to be read the same everywhere; write it as a text"))
            self.index = found.end()
            return int(digits)
        number = float(digits)
        if not math.isfinite(number):
            self._fail(said("the number is too large"))
        self.index = found.end()
        return number
