"""Filters that several lists share."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.text import Text, visible_text
from installations.distinct import values_of
from installations.models import Application, Installation


class LockedFilter(admin.SimpleListFilter):
    """Locked or not, by the row's own lock."""

    title = _("lock")
    parameter_name = "locked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", gettext("locked")), ("no", gettext("not locked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(locked_at__isnull=self.value() == "no")


class InstallationLockedFilter(LockedFilter):
    """Locked or not, by a lock of the installation, its portal or its application."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        # Named: left to a subquery, a usual application is believed to be locked, with a tenth of all installations.
        self._applications = list(Application.objects.filter(locked_at__isnull=False).values_list("pk", flat=True))
        return super().lookups(request, model_admin)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        if self.value() not in ("yes", "no"):
            return queryset
        # One by one: an OR over joins would be asked of every row, and the locked ones are few.
        rows = Installation.objects.order_by()
        found = [rows.filter(locked_at__isnull=False), rows.filter(portal__locked_at__isnull=False)]
        if self._applications:
            found.append(rows.filter(application__in=self._applications))
        first, *others = (each.values("pk") for each in found)
        locked = first.union(*others)
        return queryset.filter(pk__in=locked) if self.value() == "yes" else queryset.exclude(pk__in=locked)


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
