"""Who may give whom what: the rules that every verb about operators' accounts asks first."""

from collections.abc import Collection

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from flowlu_admin.models import Operator
from installations.actors import Actor, ActorKind
from installations.errors import NotPermitted, StateConflict
from installations.said import said

MANAGE = "flowlu_admin.manage_operator"
MANAGE_SUPERUSER = "flowlu_admin.manage_superuser"


def named_groups(names: Collection[str]) -> dict[str, Group]:
    """Return the groups by name; raises StateConflict where one does not exist."""
    found = {group.name: group for group in Group.objects.filter(name__in=names)}
    if missing := set(names) - found.keys():
        raise StateConflict(said("There is no group named %(sorted)s.", sorted=", ".join(sorted(missing))))
    return found


class GivesMore(NotPermitted):
    """Who restores an account lacks what it would get back."""

    public_message = said(
        "This operator had rights that you do not have, and nobody gives more than they have. Ask an operator who has "
        "all of them to restore the account, or take its groups away first."
    )


def require_all_of(group: Group, actor: Actor) -> None:
    """Return when the actor may all that the group may; raises NotPermitted otherwise. One statement."""
    _require_each(group.permissions.all(), actor)


def require_all_given_to(operator: Operator, actor: Actor) -> None:
    """Return when the actor may all that an account may by its groups and own rights; raises GivesMore otherwise.

    One statement. What a superuser may besides is for `MANAGE_SUPERUSER` to say.
    """
    try:
        _require_each(Permission.objects.filter(Q(group__user=operator.pk) | Q(user=operator.pk)).distinct(), actor)
    except NotPermitted as error:
        raise GivesMore(permission=error.permission, actor=actor.id) from None


def _require_each(permissions: QuerySet[Permission], actor: Actor) -> None:
    for permission in permissions.select_related("content_type"):
        actor.require(f"{permission.content_type.app_label}.{permission.codename}")


def require_still_active(actor: Actor) -> None:
    """Return unless an operator who acts was removed since their account was read; raises NotPermitted then."""
    if actor.kind == ActorKind.OPERATOR and not Operator.objects.filter(pk=int(actor.id), is_active=True).exists():
        raise NotPermitted(permission=MANAGE, actor=actor.id)
