"""Pages of a long list by where the last one ended, not by number: the millionth row costs what the first one does.

A place is the values of the columns that the list is sorted by, of one row. Rows that come or go meanwhile move none.
The rows behind it are asked for range by range, each of which an index in the order of the list answers: an OR of them
would be walked from the beginning.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

from django.db import connections
from django.db.models import F, Q, QuerySet, Subquery
from django.db.models.expressions import Expression, OrderBy
from django.utils.crypto import constant_time_compare, salted_hmac

_ALIAS: Final = "keyset_{}"
_BETWEEN: Final = "~"
_LONGEST: Final = 4000  # characters of a place in an address

Value: TypeAlias = Any  # of a column: a text, a number, a time, a truth or nothing


class NoPlace(ValueError):
    """The text names no place in a list that is sorted so."""


@dataclass(frozen=True, slots=True)
class Key:
    """One column that a list is sorted by."""

    expression: Expression | F | Subquery
    descending: bool

    @classmethod
    def of(cls, part: Any) -> "Key":
        """Return the key of one part of an ordering, as Django writes them."""
        if isinstance(part, str):
            return cls(F(part.removeprefix("-")), part.startswith("-"))
        if isinstance(part, OrderBy):
            return cls(part.expression, part.descending)
        return cls(part, False)


class Keyset:
    """A sorted list of which pages are asked for. The ordering has to be total: its last column is unique.

    `part` tells lists from each other that are sorted alike: a place in one is none in another.
    """

    def __init__(self, rows: QuerySet[Any], ordering: Sequence[Any], part: int = 0) -> None:
        self._keys = _without_repeats(ordering)
        self._names = [_ALIAS.format(number) for number in range(len(self._keys))]
        named = {name: key.expression for name, key in zip(self._names, self._keys, strict=True)}
        self._rows = rows.annotate(**named)
        self._salt = f"list of {rows.model._meta.label} by {ordering!r}, part {part}"
        # PostgreSQL has nothing after every value, SQLite before.
        self._nothing_is_last = connections[rows.db].vendor == "postgresql"

    def first(self, size: int) -> list[Any]:
        return list(self.sorted(backwards=False)[:size])

    def after(self, place: Sequence[Value], size: int) -> list[Any]:
        """Return the next rows behind a place, in the order of the list. As many statements as keys at most, or two for
        a column that may be empty."""
        return self._beyond(place, size, backwards=False)

    def before(self, place: Sequence[Value], size: int) -> list[Any]:
        """Return the rows right before a place, in the order of the list."""
        return self._beyond(place, size, backwards=True)[::-1]

    def last(self, size: int) -> list[Any]:
        return list(self.sorted(backwards=True)[:size])[::-1]

    def text_of(self, row: Any) -> str:
        """Return the place of a row as it stands in an address. With a short MAC: nobody makes one up."""
        packed = _BETWEEN.join(map(_packed, self.place_of(row)))
        return f"{packed}{_BETWEEN}{self._mac(packed)}"

    def read(self, text: str) -> list[Value]:
        """Return the place that a text names; raises NoPlace for one that is not ours, or of another ordering."""
        packed, _, mac = text.rpartition(_BETWEEN)
        if len(text) > _LONGEST or not constant_time_compare(mac, self._mac(packed)):
            raise NoPlace
        return list(map(_unpacked, packed.split(_BETWEEN)))

    def _mac(self, packed: str) -> str:
        # So few digits that no address looks as if a token stood in it: a place opens nothing.
        return salted_hmac(self._salt, packed, algorithm="sha256").hexdigest()[:16]

    def place_of(self, row: Any) -> list[Value]:
        return [getattr(row, name) for name in self._names]

    def sorted(self, *, backwards: bool) -> QuerySet[Any]:
        """Return the rows in the order of the list, or against it."""
        order = [OrderBy(key.expression, descending=key.descending is not backwards) for key in self._keys]
        found: QuerySet[Any] = self._rows.order_by(*order)
        return found

    def _beyond(self, place: Sequence[Value], size: int, *, backwards: bool) -> list[Any]:
        rows = self.sorted(backwards=backwards)
        found: list[Any] = []
        for condition in self.ranges(place, backwards=backwards):
            found += rows.filter(condition)[: size - len(found)]
            if len(found) == size:
                break
        return found

    def ranges(self, place: Sequence[Value], *, backwards: bool) -> Iterator[Q]:
        """Yield the conditions of what is behind a place, the nearest first: all keys but the last alike, and so on."""
        for number in reversed(range(len(self._keys))):
            alike = Q(*(_is(name, value) for name, value in zip(self._names[:number], place[:number], strict=True)))
            descending = self._keys[number].descending is not backwards
            for beyond in self._behind(self._names[number], place[number], descending=descending):
                yield alike & beyond

    def _behind(self, name: str, value: Value, *, descending: bool) -> Iterator[Q]:
        # Where nothing is the largest value it comes last when ascending.
        nothing_comes_last = self._nothing_is_last is not descending
        if value is None:
            if not nothing_comes_last:
                yield Q(**{f"{name}__isnull": False})
            return
        yield Q(**{f"{name}__{'lt' if descending else 'gt'}": value})
        if nothing_comes_last:
            yield Q(**{f"{name}__isnull": True})


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in a list of parts."""

    part: int
    values: Sequence[Value]


class Pages:
    """A list in parts that follow one another, each sorted by itself, and pages that go on from one to the next."""

    def __init__(self, parts: Sequence[QuerySet[Any]]) -> None:
        self._parts = [Keyset(rows, rows.query.order_by, number) for number, rows in enumerate(parts)]

    def first(self, size: int) -> list[Any]:
        return self._on_from(0, size, [])

    def after(self, place: Place, size: int) -> list[Any]:
        """Return the next rows behind a place, in the order of the list."""
        found = self._of(place.part, self._parts[place.part].after(place.values, size))
        return self._on_from(place.part + 1, size, found)

    def before(self, place: Place, size: int) -> list[Any]:
        """Return the rows right before a place, in the order of the list."""
        found = self._of(place.part, self._parts[place.part].before(place.values, size))
        for number in reversed(range(place.part)):
            if len(found) < size:
                found = self._of(number, self._parts[number].last(size - len(found))) + found
        return found

    def batches(self, size: int) -> Iterator[list[Any]]:
        """Yield the whole list in pieces, each found by where the last one ended. A row that moves meanwhile may be
        passed over or come twice; one that stays comes once."""
        found = self.first(size)
        while found:
            yield found
            found = self.after(self.place_of(found[-1]), size) if len(found) == size else []

    def place_of(self, row: Any) -> Place:
        """Return the place of a row that was found here."""
        return Place(row.keyset_part, self._parts[row.keyset_part].place_of(row))

    def text_of(self, row: Any) -> str:
        """Return the place of a row that was found here, as it stands in an address."""
        return f"{row.keyset_part}{_BETWEEN}{self._parts[row.keyset_part].text_of(row)}"

    def read(self, text: str) -> Place:
        """Return the place that a text names; raises NoPlace as a `Keyset` does."""
        number, _, values = text.partition(_BETWEEN)
        for part, keyset in enumerate(self._parts):
            if number == str(part):
                return Place(part, keyset.read(values))
        raise NoPlace

    def _on_from(self, part: int, size: int, found: list[Any]) -> list[Any]:
        for number in range(part, len(self._parts)):
            if len(found) < size:
                found += self._of(number, self._parts[number].first(size - len(found)))
        return found

    def _of(self, part: int, rows: list[Any]) -> list[Any]:
        for row in rows:
            row.keyset_part = part
        return rows


def _without_repeats(ordering: Sequence[Any]) -> list[Key]:
    """Return the keys up to the first that tells every row from every other: the stock list names the rest twice."""
    keys: list[Key] = []
    for key in map(Key.of, ordering):
        if key.expression not in [known.expression for known in keys]:
            keys.append(key)
        if key.expression in (F("pk"), F("id")):
            break
    return keys


def _is(name: str, value: Value) -> Q:
    return Q(**{f"{name}__isnull": True}) if value is None else Q(**{name: value})


def _packed(value: Value) -> str:
    """Return a value as it stands in an address, after the letter of its kind."""
    if value is None:
        return "n"
    if isinstance(value, datetime):
        return f"t{value.astimezone(UTC).isoformat()}"
    if isinstance(value, date):
        return f"d{value.isoformat()}"
    if isinstance(value, int):  # a truth is one
        return f"i{int(value)}"
    return "s" + quote(str(value), safe="").replace(_BETWEEN, "%7E")


def _unpacked(text: str) -> Value:
    return _READ[text[:1]](text[1:])


_READ: Final[dict[str, Callable[[str], Value]]] = {
    "n": lambda _text: None,
    "t": datetime.fromisoformat,
    "d": date.fromisoformat,
    "i": int,
    "s": unquote,
}
