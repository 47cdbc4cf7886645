"""What operators decided: approvals with their reviews, requests that wait for a second operator, suspensions."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

from django.conf import settings

from flowlu_admin.seeding.moments import Clock, days
from flowlu_admin.seeding.places import Place, Status
from flowlu_admin.seeding.stage import Approvable, Version
from flowlu_admin.seeding.trail import LONGEST, Trail
from flowlu_admin.seeding.writing import Tables
from installations import audit
from installations.actors import Actor, system_actor
from installations.four_eyes import Bound, in_force_digest
from installations.models import ApprovalRequest, ApprovalRequestItem, ApprovedPermission
from installations.scopes import Level
from installations.seen import digest_of

Source = ApprovedPermission.Source
State = ApprovalRequest.State

_REASONS: Final = (
    "The customer asked for it in writing.",
    "Needed for the daily overview. Checked with the account manager.",
    "Согласовано с администратором портала.",
    "Pedido por el cliente, contrato 2024-117.",
    "Same as on their other portal.",
)
_WHY_SUSPENDED: Final = "Invoice unpaid; suspended until the account is settled."
_REQUEST_ITEMS: Final = 0.25  # of the new installations that ask for something of high risk


@dataclass(frozen=True, slots=True)
class ApprovedScope:
    """One approval as use of it needs to know it."""

    code: str
    level: Level
    since: datetime
    used: date
    withdrawn: bool
    by_policy: bool


class Decisions:
    def __init__(self, tables: Tables, clock: Clock, rng: Random, trail: Trail, operators: list[Actor]) -> None:
        self._tables, self._clock, self._rng, self._trail, self._operators = tables, clock, rng, trail, operators
        self._service = system_actor()

    def add(self, place: Place) -> list[ApprovedScope]:
        """Decide about one installation; returns what is approved on it."""
        self._seen(place)
        if place.status == Status.PENDING_APPROVAL:
            self._maybe_request(place)
            return []
        at = self._soon_after(place.first_seen)
        version = place.app.version_at(at)
        wanted = [found for found in version.approvable if self._rng.random() < 0.75] or list(version.approvable[:1])
        by, second = self._rng.sample(self._operators, 2)
        trusted = place.app.trusts_low_risk
        approved = [self._approve(place, version, found, at, by, second, trusted=trusted) for found in wanted]
        self._tell(place, version, approved, at, by)
        if place.status == Status.SUSPENDED:
            details = {"from": "active", "to": "suspended"}
            self._act(self._soon_after(at), by, "installation.suspended", place, _WHY_SUSPENDED, details)
        return approved

    def _seen(self, place: Place) -> None:
        details = {"portal": place.domain, "app_id": place.app.app_id, "generation": place.generation}
        event = audit.Event("installation.first_seen", "installation", str(place.id), place.id, details=details)
        self._trail.add(place.first_seen, self._service, event)

    def _act(self, at: datetime, by: Actor, verb: str, place: Place, reason: str, details: dict[str, Any]) -> None:
        self._trail.add(at, by, audit.Event(verb, "installation", str(place.id), place.id, reason, details))

    def _soon_after(self, moment: datetime) -> datetime:
        return self._clock.after(moment, min(timedelta(minutes=3) + days(self._rng, 1.5), LONGEST / 4))

    def _approve(
        self,
        place: Place,
        version: Version,
        found: Approvable,
        at: datetime,
        by: Actor,
        second: Actor,
        *,
        trusted: bool,
    ) -> ApprovedScope:
        rng = self._rng
        level = Level.READ if found.scope.level is Level.FULL and rng.random() < 0.2 else found.scope.level
        by_policy = trusted and found.risk == "low"
        source = Source.PORTAL_ADMIN if by_policy else Source.OPERATOR
        number = self._tables[ApprovedPermission].next_number()
        withdrawn_at = self._withdrawn(place, at)
        unused = rng.random() < 0.02
        used = place.last_seen.date() if not unused else at.date()
        self._tables[ApprovedPermission].add(
            {
                "id": number,
                "installation_id": place.id,
                "code": found.scope.code,
                "level": level.value,
                "catalogue_entry": found.entry,
                "source": source.value,
                "manifest_id": version.manifest_id,
                "approved_by": "" if by_policy else by.name,
                "confirmed_by": second.name if found.risk == "high" and not by_policy else "",
                "approved_at": at,
                "reason": rng.choice(_REASONS),
                "active_on": used,
                "withdrawn_at": withdrawn_at,
                "withdrawn_by": second.name if withdrawn_at else "",
                "withdrawn_why": "Not needed any more." if withdrawn_at else "",
                **self._reviews(found, at.date(), second),
            }
        )
        return ApprovedScope(found.scope.code, level, at, used, withdrawn_at is not None, by_policy)

    def _withdrawn(self, place: Place, at: datetime) -> datetime | None:
        return self._clock.after(at, days(self._rng, 60)) if self._rng.random() < 0.05 else None

    def _reviews(self, found: Approvable, approved_on: date, by: Actor) -> dict[str, Any]:
        """Return by when it is to be reviewed, and the last of the reviews since; a few are due."""
        span = timedelta(days=settings.REVIEW_DAYS[found.risk])
        today = self._clock.today
        passed = (today - approved_on) // span
        due = passed > 0 and self._rng.random() < 0.01
        review_by = today - timedelta(days=self._rng.randrange(15)) if due else approved_on + span * (passed + 1)
        if passed - due <= 0:
            return {"review_by": review_by}
        reviewed = approved_on + span * (passed - due)
        return {
            "review_by": review_by,
            "reviewed_at": datetime(reviewed.year, reviewed.month, reviewed.day, tzinfo=self._clock.now.tzinfo),
            "reviewed_by": by.name,
            "reviewed_why": "Looked through; still in use.",
        }

    def _tell(self, place: Place, version: Version, approved: list[ApprovedScope], at: datetime, by: Actor) -> None:
        for by_policy, verb, actor in ((True, "scopes.trusted", self._service), (False, "scopes.approved", by)):
            named = [f"{found.code}.{found.level.value}" for found in approved if found.by_policy is by_policy]
            if named:
                details = {"approved": named, "manifest": version.sha256, "activated": True}
                self._act(at, actor, verb, place, self._rng.choice(_REASONS), details)

    def _maybe_request(self, place: Place) -> None:
        """Ask for a scope of high risk: some of the newest installations wait for a second operator."""
        version = place.app.current
        risky = [found for found in version.approvable if found.risk == "high"]
        open_for = timedelta(hours=settings.FOUR_EYES_HOURS)
        since = max(place.first_seen, self._clock.now - open_for / 2)
        too_late = self._clock.now - place.first_seen > LONGEST
        if not risky or too_late or self._rng.random() >= _REQUEST_ITEMS:
            return
        found = risky[0]
        at = since + (self._clock.now - since) * self._rng.random()
        by = self._rng.choice(self._operators)
        number = self._tables[ApprovalRequest].next_number()
        self._tables[ApprovalRequest].add(
            {
                "id": number,
                "application_id": place.app.id,
                "scopes": [str(found.scope)],
                "reason": self._rng.choice(_REASONS),
                "requested_by_id": by.id,
                "requested_by": by.name,
                "requested_at": at,
                "expires_at": at + open_for,
                "state": State.OPEN.value,
            }
        )
        self._tables[ApprovalRequestItem].add(
            {
                "id": self._tables[ApprovalRequestItem].next_number(),
                "request_id": number,
                "installation_id": place.id,
                "bound": asdict(_bound(place, version, found)),
            }
        )
        details = {"scopes": [str(found.scope)], "installations": [place.id], "requested_by": by.id}
        event = audit.Event("approval_request.made", "approvalrequest", str(number), place.id, "For a trial.", details)
        self._trail.add(at, by, event)


def _bound(place: Place, version: Version, found: Approvable) -> Bound:
    covers = digest_of({found.scope.code: found.entry["covers"]})
    return Bound(place.status, version.sha256, in_force_digest(()), covers)
