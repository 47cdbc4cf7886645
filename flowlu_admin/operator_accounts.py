"""Verbs about operators' accounts: remove and restore them, end their sessions, change their groups.

Nobody does any of it to themselves, nobody gives more than they have, and one superuser always stays. Locks are taken
in the order superusers (by number) → the account → its requests (by number) → audit head.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet

from flowlu_admin.models import Operator
from flowlu_admin.sessions import end_other_sessions
from installations import audit
from installations.actors import Actor, ActorKind, clean_reason
from installations.approval_requests import void_requests_of
from installations.errors import NotPermitted, StateConflict
from installations.seen import check_seen

MANAGE = "flowlu_admin.manage_operator"
MANAGE_SUPERUSER = "flowlu_admin.manage_superuser"


@dataclass(frozen=True, slots=True)
class Removed:
    sessions_ended: int
    requests_voided: int


def remove_operator(*, operator_id: int, actor: Actor, reason: str) -> Removed | None:
    """Let an operator do nothing any more, from the commit on: neither sign in nor go on in an open session.

    Their sessions are gone, and what they asked for and nobody confirmed is void. What they did stays, and so does the
    account, for it to be named. Returns None for one that was removed already.

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
                "This is the last superuser: nobody could manage operators any more. Make another one first, with "
                "manage.py create_operator NAME --superuser."
            )
        operator.is_active = False
        operator.save(update_fields=["is_active"])
        ended = end_other_sessions(operator.pk, None)
        voided = void_requests_of(str(operator.pk), actor=actor, why="The operator who asked was removed.")
        told = {"sessions": ended, "requests": [event.target_id for event in voided]}
        audit.append(actor, *voided, audit.Event("operator.removed", "operator", str(operator.pk), None, why, told))
    return Removed(ended, len(voided))


def restore_operator(*, operator_id: int, actor: Actor, reason: str) -> bool:
    """Let a removed operator sign in again, with the groups and the second factor they had. Returns whether it changed.

    Raises NotPermitted, ReasonRequired, and StateConflict for nobody.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        operator = _managed(operator_id, actor)
        if operator.is_active:
            return False
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
        wanted = {group.name: group for group in Group.objects.filter(name__in=groups)}
        if missing := set(groups) - wanted.keys():
            raise StateConflict(f"There is no group named {', '.join(sorted(missing))}.")
        held = set(operator.groups.values_list("name", flat=True))
        check_seen(seen, as_seen(held), "The choice of groups")
        if held == wanted.keys():
            return False
        for name in wanted.keys() - held:
            for permission in wanted[name].permissions.select_related("content_type"):
                actor.require(f"{permission.content_type.app_label}.{permission.codename}")
        operator.groups.set(wanted.values())
        told = {"added": sorted(wanted.keys() - held), "taken": sorted(held - wanted.keys())}
        audit.append(actor, audit.Event("operator.groups_changed", "operator", str(operator.pk), None, why, told))
    return True


def as_seen(groups: Collection[str]) -> dict[str, object]:
    """Return the groups of an operator in the form of which the digest is taken."""
    return {"groups": sorted(groups)}


def _lock(rows: QuerySet[Operator]) -> list[Operator]:
    return list(rows.select_for_update(no_key=True).order_by("pk"))


def _managed(operator_id: int, actor: Actor) -> Operator:
    """Return the account, held until the end of the transaction, if the actor may manage this one."""
    operator = next(iter(_lock(Operator.objects.filter(pk=operator_id, is_staff=True))), None)
    if operator is None:
        raise StateConflict("There is no such operator.")
    if operator.is_superuser:
        actor.require(MANAGE_SUPERUSER)
    if actor.kind == ActorKind.OPERATOR:
        if actor.id == str(operator.pk):
            raise StateConflict("Nobody does this to their own account: ask another operator.")
        # Of two that remove each other at once, the second is an operator no more.
        if not Operator.objects.filter(pk=int(actor.id), is_active=True).exists():
            raise NotPermitted(permission=MANAGE, actor=actor.id)
    return operator
