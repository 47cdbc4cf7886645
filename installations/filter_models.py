"""Filters of lists that operators keep for themselves."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from installations.list_filters import LONGEST_NAME
from installations.said import said


class SavedFilter(models.Model):
    """How one operator narrows one list, under a name of theirs. Nobody else reads, opens or deletes it."""

    operator = models.ForeignKey("auth.User", on_delete=models.CASCADE, related_name="+")
    list_name = models.CharField(max_length=100)  # app and model, as the registry of the console has it
    name = models.CharField(max_length=LONGEST_NAME)
    parameters = models.JSONField()  # names of the address of the list, each with its values
    saved_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()  # everybody has their own
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["operator", "list_name", "name"], name="installations_savedfilter_one_of_a_name"
            )
        ]

    def __str__(self) -> str:
        return said("saved filter #%(pk)s", pk=self.pk)
