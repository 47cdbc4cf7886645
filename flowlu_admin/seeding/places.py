"""Portals, their users, and which application is installed on them since when."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from flowlu_admin.seeding.moments import Clock, days
from flowlu_admin.seeding.names import domain_label, person
from flowlu_admin.seeding.stage import App
from flowlu_admin.seeding.writing import Tables
from installations.models import Installation, Portal, PortalUser

Status = Installation.Status

_PER_PORTAL: Final = ((1, 45), (2, 25), (3, 15), (4, 8), (5, 5), (6, 2))
_COUNTS: Final = [count for count, _weight in _PER_PORTAL]
_WEIGHTS: Final = [weight for _count, weight in _PER_PORTAL]
_LONG_PENDING: Final = timedelta(days=45)


@dataclass(frozen=True, slots=True)
class Place:
    """One installation as the other rows need to know it."""

    id: int
    portal_id: int
    domain: str
    app: App
    generation: int
    status: str
    first_seen: datetime
    last_seen: datetime
    uninstalled_at: datetime | None

    @property
    def is_gone(self) -> bool:
        return self.uninstalled_at is not None


class Places:
    def __init__(self, tables: Tables, clock: Clock, rng: Random, apps: list[App], suffix: str) -> None:
        self._tables, self._clock, self._rng, self._apps, self._suffix = tables, clock, rng, apps, suffix

    def portal(self, share: float, most: int) -> list[Place]:
        """Add a portal that was first seen when this share of all was there, with at most so many installations."""
        rng = self._rng
        number = self._tables[Portal].next_number()
        domain = f"{domain_label(rng, number)}{self._suffix}"
        since = self._clock.at(share)
        locked = rng.random() < 0.003
        self._tables[Portal].add(
            {"id": number, "domain": domain, "created_at": since, "locked_at": self._clock.now if locked else None}
        )
        wanted = min(rng.choices(_COUNTS, _WEIGHTS)[0], most)
        found: list[Place] = []
        for app in rng.sample(self._apps, wanted):
            found += self._installed(number, domain, app, since)
            if len(found) >= most:
                break
        return found[:most]

    def _installed(self, portal_id: int, domain: str, app: App, since: datetime) -> list[Place]:
        """Return one installation, or one that was removed with the one that came after it."""
        rng, clock = self._rng, self._clock
        first = clock.after(since, timedelta(minutes=rng.randrange(60 * 24 * 2)))
        if rng.random() >= 0.07:
            return [self._live(portal_id, domain, app, 1, first)]
        gone_at = clock.after(first, min(timedelta(hours=1) + days(rng, 6), timedelta(days=18)))
        number = self._tables[Installation].next_number()
        gone = Place(number, portal_id, domain, app, 1, Status.UNINSTALLED, first, gone_at, gone_at)
        if rng.random() < 0.5:
            return [gone]
        return [gone, self._live(portal_id, domain, app, 2, clock.after(gone_at, timedelta(hours=2)))]

    def _live(self, portal_id: int, domain: str, app: App, generation: int, first: datetime) -> Place:
        rng, clock = self._rng, self._clock
        quiet = rng.random()
        span = days(rng, 2) if quiet < 0.75 else days(rng, 25) if quiet < 0.93 else timedelta(days=46) + days(rng, 90)
        last = max(first, clock.now - span)
        is_new = clock.now - first < _LONG_PENDING
        draw = rng.random()
        status = Status.ACTIVE
        if draw < (0.3 if is_new else 0.01):
            status = Status.PENDING_APPROVAL
        elif draw > 0.97:
            status = Status.SUSPENDED
        number = self._tables[Installation].next_number()
        return Place(number, portal_id, domain, app, generation, status, first, last, None)

    def write_installation(self, place: Place, *, decided: bool) -> None:
        """Add the row itself. A few of the decided ones were decided about under an older manifest."""
        rng, app = self._rng, place.app
        seen_as = app.version_at(place.uninstalled_at or self._clock.now)
        stale = rng.random() < 0.02
        self._tables[Installation].add(
            {
                "id": place.id,
                "portal_id": place.portal_id,
                "application_id": app.id,
                "generation": place.generation,
                "manifest_id": seen_as.manifest_id,
                "decided_manifest_id": (app.versions[0] if stale else seen_as).manifest_id if decided else None,
                "status": place.status,
                "reported_version": "1.0.0",
                "first_seen_at": place.first_seen,
                "last_seen_at": place.last_seen,
                "uninstalled_at": place.uninstalled_at,
                "locked_at": place.last_seen if rng.random() < 0.002 else None,
            }
        )

    def users(self, portal_id: int, count: int, since: datetime, last: datetime) -> list[tuple[int, str]]:
        """Add users of a portal and return the number and Flowlu id of each."""
        rng = self._rng
        names = rng.sample(range(1, 40 + 3 * count), count)
        found = []
        for place, flowlu_id in enumerate(names):
            number = self._tables[PortalUser].next_number()
            erased = rng.random() < 0.004
            seen = last if place == 0 else last - (last - since) * rng.random() ** 3
            self._tables[PortalUser].add(
                {
                    "id": number,
                    "portal_id": portal_id,
                    "flowlu_user_id": str(flowlu_id),
                    "name": "" if erased else person(rng),
                    "is_portal_admin": place == 0,
                    "first_seen_at": since,
                    "last_seen_at": seen,
                    "locked_at": seen if rng.random() < 0.002 else None,
                    "erased_at": seen if erased else None,
                }
            )
            found.append((number, str(flowlu_id)))
        return found
