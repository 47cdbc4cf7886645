"""What was observed of installations, the verdict on it by the service's own rules, and the use of scopes."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Final

from django.conf import settings

from flowlu_admin.seeding.decisions import ApprovedScope
from flowlu_admin.seeding.moments import Clock
from flowlu_admin.seeding.names import POINTS
from flowlu_admin.seeding.places import Place
from flowlu_admin.seeding.writing import Tables
from installations import evidence
from installations.liveness import Kind, Observation, State
from installations.models import Evidence, Liveness, ScopeUsage

_PERIODIC: Final = frozenset({Kind.LAUNCH, Kind.HAND_OVER, Kind.CALL_ACCEPTED})
_PROBED: Final = frozenset({State.QUIET, State.SUSPECTED})


class Observations:
    def __init__(self, tables: Tables, clock: Clock, rng: Random) -> None:
        self._tables, self._clock, self._rng = tables, clock, rng

    def add(self, place: Place, used: bool) -> None:
        """Add the evidence of one installation and what it says."""
        seen = self._observed(place, used)
        for observation in seen:
            self._keep(place, observation)
        verdict = evidence.verdict_on(seen, now=self._clock.now)
        probed = verdict.state in _PROBED
        wait = timedelta(days=settings.LIVENESS_PROBE_DAYS) * self._rng.random()
        self._tables[Liveness].add(
            {
                "installation_id": place.id,
                "state": verdict.state.value,
                "since": self._since(place, verdict.state),
                "confidence": verdict.confidence.value,
                "judged_at": self._clock.now,
                "judge_again_at": verdict.until,
                "probe_after": self._clock.now + wait if probed else None,
            }
        )

    def _since(self, place: Place, state: State) -> datetime:
        silent = {State.QUIET: settings.LIVENESS_QUIET_DAYS, State.SUSPECTED: settings.LIVENESS_SUSPECT_DAYS}
        if state in silent:
            return self._clock.after(place.last_seen, timedelta(days=silent[state]))
        return place.uninstalled_at or place.first_seen

    def _observed(self, place: Place, used: bool) -> list[Observation]:
        rng, now = self._rng, self._clock.now
        found = [Observation(Kind.LAUNCH, place.last_seen, 0)]
        if used:
            called = max(place.first_seen, place.last_seen - timedelta(minutes=rng.randrange(40)))
            found.append(Observation(Kind.CALL_ACCEPTED, called, 0))
        if rng.random() < 0.3:
            handed = max(place.first_seen, place.last_seen - timedelta(hours=rng.randrange(1, 8)))
            found.append(Observation(Kind.HAND_OVER, handed, 0))
        if place.uninstalled_at is not None:
            found.append(Observation(Kind.STATED_REMOVED, place.uninstalled_at, 0))
        elif now - place.last_seen > timedelta(days=settings.LIVENESS_SUSPECT_DAYS) and rng.random() < 0.4:
            found += [Observation(Kind.PROBE_REFUSED, now - timedelta(days=back), 0, "HTTP 401") for back in (9, 4, 1)]
        return found

    def _keep(self, place: Place, seen: Observation) -> None:
        table = self._tables[Evidence]
        table.add(
            {
                "id": table.next_number(),
                "installation_id": place.id,
                "kind": seen.kind.value,
                "integration_point": self._rng.choice(POINTS) if seen.kind is Kind.LAUNCH else "",
                "detail": seen.detail,
                "observed_at": seen.at,
                "period_start": evidence.period_of(seen.at) if seen.kind in _PERIODIC else None,
            }
        )

    def use(self, place: Place, approved: Sequence[ApprovedScope], user_id: int | None) -> None:
        """Count calls under what is approved, on the last day of its use and some days before."""
        for scope in approved:
            if scope.used <= scope.since.date() or self._rng.random() < 0.5:
                continue
            before = scope.used - timedelta(days=self._rng.randrange(1, 28))
            for day in {scope.used, max(before, scope.since.date())}:
                self._count(place, scope, user_id, day)

    def _count(self, place: Place, scope: ApprovedScope, user_id: int | None, day: date) -> None:
        table = self._tables[ScopeUsage]
        accepted = int(self._rng.paretovariate(0.8))
        table.add(
            {
                "id": table.next_number(),
                "installation_id": place.id,
                "portal_user_id": user_id,
                "code": scope.code,
                "level": scope.level.value,
                "day": day,
                "accepted": min(accepted, 100_000),
                "denied": int(self._rng.random() < 0.05),
                "last_at": datetime.combine(day, place.last_seen.timetz()),
            }
        )
