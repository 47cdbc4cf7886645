"""The list of a model: pages that stay as they are while rows come and go, and no count that costs."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final

from django.contrib import messages
from django.contrib.admin.utils import build_q_object_from_lookup_parameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from installations.admin.filter_counts import (
    BOUND,
    MOST_CHOICES,
    counts_in_rest,
    counts_in_whole,
    first_keys,
    own_parameters,
)
from installations.admin.keyset import NoPlace, Pages

AFTER: Final = "after"
BEFORE: Final = "before"
_PLACES: Final = (AFTER, BEFORE)
# Of what a filter leaves so many are found by their keys. Where there are more, a way through the list meets them soon.
FOUND: Final = 5_000


class ConsoleChangeList(ChangeList):
    """A list that is named by what it holds, not by what to select in it.

    It opens at a place, or at the beginning. Each page costs one bounded count and one statement for the rows, or one
    for each column of the ordering.
    """

    most_counted = 10_000  # of the whole list

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.request = request
        self.after, self.before = (request.GET.get(name, "") for name in _PLACES)
        self.previous_url = self.next_url = self.first_url = ""
        self.is_counted_out = True
        # Keys of what each part holds, up to what is counted and one more.
        self._few: list[list[Any]] | None = None
        super().__init__(request, *args, **kwargs)
        name = str(self.opts.verbose_name_plural)
        self.title = name[:1].upper() + name[1:]

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        # A place belongs to one look at the list: no link of a filter or heading takes it along.
        return str(super().get_query_string(new_params, [*(remove or ()), *_PLACES]))

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        for name in _PLACES:  # they are no lookups
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_filters(self, request: HttpRequest) -> Any:
        found = super().get_filters(request)
        self._other_lookups: Any = dict(
            found[2]
        )  # what no filter takes for its own, such as an object that a page led from
        return found

    def shown_filters(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the title of each filter with its choices, and how many rows they would leave where that is cheap to
        say. One statement a filter at most."""
        for spec in self.filter_specs:
            choices = list(spec.choices(self))
            own = [own_parameters(spec, choice) for choice in choices]
            asked = [parameters for parameters in own if parameters]
            counts = iter(self._counts(spec, asked) if len(asked) <= MOST_CHOICES else [])
            yield (
                str(spec.title),
                [
                    {**choice, "count": next(counts, "") if parameters else ""}
                    for choice, parameters in zip(choices, own, strict=True)
                ],
            )

    def _counts(self, spec: Any, asked: Sequence[dict[str, list[str]]]) -> Sequence[str]:
        shown: Any = self.model_admin
        if not asked or not shown.counts_choices:
            return ()
        names = spec.expected_parameters()
        others = [name for name in self.get_filters_params() if name not in names]
        if not others and not self.query and not shown.indexed_filters.isdisjoint(names):
            return counts_in_whole(self.root_queryset, spec, asked)
        is_unused = not spec.used_parameters
        # Of these it is known already that they are too many, or it would take the search once more to find out.
        if (is_unused and (self.result_count > BOUND or not self.is_counted_out)) or (self.query and not is_unused):
            return ()
        rest = self._few_keys() if is_unused else first_keys([self.without(spec)], BOUND)
        return counts_in_rest(self.root_queryset, list(chain.from_iterable(rest)), spec, asked)

    @property
    def _is_narrowed(self) -> bool:
        return bool(self.query or self.get_filters_params())

    @property
    def _most(self) -> int:
        """How many are counted. What is found one by one ends earlier."""
        if self.query:
            return min(BOUND, self.most_counted)
        return min(FOUND, self.most_counted) if self._is_narrowed else self.most_counted

    def _few_keys(self) -> list[list[Any]]:
        if self._few is None:
            self._few = first_keys(self.parts, self._most)
        return self._few

    def _named_parts(self) -> tuple[Sequence[QuerySet[Any]], int]:
        """Return the parts, those by their keys of which all are known, and how many were counted."""
        found = self._few_keys()
        counted = sum(map(len, found))
        whole = found if counted <= self._most else found[:-1]  # there may be more where counting ended
        named = [rows.filter(pk__in=keys) for rows, keys in zip(self.parts, whole, strict=False)]
        return [*named, *self.parts[len(whole) :]], counted

    @cached_property
    def parts(self) -> Sequence[QuerySet[Any]]:
        """What the list holds, in sets that follow one another, each in its order."""
        return [self.queryset]

    def without(self, *specs: Any) -> QuerySet[Any]:
        """Return the rows of the list, sorted by nothing, as it would be without these of its filters."""
        rows: Any = self.root_queryset
        for other in self.filter_specs:
            if other not in specs:
                rows = other.queryset(other.request, rows)
        rows = rows.filter(build_q_object_from_lookup_parameters(self._other_lookups))
        found: QuerySet[Any] = self.model_admin.get_search_results(self.request, rows, self.query)[0]
        return found

    def get_results(self, request: HttpRequest) -> None:
        parts, size, bound = self.parts, self.list_per_page, self._most
        opened: list[Any] | None = None
        if self._is_narrowed:
            # What is left may be few among a million. They are looked for once; all else goes by what was found.
            parts, counted = self._named_parts()
        elif self.after or self.before:
            counted = count_up_to(parts, bound)
        else:
            opened = Pages(parts).first(size + 1)
            counted = len(opened) if len(opened) <= size else _counted_on(opened, parts, bound)
        self.is_counted_out = counted <= bound
        self.result_count = min(counted, bound)
        self.count_words = (
            f"{self.result_count:,}"
            if self.is_counted_out
            else gettext("more than %(bound)s") % {"bound": f"{bound:,}"}
        )
        self.show_full_result_count, self.full_result_count = False, None
        self.show_admin_actions = True
        self.can_show_all = self.is_counted_out and counted <= self.list_max_show_all
        self.multi_page = counted > size
        self.paginator = self.model_admin.get_paginator(request, self.queryset, size)
        pages = Pages(parts)
        if not self.multi_page and opened is not None:
            self.result_list = opened
        elif not self.multi_page or (self.show_all and self.can_show_all):
            self.result_list = pages.first(self.list_max_show_all)
        else:
            self.result_list = self._page(request, pages, opened)

    def completed(self, request: HttpRequest, rows: list[Any]) -> list[Any]:
        """Return the rows with what their columns need beside them."""
        return rows

    def _page(self, request: HttpRequest, pages: Pages, opened: list[Any] | None) -> list[Any]:
        size = self.list_per_page
        try:
            if self.after:
                found = pages.after(pages.read(self.after), size + 1)
                if found:
                    return self._shown(pages, found[:size], has_before=True, has_after=len(found) > size)
                messages.info(request, gettext("Nothing is left behind that place. This is the beginning of the list."))
            if self.before:
                found = pages.before(pages.read(self.before), size + 1)
                if len(found) > size:
                    return self._shown(pages, found[-size:], has_before=True, has_after=True)
        except NoPlace:
            words = gettext("The address named no place in this list as it is sorted now. This is its beginning.")
            messages.warning(request, words)
        found = pages.first(size + 1) if opened is None else opened
        return self._shown(pages, found[:size], has_before=False, has_after=len(found) > size)

    def _shown(self, pages: Pages, rows: list[Any], *, has_before: bool, has_after: bool) -> list[Any]:
        if has_before:
            self.first_url = self.get_query_string()
            self.previous_url = self.get_query_string({BEFORE: pages.text_of(rows[0])})
        if has_after:
            self.next_url = self.get_query_string({AFTER: pages.text_of(rows[-1])})
        return rows


def _counted_on(opened: Sequence[Any], parts: Sequence[QuerySet[Any]], bound: int) -> int:
    """Count as `count_up_to` does, but for the parts that a page went through: it has all that is in them."""
    reached = opened[-1].keyset_part
    passed: int = sum(row.keyset_part < reached for row in opened)
    return passed + count_up_to(parts[reached:], bound - passed)


def count_up_to(parts: Sequence[QuerySet[Any]], bound: int) -> int:
    """Return how many rows there are, or one more than the bound where there are more. One statement a part."""
    counted = 0
    for rows in parts:
        if counted <= bound:
            counted += rows.order_by().values("pk")[: bound + 1 - counted].count()
    return counted
