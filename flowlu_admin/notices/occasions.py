"""What was found at one look, made few enough to tell. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flowlu_admin.notices.kinds import Kind

# More of a kind at one look are told as one, by their number: a trial portal is made in minutes, a manifest imported
# once asks for more in thousands of places.
MOST: Final = 20
LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Found:
    """One thing to tell. `key` is the same whenever the same is found; `label` is safe to read, `path` is a page."""

    kind: Kind
    key: str
    at: datetime
    label: str
    path: str = ""
    count: int = 1
    by: str = ""  # the operator who is not to be told


def fold(found: Iterable[Found], lists: dict[Kind, str]) -> Iterator[Found]:
    """Yield what is to be told, a kind after the other, at most MOST of each: else one that leads to the list."""
    by_kind: defaultdict[Kind, list[Found]] = defaultdict(list)
    for one in found:
        by_kind[one.kind].append(one)
    for kind, here in by_kind.items():
        if len(here) <= MOST:
            yield from here
            continue
        yield as_one(kind, here[0], here[-1], sum(one.count for one in here), lists)


def as_one(kind: Kind, first: Found, last: Found, count: int, lists: dict[Kind, str]) -> Found:
    """Return what stands for all of a kind from the first to the last: their number and the list that shows them."""
    return Found(kind, f"{first.key}…{last.key}"[:LONGEST], last.at, "", lists.get(kind, ""), count)


def digest_is_due(now: datetime, hour: int, last: datetime | None) -> bool:
    """Return whether the day's digest is to be made: at or after its hour (UTC), once a day."""
    begins = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return now >= begins and (last is None or last < begins)
