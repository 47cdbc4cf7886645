"""Filters that operators keep: save one, read one's own, delete it, and forget those of who is removed.

They are preferences, and give no right: the list that a filter opens asks for its own. So these take the number of the
owner instead of an actor, and leave no event.
"""

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import QuerySet

from installations.errors import StateConflict
from installations.filter_models import SavedFilter
from installations.list_filters import MOST, Parameters, check_parameters, checked_name
from installations.said import said


def save_filter(*, operator_id: int, list_name: str, name: str, parameters: Parameters) -> SavedFilter:
    """Keep a filter of a list for one operator.

    Raises InvalidRequest for what may not be kept, and StateConflict for a name that is taken, one filter too many, and
    an operator who was removed meanwhile. Saves of one operator wait for each other, and for their removal.
    """
    cleaned = checked_name(name)
    check_parameters(parameters)
    with transaction.atomic(durable=True):
        owners = get_user_model()._default_manager.select_for_update(no_key=True)
        if not owners.filter(pk=operator_id, is_active=True, is_staff=True).first():
            raise StateConflict(said("This account may keep nothing any more."))
        own = filters_of(operator_id, list_name)
        names = set(own.values_list("name", flat=True))
        if cleaned in names:
            raise StateConflict(said("You have a filter of this name here. Delete it first, or choose another name."))
        if len(names) >= MOST:
            raise StateConflict(
                said(
                    "You have %(most)s filters of this list, which is as many as there can be. Delete one first.",
                    most=MOST,
                )
            )
        return own.create(operator_id=operator_id, list_name=list_name, name=cleaned, parameters=parameters)


def filters_of(operator_id: int, list_name: str) -> QuerySet[SavedFilter]:
    """Return what one operator keeps for one list, by name. One statement."""
    return SavedFilter.objects.filter(operator_id=operator_id, list_name=list_name).order_by("name", "pk")


def own_filter(operator_id: int, filter_id: int) -> SavedFilter | None:
    """Return a filter to its owner, and to others nothing."""
    return SavedFilter.objects.filter(operator_id=operator_id, pk=filter_id).first()


def delete_filter(*, operator_id: int, filter_id: int) -> bool:
    """Delete a filter of this operator; returns whether there was one."""
    removed, _of_each = SavedFilter.objects.filter(operator_id=operator_id, pk=filter_id).delete()
    return removed == 1


def forget_filters_of(operator_id: int) -> int:
    """Delete all that an operator keeps, inside the transaction of their removal; returns how many there were."""
    removed, _of_each = SavedFilter.objects.filter(operator_id=operator_id).delete()
    return removed
