"""Filters that several lists share."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from installations.admin.text import visible_text


class LockedFilter(admin.SimpleListFilter):
    """Locked or not, by the row's own lock or one that holds for it."""

    title = "lock"
    parameter_name = "locked"
    paths: Sequence[str] = ("locked_at",)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "locked"), ("no", "not locked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        locked = Q()
        for path in self.paths:
            locked |= Q(**{f"{path}__isnull": False})
        if self.value() == "yes":
            return queryset.filter(locked)
        return queryset.exclude(locked) if self.value() == "no" else queryset


class InstallationLockedFilter(LockedFilter):
    paths = ("locked_at", "portal__locked_at", "application__locked_at")


class NamedFilter(admin.RelatedFieldListFilter):
    """A filter by rows whose names strangers wrote."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [(key, visible_text(label)) for key, label in super().field_choices(field, request, model_admin)]
