"""How the lists of many rows are searched: word by word, each looked up by an index first and then named by its keys.

A condition that reaches over joins (`portal__domain__icontains` beside others) would be asked of every row. What a word
finds is a few portals, users or applications, and rows of those are found by the index of the foreign key.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, Final, TypeAlias

from django.db.models import Q, QuerySet
from django.utils.text import smart_split, unescape_string_literal

from installations import editions, selectors
from installations.models import Application, Installation, Portal, PortalUser

# So many keys are named one by one. More are a condition again: rows of theirs are met soon on the way through a list.
_NAMED: Final = 500

# What a list is searched for at most. Each word costs some statements, and a condition in the one that they end in.
LONGEST: Final = 200
MOST_WORDS: Final = 10

Way: TypeAlias = Callable[[str], Iterator[Q]]


def is_too_much(text: str) -> bool:
    """Return whether nobody would type so much to find something."""
    return len(text) > LONGEST or len(text.split()) > MOST_WORDS


def searched(rows: QuerySet[Any], text: str, ways: Sequence[Way]) -> QuerySet[Any]:
    """Return the rows that every word of the text finds, each in any of the ways."""
    for word in _words(text):
        found = [condition for way in ways for condition in way(word)]
        rows = rows.filter(reduce(or_, found)) if found else rows.none()
    return rows


def _words(text: str) -> Iterable[str]:
    for word in smart_split(text):
        yield unescape_string_literal(word) if word[:1] in "\"'" and word[:1] == word[-1:] and len(word) > 1 else word


def by_portal(path: str) -> Way:
    """Find by the beginning of a portal's domain."""

    def way(word: str) -> Iterator[Q]:
        begins = Q(domain__startswith=word.lower())
        yield from _named(Portal.objects.filter(begins), path, Q(**{f"{path}__domain__startswith": word.lower()}))

    return way


def by_application(path: str) -> Way:
    """Find by a part of an application's appId or name."""

    def way(word: str) -> Iterator[Q]:
        named = Application.objects.filter(Q(app_id__icontains=word) | Q(name__icontains=word))
        ids = list(named.values_list("pk", flat=True)[:_NAMED])
        if ids:
            yield Q(**{f"{path}__in": ids})

    return way


def by_installation(path: str) -> Way:
    """Find by the portal of an installation, or by its application."""
    application = by_application(f"{path}__application")

    def way(word: str) -> Iterator[Q]:
        here = Installation.objects.filter(portal__domain__startswith=word.lower())
        begins = Q(**{f"{path}__portal__domain__startswith": word.lower()})
        yield from _named(here, path, begins)
        yield from application(word)

    return way


def by_user(path: str) -> Way:
    """Find by a user's Flowlu id, or by the beginning of any of their names. In the list of them: `pk`."""
    column = "flowlu_user_id" if path == "pk" else f"{path}__flowlu_user_id"

    def way(word: str) -> Iterator[Q]:
        if word.isascii() and word.isdecimal():
            users = PortalUser.objects.filter(flowlu_user_id=word)
            yield from _named(users, path, Q(**{column: word}))
        else:
            named = selectors.portal_users_named(word)
            yield from _named(named, path, Q(**{f"{path}__in": named.order_by().values("pk")}))

    return way


def by_scope(word: str) -> Iterator[Q]:
    """Find approvals by a part of a code that the catalogue describes: nothing else can be approved."""
    codes = [entry.code for entry in editions.in_force().entries if word.lower() in entry.code]
    if codes:
        yield Q(code__in=codes)


def exactly(*columns: str) -> Way:
    """Find by the whole value of an indexed column."""

    def way(word: str) -> Iterator[Q]:
        for column in columns:
            yield Q(**{column: word})

    return way


def within(*columns: str) -> Way:
    """Find by a part of a column of the list's own: for lists of some ten thousands, which may be read through."""

    def way(word: str) -> Iterator[Q]:
        for column in columns:
            yield Q(**{f"{column}__icontains": word})

    return way


def _named(rows: QuerySet[Any], path: str, otherwise: Q) -> Iterator[Q]:
    ids = list(rows.values_list("pk", flat=True)[: _NAMED + 1])
    if len(ids) > _NAMED:
        yield otherwise
    elif ids:
        yield Q(**{f"{path}__in": ids})
