"""Sentences of the layers that know no language: English for programs and the trail, translated where they are shown.

A sentence is an ordinary text in English. It also remembers what it was made of, so that `installations.admin.text` can
say it in another language. Pure.
"""

from collections.abc import Iterable, Mapping


class Said(str):
    """An English sentence with its message and the values that were put into it."""

    __slots__ = ("message", "plural", "number", "values")

    message: str
    plural: str | None
    number: int
    values: Mapping[str, object]

    def __new__(
        cls, message: str, plural: str | None = None, number: int = 1, values: Mapping[str, object] | None = None
    ) -> "Said":
        template = message if plural is None or number == 1 else plural
        sentence = super().__new__(cls, template % values if values else template)
        sentence.message, sentence.plural, sentence.number, sentence.values = message, plural, number, values or {}
        return sentence


def said(message: str, /, **values: object) -> Said:
    """Mark a sentence with `%(name)s` for each value. With values, `%` itself is written `%%`."""
    return Said(message, values=values)


def said_of(one: str, many: str, count: int, /, **values: object) -> Said:
    """Mark a sentence about a number, which it has as `%(count)s`, written with commas."""
    return Said(one, many, count, {"count": f"{count:,}", **values})


def joined(separator: str, parts: Iterable[str]) -> Said:
    """Put what was said one after the other, each part still to be translated by itself."""
    values = {f"part_{number}": part for number, part in enumerate(parts)}
    return Said(separator.join(f"%({name})s" for name in values), values=values)
