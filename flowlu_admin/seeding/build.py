"""Build the world portal by portal, in the order in which they came, some hundreds at a time."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, groupby
from random import Random
from typing import Final

from django.db import transaction
from django.utils import timezone

from flowlu_admin.seeding.backend import Backend
from flowlu_admin.seeding.credentials import Credentials
from flowlu_admin.seeding.days import count_made_up_days
from flowlu_admin.seeding.decisions import Decisions
from flowlu_admin.seeding.moments import Clock
from flowlu_admin.seeding.observations import Observations
from flowlu_admin.seeding.places import Place, Places, Status
from flowlu_admin.seeding.stage import applications, operators
from flowlu_admin.seeding.trail import Trail
from flowlu_admin.seeding.writing import Tables
from installations import audit
from installations.actors import command_actor
from installations.models import AuditEvent

# No name under this ending leads anywhere (RFC 6761): a probe or a call finds no portal to hand a made-up token to.
SUFFIX: Final = ".flowlu.invalid"
_BLOCK: Final = 1500  # installations of one transaction


@dataclass(frozen=True, slots=True)
class Size:
    installations: int
    tokens: int
    seed: int


def build(size: Size, progress: Callable[[int], object]) -> Counter[str]:
    """Write the world and return how many rows there are of what.

    `progress` is told how many installations were written each time. What is written stays where it is stopped; memory
    does not grow with the size.
    """
    world = _World(size)
    while world.installations < size.installations:
        progress(world.block())
    return world.finish()


class _World:
    def __init__(self, size: Size) -> None:
        self._size = size
        self._rng = Random(size.seed)  # noqa: S311 - what it draws is no secret
        self._clock = Clock(timezone.now())
        self._tables = Tables()
        self._trail = Trail(self._tables[AuditEvent])
        with transaction.atomic():
            by = operators()
            apps = applications(self._clock, self._trail)
            self._backend = Backend(self._tables, self._clock, self._rng)
        self._places = Places(self._tables, self._clock, self._rng, apps, SUFFIX)
        self._decisions = Decisions(self._tables, self._clock, self._rng, self._trail, by)
        self._credentials = Credentials(self._tables, self._clock, self._rng, self._trail, by)
        self._observations = Observations(self._tables, self._clock, self._rng)
        self.installations = self.tokens = 0

    def block(self) -> int:
        """Write some hundreds of portals with all that belongs to them; returns how many installations."""
        most = min(_BLOCK, self._size.installations - self.installations)
        places: list[Place] = []
        while len(places) < most:
            share = (self.installations + len(places) + 1) / self._size.installations
            places += self._places.portal(share, most - len(places))
        wanted = self._tokens_of(places)
        for _portal, here in groupby(places, key=lambda place: place.portal_id):
            self._portal(list(here), wanted)
        self.installations += len(places)
        self.tokens += wanted.total()
        upto = self._clock.at(self.installations / self._size.installations)
        with transaction.atomic():
            self._tables.write()
            self._trail.write_until(upto)
        return len(places)

    def _tokens_of(self, places: list[Place]) -> Counter[int]:
        """Share this block's tokens out: many installations have one or two, a few have dozens."""
        done = self.installations + len(places)
        due = self._size.tokens * done // self._size.installations - self.tokens
        weights = list(accumulate(min(self._rng.paretovariate(1.2), 60.0) for _place in places))
        return Counter(place.id for place in self._rng.choices(places, cum_weights=weights, k=due))

    def _portal(self, places: list[Place], wanted: Counter[int]) -> None:
        most = max(wanted[place.id] for place in places)
        since = min(place.first_seen for place in places)
        last = max(place.last_seen for place in places)
        users = self._places.users(places[0].portal_id, max(1, (most + 1) // 2), since, last)
        for place in places:
            approved = self._decisions.add(place)
            self._places.write_installation(place, decided=place.status != Status.PENDING_APPROVAL)
            active = self._credentials.add(place, users, wanted[place.id])
            self._observations.add(place, bool(approved))
            self._observations.use(place, approved, users[0][0])
            self._backend.add(place, approved, active, users[0][0])

    def finish(self) -> Counter[str]:
        """Write the events that are left, and the one that says where all of it comes from."""
        with transaction.atomic():
            self._trail.write_until(self._clock.now + timedelta(days=1))
            details = {"installations": self.installations, "tokens": self.tokens, "seed": self._size.seed}
            audit.append(command_actor(), audit.Event("trial.seeded", "database", "trial", details=details))
        written = self._tables.finish()
        count_made_up_days(self._rng)
        return written
