"""One thing to look at, and how its words are made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from installations.admin.display import age, list_url
from installations.admin.text import Text, sentences
from installations.selectors import Waiting


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at, with the list that shows it."""

    words: str
    about: str
    url: str
    tone: str


# Gives the words for a number of things, with %(count)s where it stands.
Words = Callable[[int], str]


_OLDEST: Final = _("The oldest for %(age)s.")


def item(
    found: Waiting,
    words: Words,
    about: str,
    model: type[Model],
    query: str,
    tone: str,
    aged: Text = _OLDEST,
) -> Iterator[Item]:
    """Give the item for what waits, or nothing where nothing does. `aged` says how long the oldest does, if known."""
    if found.count:
        oldest = str(aged) % {"age": since(found.oldest)} if found.oldest else ""
        number = words(found.count) % {"count": found.number}
        yield Item(number, sentences(about, oldest), list_url(model, query), tone)


def since(moment: datetime) -> str:
    return age(timezone.now() - moment)


def recently(days: int = 7) -> datetime:
    return timezone.now() - timedelta(days=days)
