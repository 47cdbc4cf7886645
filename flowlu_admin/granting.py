"""Who may give whom what: the rules that every verb about operators' accounts asks first."""

from collections.abc import Collection

from django.contrib.auth.models import Group

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


def require_all_of(group: Group, actor: Actor) -> None:
    """Return when the actor may all that the group may; raises NotPermitted otherwise. One statement."""
    for permission in group.permissions.select_related("content_type"):
        actor.require(f"{permission.content_type.app_label}.{permission.codename}")


def require_still_active(actor: Actor) -> None:
    """Return unless an operator who acts was removed since their account was read; raises NotPermitted then."""
    if actor.kind == ActorKind.OPERATOR and not Operator.objects.filter(pk=int(actor.id), is_active=True).exists():
        raise NotPermitted(permission=MANAGE, actor=actor.id)
