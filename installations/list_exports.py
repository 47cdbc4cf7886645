"""Take a list of the console away as a file, with a note in the audit trail before the first byte."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from installations import audit
from installations.actors import Actor
from installations.list_files import csv_lines, json_lines
from installations.statement_bound import bounded_statements
from installations.trail.exporting import Format

# Of a filter's value in the trail: what is chosen is short, and what somebody wrote into an address need not be.
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class ListExport:
    """A list that may be written, and the note of it."""

    format: Format
    name: str
    noted: int  # the number of its event

    @property
    def file_name(self) -> str:
        """Return a name that says the list and the event, so that a file leads to who took it."""
        return f"{self.name.partition('.')[2]}-{self.noted}.{self.format}"

    def lines(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
        """Yield the file's text line by line. Memory does not grow with the list."""
        return (csv_lines if self.format is Format.CSV else json_lines)(columns, rows)


def export_list(
    *,
    rows: QuerySet[Any],
    required: Collection[str],
    format: Format,
    filters: Mapping[str, Sequence[str]],
    searched: bool,
    actor: Actor,
) -> ListExport:
    """Record who takes which rows of a list away, how many they are now, and return what writes them.

    `required` is what it takes to see the list. Of a search the trail keeps that there was one: what was searched for
    may be a person's name, which no erasure would reach there. Raises NotPermitted. The rows are counted to their end,
    which costs a part of what reading them does.
    """
    for permission in required:
        actor.require(permission)
    name = rows.model._meta.label_lower
    told = {named: [value[:_LONGEST] for value in values] for named, values in filters.items()}
    with transaction.atomic(durable=True):
        with bounded_statements():
            number = rows.order_by().values("pk").count()
        details = {"format": format.value, "rows": number, "filters": told, "searched": searched}
        audit.append(actor, audit.Event("list.exported", "list", name, details=details))
        return ListExport(format, name, audit.locked_head().sequence)
