"""Verbs about operators' accounts: remove and restore them, end their sessions, take factors away, change their groups.

Nobody does any of it to themselves, nobody gives more than they have, and one superuser always stays. Locks are taken
in the order superusers (by number) → the account → its requests → its invitations (each by number) → audit head.
"""

from collections.abc import Collection
from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from flowlu_admin.granting import (
    MANAGE,
    MANAGE_SUPERUSER,
    named_groups,
    require_all_given_to,
    require_all_of,
    require_still_active,
)
from flowlu_admin.invitations import withdraw_invitations_of
from flowlu_admin.models import Operator
from flowlu_admin.sessions import end_other_sessions
from installations import audit
from installations.actors import Actor, ActorKind, clean_reason
from installations.approval_requests import void_requests_of
from installations.errors import InvalidRequest, StateConflict
from installations.said import said
from installations.saved_filters import forget_filters_of
from installations.seen import check_seen


@dataclass(frozen=True, slots=True)
class Removed:
    sessions_ended: int
    requests_voided: int
    invitations_withdrawn: int


def remove_operator(*, operator_id: int, actor: Actor, reason: str) -> Removed | None:
    """Let an operator do nothing any more, from the commit on: neither sign in nor go on in an open session.

    Their sessions and saved filters are gone, what they asked for and nobody confirmed is void, and whom they invited
    cannot come any more. What they did stays, and so does the account, for it to be named. Returns None for one that
    was removed already.

    Raises NotPermitted, ReasonRequired, and StateConflict for oneself, the last superuser, or nobody.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        # All superusers are held: of two that remove each other at once, the second is told.
        superusers = set(_lock(Operator.objects.filter(is_superuser=True, is_staff=True, is_active=True)))
        operator = _managed(operator_id, actor)
        if not operator.is_active:
            return None
        if operator in superusers and len(superusers) == 1:
            raise StateConflict(
                said(
                    "This is the last superuser: nobody could manage operators any more. Make another one first, with "
                    "manage.py create_operator NAME --superuser."
                )
            )
        operator.is_active = False
        operator.save(update_fields=["is_active"])
        ended = end_other_sessions(operator.pk, None)
        voided = void_requests_of(str(operator.pk), actor=actor, why="The operator who asked was removed.")
        withdrawn = withdraw_invitations_of(operator, "The operator who invited was removed.")
        forget_filters_of(operator.pk)
        told = {
            "sessions": ended,
            "requests": [event.target_id for event in voided],
            "invitations": [event.target_id for event in withdrawn],
        }
        removed = audit.Event("operator.removed", "operator", str(operator.pk), None, why, told)
        audit.append(actor, *voided, *withdrawn, removed)
    return Removed(ended, len(voided), len(withdrawn))


def restore_operator(*, operator_id: int, actor: Actor, reason: str) -> bool:
    """Let a removed operator sign in again, with the groups and the second factor they had. Returns whether it changed.

    Raises NotPermitted, GivesMore where the account may more than who restores it, ReasonRequired, and StateConflict
    for nobody.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        operator = _managed(operator_id, actor)
        if operator.is_active:
            return False
        require_all_given_to(operator, actor)
        operator.is_active = True
        operator.save(update_fields=["is_active"])
        # One that began beside the removal would live again.
        end_other_sessions(operator.pk, None)
        audit.append(actor, audit.Event("operator.restored", "operator", str(operator.pk), None, why))
    return True


def sign_out_operator(*, operator_id: int, actor: Actor, reason: str) -> int:
    """End every session of an operator; returns how many there were. They may sign in anew.

    Raises NotPermitted, ReasonRequired, and StateConflict for oneself or nobody.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        operator = _managed(operator_id, actor)
        ended = end_other_sessions(operator.pk, None)
        told = {"sessions": ended}
        audit.append(actor, audit.Event("operator.signed_out", "operator", str(operator.pk), None, why, told))
    return ended


def reset_second_factors(*, operator_id: int, actor: Actor, reason: str) -> bool:
    """Take every second factor of an operator away, their recovery codes too, and end every session of theirs.

    Whoever signs in next with their password sets another one up. Returns whether there was any. Raises NotPermitted,
    ReasonRequired, and StateConflict for oneself or nobody.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        operator = _managed(operator_id, actor)
        theirs = Authenticator.objects.filter(user_id=operator.pk)
        factors = sorted(theirs.values_list("type", flat=True))
        if not factors:
            return False
        theirs.delete()
        told = {"factors": factors, "sessions": end_other_sessions(operator.pk, None)}
        audit.append(actor, audit.Event("operator.factors_reset", "operator", str(operator.pk), None, why, told))
    return True


def set_operator_groups(
    *, operator_id: int, groups: Collection[str], actor: Actor, reason: str, seen: str | None = None
) -> bool:
    """Make these the groups of an operator, by name. Returns whether that changed anything.

    What is taken away counts from the commit on. With `seen` (the digest of what was shown) it counts only while
    that is so. Raises NotPermitted, also where a group that is added may more than who adds it, ReasonRequired, and
    StateConflict for oneself, nobody, a group that does not exist, and groups that changed since.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        operator = _managed(operator_id, actor)
        wanted = named_groups(groups)
        held = set(operator.groups.values_list("name", flat=True))
        check_seen(seen, as_seen(held), said("The choice of groups"))
        if held == wanted.keys():
            return False
        for name in wanted.keys() - held:
            require_all_of(wanted[name], actor)
        operator.groups.set(wanted.values())
        told = {"added": sorted(wanted.keys() - held), "taken": sorted(held - wanted.keys())}
        audit.append(actor, audit.Event("operator.groups_changed", "operator", str(operator.pk), None, why, told))
    return True


def set_operator_address(*, operator_id: int, email: str, actor: Actor, reason: str) -> bool:
    """Make this the mail address of an operator, to which notices and codes for a new password go from now on.

    Their sessions end, and with them a code that was mailed to the address before. Returns whether that changed
    anything. It is done to one's own account too: there is no other way to it. Raises NotPermitted, ReasonRequired,
    InvalidRequest for what is no address or somebody else's, and StateConflict for nobody.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    try:
        address = Operator._meta.get_field("email").clean(email.strip(), Operator())
    except ValidationError:
        address = ""
    if not address or not address.isascii():
        raise InvalidRequest(fields={"email": said("This is no mail address")})
    with transaction.atomic(durable=True):
        operator = _managed(operator_id, actor, own=True)
        if operator.email == address:
            return False
        if Operator.objects.filter(email__iexact=address).exclude(pk=operator.pk).exists():
            raise InvalidRequest(fields={"email": said("Another account has this address")})
        told: dict[str, object] = {"had_one": bool(operator.email)}
        operator.email = address
        operator.save(update_fields=["email"])
        told["sessions"] = end_other_sessions(operator.pk, None)
        audit.append(actor, audit.Event("operator.address_set", "operator", str(operator.pk), None, why, told))
    return True


def as_seen(groups: Collection[str]) -> dict[str, object]:
    """Return the groups of an operator in the form of which the digest is taken."""
    return {"groups": sorted(groups)}


def _lock(rows: QuerySet[Operator]) -> list[Operator]:
    return list(rows.select_for_update(no_key=True).order_by("pk"))


def _managed(operator_id: int, actor: Actor, *, own: bool = False) -> Operator:
    """Return the account, held until the end of the transaction, if the actor may manage this one.

    `own`: also where it is theirs.
    """
    operator = next(iter(_lock(Operator.objects.filter(pk=operator_id, is_staff=True))), None)
    if operator is None:
        raise StateConflict(said("There is no such operator."))
    if operator.is_superuser:
        actor.require(MANAGE_SUPERUSER)
    if actor.kind == ActorKind.OPERATOR:
        if actor.id == str(operator.pk) and not own:
            raise StateConflict(said("Nobody does this to their own account: ask another operator."))
        # Of two that remove each other at once, the second is an operator no more.
        require_still_active(actor)
    return operator
