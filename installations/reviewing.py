"""Verbs of the review of approvals: keep, lower, or several decisions about one installation at once.

None of them is a decision about what the manifest asks for, and none makes an approval reach further: what is kept or
lowered covers what it covered when it was approved.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db import transaction
from django.utils import timezone

from installations import audit, reviews, scopes
from installations.actors import Actor, clean_reason
from installations.approving import locked_installation, withdraw_row
from installations.errors import StateConflict
from installations.four_columns import utc_today
from installations.models import ApprovedPermission, Installation
from installations.said import joined, said
from installations.scopes import Level, Scope
from installations.services import check_in_force, codes_of, withdraw_locked

_BATCH = 1000
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """What was decided, each scope as `code.level` as it was before."""

    kept: Mapping[str, date]  # by when each is to be reviewed next
    lowered: Mapping[str, date]
    withdrawn: Sequence[str]
    also_withdrawn: Sequence[str]  # had been swallowed by a withdrawn one and would have woken
    unchanged: Sequence[str]  # were decided about today with the same result, or are at the lowest level


def keep_scopes(
    *, installation_id: int, codes: Iterable[str], actor: Actor, reason: str, review_by: date | None = None
) -> ReviewResult:
    """Keep approved scopes, by code or `code.level`, as reviewed. The next review is due by the day that the risk of
    each gives, or by `review_by` where that is earlier.

    What an approval covers, and for which manifest it was given, stays as it is. A level that is named is the one that
    was seen. To keep again on the same day with the same result changes nothing.

    Raises NotPermitted, ReasonRequired, ReviewDateRefused, StateConflict when a named scope is not approved, or not at
    the named level.
    """
    return decide_reviews(installation_id=installation_id, keep=codes, actor=actor, reason=reason, review_by=review_by)


def lower_scopes(
    *, installation_id: int, codes: Iterable[str], actor: Actor, reason: str, review_by: date | None = None
) -> ReviewResult:
    """Lower approved scopes from full to read, by code or `code.level`; it holds from the next call on.

    The approval that is left is the part of the old one that is not withdrawn: who gave it, when, for which manifest
    and what it covered stay. So it works where the manifest does not ask for the scope any more, decides about no
    manifest, and needs no more than the right to withdraw. It counts as reviewed. What is at level read stays.

    Raises as `keep_scopes` does.
    """
    return decide_reviews(installation_id=installation_id, lower=codes, actor=actor, reason=reason, review_by=review_by)


def decide_reviews(
    *,
    installation_id: int,
    actor: Actor,
    reason: str,
    keep: Iterable[str] = (),
    lower: Iterable[str] = (),
    withdraw: Iterable[str] = (),
    review_by: date | None = None,
    seen: Mapping[str, str] = _NOTHING,
) -> ReviewResult:
    """Keep, lower and withdraw approved scopes of one installation in one act: all of it, or nothing.

    `seen` says for codes what the operator looked at (`reviews.seen_as`): another decision about one of them since then
    refuses all of it. A scope that a withdrawn one had swallowed is withdrawn with it; it cannot be kept or lowered in
    the same act, since it would come into force.

    Raises NotPermitted, ReasonRequired, ReviewDateRefused, StateConflict.
    """
    kept, lowered, withdrawn = codes_of(keep), codes_of(lower), codes_of(withdraw)
    if kept or not (lowered or withdrawn):
        actor.require("installations.approve_scopes")
    if lowered or withdrawn:
        actor.require("installations.withdraw_scopes")
    why = clean_reason(reason)
    chosen = [*kept.values(), *lowered.values(), *withdrawn.values()]
    if not chosen:
        raise StateConflict(said("Choose what to do with at least one approved scope."))
    if twice := sorted({code for code in chosen if chosen.count(code) > 1}):
        raise StateConflict(
            said("Named more than once: %(twice)s. Choose one decision for each.", twice=", ".join(twice))
        )
    with transaction.atomic(durable=True):
        installation = locked_installation(installation_id)
        in_force = {row.code: row for row in installation.approved_permissions.in_force()}
        check_in_force(kept | lowered | withdrawn, in_force)
        names = {code: str(row) for code, row in in_force.items()}
        before = {str(row): row.review_by for row in in_force.values()}
        _check_seen(seen, {code: in_force[code] for code in chosen})
        _check_waking(in_force.values(), set(withdrawn.values()), {*kept.values(), *lowered.values()})
        now = timezone.now()
        kept_until = _keep([in_force[code] for code in sorted(kept.values())], actor, why, now, review_by)
        lowered_until = _lower([in_force[code] for code in sorted(lowered.values())], actor, why, now, review_by)
        events = [
            _event(verb, installation, why, until, before)
            for verb, until in (("scopes.kept", kept_until), ("scopes.lowered", lowered_until))
            if until
        ]
        gone: Sequence[str] = ()
        also: Sequence[str] = ()
        if withdrawn:
            result, event = withdraw_locked(installation, withdrawn, actor=actor, why=why)
            gone, also = result.withdrawn, result.also_withdrawn
            events.append(event)
        audit.append(actor, *events)
    decided = {*kept_until, *lowered_until, *gone}
    unchanged = sorted({names[code] for code in chosen} - decided)
    return ReviewResult(kept_until, lowered_until, gone, also, unchanged)


def note_use(stopped: Callable[[], bool] = lambda: False) -> int:
    """Note the last day of use with approvals that may be unused and are not, so that none of them is looked at again
    before as many days have passed; returns with how many.

    It decides nothing: what is proposed is asked of the use itself. Safe to run twice, and beside any verb: what it
    writes is never later than the last use.
    """
    noted = last = 0
    while not stopped():
        with transaction.atomic():
            # Skipped where a verb holds it: who never waits is in no circle, and the next run comes by again.
            found = reviews.perhaps_unused().select_for_update(no_key=True, skip_locked=True)
            rows = list(found.filter(pk__gt=last).order_by("pk")[:_BATCH])
            days = reviews.last_days(rows)
            later = []
            for row in rows:
                used_on = days[row.pk][row.level == Level.FULL]
                if used_on is not None and used_on > row.active_on:
                    row.active_on = used_on
                    later.append(row)
            ApprovedPermission.objects.bulk_update(later, ["active_on"])
        noted += len(later)
        if not rows:
            break
        last = rows[-1].pk
    return noted


def _check_seen(seen: Mapping[str, str], chosen: Mapping[str, ApprovedPermission]) -> None:
    moved = [
        row for code, row in sorted(chosen.items()) if seen.get(code, reviews.seen_as(row)) != reviews.seen_as(row)
    ]
    if moved:
        told = joined(
            ", ",
            (
                said("%(scope)s, by %(operator)s", scope=row, operator=row.reviewed_by or row.approved_by)
                for row in moved
            ),
        )
        raise StateConflict(
            said("Decided about while you were reading it: %(told)s. Look at it again; nothing was changed.", told=told)
        )


def _check_waking(in_force: Iterable[ApprovedPermission], withdrawn: set[str], stays: set[str]) -> None:
    swallowed = scopes.swallowed(row.as_approval().scope for row in in_force)
    for code in sorted(stays):
        if swallowed.get(code) in withdrawn:
            raise StateConflict(
                said(
                    "%(code)s has no effect beside %(swallowed)s, and would come into force by itself without it. "
                    "Withdraw it as well, or withdraw %(swallowed)s on the page for withdrawing, where it can be kept.",
                    code=code,
                    swallowed=swallowed[code],
                )
            )


def _keep(
    rows: Sequence[ApprovedPermission], actor: Actor, why: str, now: datetime, chosen: date | None
) -> dict[str, date]:
    """Give each its next review, but to those that were decided about today with the same result."""
    days = reviews.review_days((row.as_approval().scope for row in rows), chosen)
    until: dict[str, date] = {}
    for row in rows:
        day = days[row.as_approval().scope]
        decided_at = row.reviewed_at or row.approved_at
        if row.review_by == day and decided_at.astimezone(UTC).date() == utc_today():
            continue
        row.review_by, row.active_on = day, utc_today()
        row.reviewed_at, row.reviewed_by, row.reviewed_why = now, actor.name, why
        row.save(update_fields=["review_by", "active_on", "reviewed_at", "reviewed_by", "reviewed_why"])
        until[str(row)] = day
    return until


def _lower(
    rows: Sequence[ApprovedPermission], actor: Actor, why: str, now: datetime, chosen: date | None
) -> dict[str, date]:
    """Withdraw each that is approved at full, and leave its part at read in force."""
    wide = [row for row in rows if row.level == Level.FULL]
    days = reviews.review_days((Scope(row.code, Level.READ) for row in wide), chosen)
    until: dict[str, date] = {}
    for row in wide:
        scope = Scope(row.code, Level.READ)
        withdraw_row(row, actor.name, f"Lowered to {scope}: {why}"[:1000])
        ApprovedPermission.objects.create(
            installation_id=row.installation_id,
            code=row.code,
            level=scope.level.value,
            catalogue_entry=row.catalogue_entry,
            source=row.source,
            manifest_id=row.manifest_id,
            approved_by=row.approved_by,
            confirmed_by=row.confirmed_by,
            approved_at=row.approved_at,
            reason=row.reason,
            review_by=days[scope],
            active_on=utc_today(),
            reviewed_at=now,
            reviewed_by=actor.name,
            reviewed_why=f"Lowered from {row}: {why}"[:1000],
        )
        until[str(row)] = days[scope]
    return until


def _event(
    verb: str,
    installation: Installation,
    why: str,
    until: Mapping[str, date],
    before: Mapping[str, date | None],
) -> audit.Event:
    kind = verb.rpartition(".")[2]
    details = {
        kind: sorted(until),
        "review_by": {scope: day.isoformat() for scope, day in until.items()},
        "review_by_before": {scope: str(before[scope]) for scope in until},
    }
    return audit.Event(verb, "installation", str(installation.pk), installation.pk, why, details)
