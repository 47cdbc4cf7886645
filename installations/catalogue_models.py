"""Editions of the scope catalogue: what operators laid over the shipped file, append-only.

They are written only by `installations.catalogue_editing`; the newest counts.
"""

from typing import Any, ClassVar, NoReturn

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from installations.said import said


class EditionsAreAppendOnly(TypeError):
    """Somebody tried to change or remove an edition of the scope catalogue."""


class CatalogueEditionQuerySet(models.QuerySet["CatalogueEdition"]):
    def update(self, **_kwargs: Any) -> NoReturn:
        raise EditionsAreAppendOnly

    def delete(self) -> NoReturn:
        raise EditionsAreAppendOnly


class CatalogueEdition(models.Model):
    """The operators' entries as of one edit, all of them. The shipped file alone is edition 0, which has no row."""

    number = models.PositiveIntegerField(primary_key=True, help_text=_("Gapless, from 1. The highest is in force."))
    document = models.TextField(help_text=_("The operators' entries in canonical JSON."))
    sha256 = models.CharField("SHA-256", max_length=64, help_text=_("of the document"))
    shipped = models.CharField(max_length=12, help_text=_("The version of the shipped file when it was saved."))
    saved_by = models.CharField(max_length=150)
    saved_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=1000)

    objects = CatalogueEditionQuerySet.as_manager()

    class Meta:
        verbose_name = _("edition of the scope catalogue")
        verbose_name_plural = _("editions of the scope catalogue")
        permissions: ClassVar = [("edit_catalogue", "Can edit the scope catalogue")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(sha256__regex=r"\A[0-9a-f]{64}\Z"),
                name="installations_catalogueedition_sha256_is_hex",
            ),
            models.CheckConstraint(
                condition=models.Q(number__gte=1), name="installations_catalogueedition_number_from_1"
            ),
        ]

    def __str__(self) -> str:
        return said("edition %(number)s", number=self.number)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise EditionsAreAppendOnly
