"""Verbs of four eyes: ask for an approval, confirm or refuse it, approve for many installations, or alone.

A request is bound to the exact installations, manifest, scopes and levels, to what was approved there and to what the
scope catalogue says of them. Whoever confirms it is another operator than the one who asked, and holds the same
permission. Locks are taken in the order Installation (by number) → request → audit head.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from installations import audit, reviews
from installations.actors import Actor, Via, clean_reason, operator_actor
from installations.approving import (
    NOTHING_SAID,
    ApprovalResult,
    Plan,
    Seen,
    check_seen,
    check_still_so,
    locked_installation,
    parse_all,
    plan_all_locked,
    plan_locked,
    put_in_force_locked,
)
from installations.catalogue import Catalogue
from installations.errors import DomainError, OwnRequest, StateConflict
from installations.four_columns import utc_today
from installations.four_eyes import Bound, changes_since
from installations.models import (
    ApprovalRequest,
    ApprovalRequestItem,
    ApprovedPermission,
    Installation,
)
from installations.said import joined, said
from installations.scopes import parse as parse_scope
from installations.seen import digest_of

MANY: Final = 500  # installations of one approval

State = ApprovalRequest.State

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    request: ApprovalRequest
    is_new: bool  # False: the same was asked for already and still waits


def request_approval(
    *,
    installation_id: int,
    requested: Iterable[str],
    actor: Actor,
    reason: str,
    seen: Seen = NOTHING_SAID,
    review_by: date | None = None,
) -> Asked:
    """Ask for an approval that another operator confirms. Nothing is approved yet.

    The same request that still waits, of whomever, is returned instead of a second one.

    Raises what `approve_scopes` raises, and StateConflict where all of it is approved already.
    """
    actor.require("installations.approve_scopes")
    why = clean_reason(reason)
    wanted = parse_all(requested)
    with transaction.atomic(durable=True):
        installation = locked_installation(installation_id)
        check_seen(installation.manifest, seen.manifest)
        plan = plan_locked(installation, wanted)
        check_still_so(plan, seen)
        reviews.review_days(wanted, review_by, plan.catalogue)
        return _ask_locked([plan], actor, why, review_by=review_by)


@dataclass(frozen=True, slots=True)
class ManyResult:
    """What became of an approval for many installations: asked for, or in force."""

    asked: Asked | None
    approved: int  # installations on which something came into force
    unchanged: int


def approve_for_many(
    *,
    installation_ids: Sequence[int],
    requested: Iterable[str],
    actor: Actor,
    reason: str,
    pinned: str | None = None,
) -> ManyResult:
    """Approve the same scopes on many installations of one application, or on none.

    Where FOUR_EYES is on it becomes a request, whatever its risk. With `pinned` (`pin_of` what was shown) it counts
    only while all of these installations are as they were.

    Raises what `approve_scopes` raises, and StateConflict for none or too many installations, for several
    applications, and where any of them changed since.
    """
    actor.require("installations.approve_scopes")
    why = clean_reason(reason)
    wanted = parse_all(requested)
    with transaction.atomic(durable=True):
        installations = _locked_all(installation_ids)
        plans = plan_all_locked(installations, wanted)
        if pinned is not None and pinned != pin_of(installations, plans[0].catalogue):
            raise StateConflict(
                said(
                    "These installations are not any more as they were shown: one of them was decided about, "
                    "suspended, uninstalled or asks for something else, or the scope catalogue was edited. Look at "
                    "the list again."
                )
            )
        if settings.FOUR_EYES == "on":
            return ManyResult(_ask_locked(plans, actor, why), 0, 0)
        results, events = _put_all_in_force(plans, why=why, approved_by=actor.name, told={"in_bulk": len(plans)})
        audit.append(actor, *events)
    approved = sum(bool(result.approved) for result in results)
    return ManyResult(None, approved, len(results) - approved)


def pin_of(installations: Iterable[Installation], known: Catalogue) -> str:
    """Return what stands for these installations as they are, and for what the scopes mean.

    One statement for what is approved on them.
    """
    rows = sorted(installations, key=lambda row: row.pk)
    approved = ApprovedPermission.objects.in_force().filter(installation__in=[row.pk for row in rows])
    held: dict[int, list[list[object]]] = {row.pk: [] for row in rows}
    for pk, installation, code, level in approved.order_by("pk").values_list("pk", "installation", "code", "level"):
        held[installation].append([pk, code, level])
    pinned = [[row.pk, row.manifest_id, row.status, held[row.pk]] for row in rows]
    return digest_of({"rows": pinned, "catalogue": known.version})


@dataclass(frozen=True, slots=True)
class Confirmed:
    installations: int  # on which something came into force
    unchanged: int  # on which all of it was approved already
    approved: Sequence[str]
    activated: int


def confirm_request(*, request_id: int, actor: Actor, reason: str) -> Confirmed:
    """Bring into force what another operator asked for, on all of its installations.

    Where anything is not as it was when it was asked for, or the requester may not approve any more, the request is
    void: that is recorded, and StateConflict says what changed.

    Raises NotPermitted, also for who may not look at installations, ReasonRequired, OwnRequest for the operator who
    asked, StateConflict for a request that is decided, void or too old.
    """
    actor.require("installations.approve_scopes")
    actor.require("installations.view_installation")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        ids = ApprovalRequestItem.objects.filter(request=request_id).values_list("installation", flat=True)
        installations = {row.pk: row for row in _lock(ids)}
        request = _open_request_locked(request_id)
        if actor.id == request.requested_by_id:
            raise OwnRequest
        broken, plans = _still_holds(request, installations)
        if broken:
            _decide(request, State.VOID, actor, broken[0][:1000])
            audit.append(actor, _event("approval_request.voided", request, why, {"because": broken[:10]}))
        else:
            results, events = _put_all_in_force(
                plans,
                why=request.reason,
                approved_by=request.requested_by,
                confirmed_by=actor.name,
                told={"request": request.pk, "requested_by": request.requested_by_id},
                review_by=_day_now(request, plans[0]),
            )
            _decide(request, State.CONFIRMED, actor, why)
            audit.append(actor, *events, _event("approval_request.confirmed", request, why))
    if broken:
        raise StateConflict(
            said("The request is void now and nothing was approved. %(broken)s", broken=joined(" ", broken[:3]))
        )
    approved = sorted({text for result in results for text in result.approved})
    changed = sum(bool(result.approved) for result in results)
    return Confirmed(changed, len(results) - changed, approved, sum(result.activated for result in results))


def refuse_request(*, request_id: int, actor: Actor, reason: str) -> str:
    """Close a request without approving anything: refused, or taken back by the operator who asked for it.

    Returns the state. Raises NotPermitted, ReasonRequired, StateConflict for a request that is decided already.
    """
    actor.require("installations.approve_scopes")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        request = _open_request_locked(request_id, even_if_late=True)
        own = actor.id == request.requested_by_id
        state, verb = (State.TAKEN_BACK, "taken_back") if own else (State.REFUSED, "refused")
        _decide(request, state, actor, why)
        audit.append(actor, _event(f"approval_request.{verb}", request, why))
    return str(state)


def void_requests_of(operator_id: str, *, actor: Actor, why: str) -> list[audit.Event]:
    """Make void what an operator asked for and nobody decided about; returns the events, for the caller to append.

    Part of a verb: call it inside its transaction, before it appends.
    """
    waiting = ApprovalRequest.objects.select_for_update(no_key=True).filter(
        state=State.OPEN, requested_by_id=operator_id
    )
    events = []
    for request in waiting.order_by("pk"):
        _decide(request, State.VOID, actor, why)
        events.append(_event("approval_request.voided", request, why, {"because": [why]}))
    return events


def approve_alone(
    *,
    installation_id: int,
    requested: Iterable[str],
    actor: Actor,
    reason: str,
    seen: Seen = NOTHING_SAID,
    review_by: date | None = None,
) -> ApprovalResult:
    """Approve scopes of high risk without a second operator (break-glass), on one installation.

    It stays on a list of its own until another operator looked at it, and is reported at level CRITICAL.

    Raises what `approve_scopes` raises, and StateConflict where no second operator is needed.
    """
    actor.require("installations.approve_scopes")
    actor.require("installations.break_glass")
    why = clean_reason(reason)
    wanted = parse_all(requested)
    with transaction.atomic(durable=True):
        installation = locked_installation(installation_id)
        check_seen(installation.manifest, seen.manifest)
        plan = plan_locked(installation, wanted)
        check_still_so(plan, seen)
        if settings.FOUR_EYES != "on" or not plan.high_risk:
            raise StateConflict(said("This needs no second operator: approve it in the usual way."))
        request = _new_request([plan], actor, why, state=State.ALONE, review_by=review_by)
        result, events = put_in_force_locked(
            plan,
            why=why,
            approved_by=actor.name,
            source=ApprovedPermission.Source.ALONE,
            told={"request": request.pk},
            review_by=review_by,
        )
        audit.append(actor, *events, _event("approval.made_alone", request, why))
    logger.critical(
        "Scopes of high risk were approved by one operator alone: installation #%d, break-glass approval #%d",
        installation.pk,
        request.pk,
    )
    return result


def review_break_glass(*, request_id: int, actor: Actor, reason: str) -> bool:
    """Record that another operator looked at an approval that was made alone. Returns whether it was still to be done.

    It changes nothing about the approval: withdraw it where it should not have been made.

    Raises NotPermitted, ReasonRequired, OwnRequest for the operator who made it, StateConflict for what is none.
    """
    actor.require("installations.approve_scopes")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        request = (
            ApprovalRequest.objects.select_for_update(no_key=True).filter(pk=request_id, state=State.ALONE).first()
        )
        if request is None:
            raise StateConflict(said("There is no such break-glass approval."))
        if actor.id == request.requested_by_id:
            raise OwnRequest
        if request.reviewed_at is not None:
            return False
        request.reviewed_by, request.reviewed_at, request.reviewed_why = actor.name, timezone.now(), why
        request.save(update_fields=["reviewed_by", "reviewed_at", "reviewed_why"])
        audit.append(actor, _event("approval.looked_at", request, why))
    return True


def what_changed(request: ApprovalRequest) -> list[str]:
    """Return in sentences why an open request cannot be confirmed any more; nothing while it can.

    For a page. `confirm_request` decides anew behind its locks.
    """
    rows = Installation.objects.filter(approval_requests__request=request)
    return _still_holds(request, {row.pk: row for row in rows})[0]


# --- Steps -----------------------------------------------------------------------------------------------------


def _locked_all(installation_ids: Sequence[int]) -> list[Installation]:
    wanted = set(installation_ids)
    if not wanted:
        raise StateConflict(said("Choose at least one installation."))
    if len(wanted) > MANY:
        raise StateConflict(said("At most %(many)s installations at once. Choose fewer.", many=MANY))
    found = _lock(wanted)
    if len(found) < len(wanted) or any(row.status == Installation.Status.UNINSTALLED for row in found):
        raise StateConflict(said("One of these installations is uninstalled. Look at the list again."))
    if len({row.application_id for row in found}) > 1:
        raise StateConflict(said("These are installations of several applications. Choose those of one."))
    return found


def _lock(ids: Iterable[int]) -> list[Installation]:
    return list(Installation.objects.select_for_update(no_key=True).filter(pk__in=list(ids)).order_by("pk"))


def _open_request_locked(request_id: int, *, even_if_late: bool = False) -> ApprovalRequest:
    request = ApprovalRequest.objects.select_for_update(no_key=True).filter(pk=request_id).first()
    if request is None:
        raise StateConflict(said("There is no such request."))
    if request.state != State.OPEN:
        raise StateConflict(said("This request is decided already: %(state)s.", state=request.get_state_display()))
    if request.expires_at <= timezone.now() and not even_if_late:
        raise StateConflict(said("This request waited too long and cannot be confirmed any more. Have it made anew."))
    return request


def _still_holds(request: ApprovalRequest, installations: Mapping[int, Installation]) -> tuple[list[str], list[Plan]]:
    """Return what changed since the request was made, and the plans where nothing did."""
    wanted = [parse_scope(text) for text in request.scopes]
    broken: list[str] = (
        [] if _may_still_ask(request) else [said("The operator who asked may not approve scopes any more.")]
    )
    gone = [row.pk for row in installations.values() if row.status == Installation.Status.UNINSTALLED]
    broken += [said("Installation #%(pk)s is uninstalled.", pk=pk) for pk in sorted(gone)]
    if gone:
        return broken, []
    try:
        plans = plan_all_locked(list(installations.values()), wanted)
    except DomainError as error:
        return [*broken, error.public_message], []
    bounds = {item.installation_id: Bound(**item.bound) for item in request.items.all()}
    for plan in plans:
        pk = plan.installation.pk
        broken += [
            said("Installation #%(pk)s: %(words)s", pk=pk, words=words)
            for words in changes_since(bounds[pk], plan.bound)
        ]
    return broken, plans


def _day_now(request: ApprovalRequest, plan: Plan) -> date | None:
    """Return the day of review that was asked for, within what is allowed now.

    It may have passed while the request waited, or the risk of a scope have been raised.
    """
    if request.review_by is None:
        return None
    latest = min(reviews.review_days(plan.wanted, known=plan.catalogue).values())
    return min(max(request.review_by, utc_today() + timedelta(days=1)), latest)


def _may_still_ask(request: ApprovalRequest) -> bool:
    # What is no number is no account: a shell, which may ask for nothing that waits.
    key = int(request.requested_by_id) if request.requested_by_id.isdecimal() else 0
    account = get_user_model().objects.filter(pk=key).first()
    return account is not None and operator_actor(account, Via.SYSTEM).may("installations.approve_scopes")


def _ask_locked(plans: Sequence[Plan], actor: Actor, why: str, *, review_by: date | None = None) -> Asked:
    if not any(plan.new for plan in plans):
        raise StateConflict(said("Nothing to ask for: all of it is approved already."))
    for other in _same_waiting(plans):
        return Asked(other, is_new=False)
    request = _new_request(plans, actor, why, review_by=review_by)
    audit.append(actor, _event("approval_request.made", request, why))
    return Asked(request, is_new=True)


def _same_waiting(plans: Sequence[Plan]) -> Iterable[ApprovalRequest]:
    bounds = {plan.installation.pk: asdict(plan.bound) for plan in plans}
    texts = _texts(plans[0])
    waiting = ApprovalRequest.objects.waiting().filter(items__installation=plans[0].installation)
    for request in waiting.prefetch_related("items").order_by("pk"):
        if request.scopes == texts and {item.installation_id: item.bound for item in request.items.all()} == bounds:
            yield request


def _new_request(
    plans: Sequence[Plan], actor: Actor, why: str, *, review_by: date | None, state: str = State.OPEN
) -> ApprovalRequest:
    now = timezone.now()
    alone = state == State.ALONE
    request = ApprovalRequest.objects.create(
        application_id=plans[0].installation.application_id,
        scopes=_texts(plans[0]),
        reason=why,
        review_by=review_by,
        requested_by_id=actor.id,
        requested_by=actor.name,
        requested_at=now,
        expires_at=now + timedelta(hours=settings.FOUR_EYES_HOURS),
        state=state,
        decided_by_id=actor.id if alone else "",
        decided_by=actor.name if alone else "",
        decided_at=now if alone else None,
    )
    ApprovalRequestItem.objects.bulk_create(
        ApprovalRequestItem(request=request, installation=plan.installation, bound=asdict(plan.bound)) for plan in plans
    )
    return request


def _texts(plan: Plan) -> list[str]:
    return sorted(str(scope) for scope in plan.wanted)


def _put_all_in_force(
    plans: Sequence[Plan],
    *,
    why: str,
    approved_by: str,
    confirmed_by: str = "",
    told: Mapping[str, object],
    review_by: date | None = None,
) -> tuple[list[ApprovalResult], list[audit.Event]]:
    done = [
        put_in_force_locked(
            plan, why=why, approved_by=approved_by, confirmed_by=confirmed_by, told=told, review_by=review_by
        )
        for plan in plans
    ]
    return [result for result, _events in done], [event for _result, events in done for event in events]


def _decide(request: ApprovalRequest, state: str, actor: Actor, why: str) -> None:
    request.state, request.decided_at, request.decided_why = state, timezone.now(), why
    request.decided_by_id, request.decided_by = actor.id, actor.name
    request.save(update_fields=["state", "decided_at", "decided_why", "decided_by_id", "decided_by"])


def _event(verb: str, request: ApprovalRequest, why: str, more: Mapping[str, object] | None = None) -> audit.Event:
    items = list(request.items.order_by("installation").values_list("installation", flat=True))
    return audit.Event(
        verb,
        "approvalrequest",
        str(request.pk),
        items[0] if len(items) == 1 else None,
        why,
        {
            "scopes": request.scopes,
            "installations": items,
            "requested_by": request.requested_by_id,
            "expires_at": request.expires_at.isoformat(),
            **(more or {}),
        },
    )
