"""How many rows each choice of a filter would leave, beside it: to a bound, in one statement a filter, or not at all.

A choice is counted in the whole list where an index of the database finds its rows, up to 1,000. In a list that is
narrowed by something else no index does that, so there its choices are counted among the rows that are left, where
these are no more than 1,000. What neither covers says no number: a slow one would cost each look at the list, and one
of a part would be false.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.utils import prepare_lookup_value
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet
from django.http import QueryDict

# Counted of one choice at most, and the rows among which choices that no index finds are counted.
BOUND: Final = 1_000
# A filter of more choices is a list of its own: its numbers would cost more than they say.
MOST_CHOICES: Final = 50


def own_parameters(spec: Any, choice: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what a choice of a filter sets of the filter's own in the address. "All" sets nothing."""
    given = QueryDict(choice["query_string"].removeprefix("?"))
    return {name: given.getlist(name) for name in spec.expected_parameters() if name in given}


def chosen(spec: Any, parameters: dict[str, list[str]], rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the rows that the filter would leave with these parameters."""
    other = copy.copy(spec)
    if isinstance(spec, SimpleListFilter):
        other.used_parameters = {name: values[-1] for name, values in parameters.items()}
    else:
        other.used_parameters = {
            name: prepare_lookup_value(name, values, spec.list_separator) for name, values in parameters.items()
        }
    found: QuerySet[Any] = other.queryset(spec.request, rows)
    return found


def counts_in_whole(rows: QuerySet[Any], spec: Any, choices: Sequence[dict[str, list[str]]]) -> list[str]:
    """Return how many rows each choice finds, `1,000+` for more than are counted. One statement."""
    parts = [_limited(chosen(spec, parameters, rows)) for parameters in choices]
    return [_as_counted(count) for count in _counted(rows, parts)]


def first_keys(parts: Sequence[QuerySet[Any]], bound: int) -> list[list[Any]]:
    """Return the keys of the rows of each part, as many in all as are counted and one more. One statement a part, and
    none for those behind the last key."""
    found: list[list[Any]] = []
    left = bound + 1
    for rows in parts:
        if left:
            found.append(list(rows.order_by().values_list("pk", flat=True)[:left]))
            left -= len(found[-1])
    return found


def counts_in_rest(
    whole: QuerySet[Any], rest: Sequence[Any], spec: Any, choices: Sequence[dict[str, list[str]]]
) -> list[str]:
    """Return how many of the rows with these keys each choice finds, or nothing where they are more than are counted.
    One statement."""
    if len(rest) > BOUND:
        return []
    if not rest:
        return ["0" for _choice in choices]
    among = whole.filter(pk__in=rest)
    parts = [_compiled(chosen(spec, parameters, among).order_by().values("pk")) for parameters in choices]
    return [f"{count:,}" for count in _counted(whole, parts)]


def bounded_counts(sets: Sequence[QuerySet[Any]]) -> list[str]:
    """Return how many rows each of these has, `1,000+` for more than are counted. One statement."""
    counts = _counted(sets[0], [_limited(rows) for rows in sets]) if sets else []
    return [_as_counted(count) for count in counts]


def _as_counted(count: int) -> str:
    return f"{BOUND:,}+" if count > BOUND else f"{count:,}"


def _limited(rows: QuerySet[Any]) -> tuple[str, tuple[Any, ...]] | None:
    return _compiled(rows.order_by().values("pk")[: BOUND + 1])


def _compiled(rows: QuerySet[Any]) -> tuple[str, tuple[Any, ...]] | None:
    try:
        sql, values = rows.query.get_compiler(rows.db).as_sql()
    except EmptyResultSet:
        return None
    return sql, tuple(values)


def _counted(rows: QuerySet[Any], parts: Sequence[tuple[str, tuple[Any, ...]] | None]) -> list[int]:
    """Return how many rows each part has, in one statement."""
    asked = [part for part in parts if part is not None]
    counts: list[int] = []
    if asked:
        texts = [f"(SELECT count(*) FROM ({sql}) part_{each})" for each, (sql, _values) in enumerate(asked)]  # noqa: S608 - as Django compiled it, values apart
        values = [value for _sql, own in asked for value in own]
        with connections[rows.db].cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(texts)}", values)
            counts = list(cursor.fetchone())
    left = iter(counts)
    return [0 if part is None else next(left) for part in parts]
