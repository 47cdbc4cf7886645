"""Filters that several lists share."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.text import Text, visible_text
from installations.distinct import values_of


class LockedFilter(admin.SimpleListFilter):
    """Locked or not, by the row's own lock or one that holds for it."""

    title = _("lock")
    parameter_name = "locked"
    paths: Sequence[str] = ("locked_at",)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", gettext("locked")), ("no", gettext("not locked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        # One by one: an OR over joins would be asked of every row, and the locked ones are few.
        rows = queryset.model._default_manager.order_by()
        first, *others = (rows.filter(**{f"{path}__isnull": False}).values("pk") for path in self.paths)
        locked = first.union(*others) if others else first
        if self.value() == "yes":
            return queryset.filter(pk__in=locked)
        return queryset.exclude(pk__in=locked) if self.value() == "no" else queryset


class InstallationLockedFilter(LockedFilter):
    paths = ("locked_at", "portal__locked_at", "application__locked_at")


class ValuesFilter(admin.SimpleListFilter):
    """By the values that an indexed column has. They are few, and found by the index: the rows are many."""

    column: str

    @classmethod
    def of(cls, column: str, title: Text) -> type["ValuesFilter"]:
        return type(f"{cls.__name__}Of_{column}", (cls,), {"column": column, "title": title, "parameter_name": column})

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        values = values_of(model_admin.model, self.column)
        return [(value, visible_text(value.replace("_", " "))) for value in values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class NamedFilter(admin.RelatedFieldListFilter):
    """A filter by rows whose names strangers wrote."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [(key, visible_text(label)) for key, label in super().field_choices(field, request, model_admin)]
