"""What everything that has to do with keys asks of rows that hold sealed values.

`tokens/sealed_models.py` has the list of all of them.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db.models import QuerySet

from installations.keys import KeyRing
from tokens import vault


@dataclass(frozen=True, slots=True)
class Rings:
    """The two rings under which rows are written anew."""

    seal: KeyRing
    fingerprint: KeyRing


def rings() -> Rings:
    return Rings(vault.token_keys(), vault.fingerprint_keys())


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A row that could not be rewrapped, or does not unseal, and was left as it is."""

    row: str
    why: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some rows: `last` is where the next batch goes on, None at the end."""

    last: Any = None
    rewrapped: int = 0
    passed_over: int = 0  # somebody else held or changed them in between: the next pass looks again
    left_alone: Sequence[LeftAlone] = ()


class SealedRows(ABC):
    """Rows of one kind that hold sealed values."""

    name: str  # how rows of it are called when they are counted
    needs_their_key: ClassVar[bool] = True  # whether anything is lost without it

    @abstractmethod
    def seal_keys(self) -> set[str]:
        """Return the ids of the keys that rows are under, at a cost that does not grow with the rows."""

    @abstractmethod
    def rows_by_seal_key(self) -> Counter[str]:
        """Return how many rows need each key, read from the sealed values themselves. Reads all of them."""

    @abstractmethod
    def count_sealed(self) -> int:
        """Return how many rows hold something sealed."""

    @abstractmethod
    def unsealing(self, keys: Rings) -> Iterator[LeftAlone | None]:
        """Unseal everything, row by row, in memory that does not grow: yield None for a row that is as it should be."""

    def fingerprint_keys(self) -> set[str]:
        return set()

    def rows_by_fingerprint_key(self) -> tuple[Counter[str], Counter[str]]:
        """Return how many rows have a fingerprint under each key: those that a rewrap moves, and those whose secret
        is gone, which stay where they are."""
        return Counter(), Counter()

    @abstractmethod
    def outdated(self, keys: Rings) -> int:
        """Return how many rows a rewrap has still to do."""

    @abstractmethod
    def rewrap(self, keys: Rings, *, after: Any, size: int, dry_run: bool) -> Batch:
        """Do the next rows after `after`, at most `size`, in one transaction."""

    @abstractmethod
    def proves(self, keys: Rings, key_id: str) -> bool | None:
        """Return whether the ring's key of this id is the one that rows were sealed with; None when none is."""

    def proves_fingerprint(self, keys: Rings, key_id: str) -> bool | None:
        """Return the same of the key that fingerprints were made with; None when no secret is left to tell."""
        return None


def distinct(rows: QuerySet[Any], column: str) -> set[str]:
    """Return the values of an indexed column, one look into the index for each: they are few, the rows are many."""
    found: set[str] = set()
    ordered = rows.order_by(column).values_list(column, flat=True)
    value = ordered.first()
    while value is not None:
        found.add(value)
        value = ordered.filter(**{f"{column}__gt": value}).first()
    return found
