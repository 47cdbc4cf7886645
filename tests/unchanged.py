"""Witnesses for refusals: a verb that said no left every row of both apps, audit trail included, as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import Model

from installations.models import AuditEvent


@contextmanager
def nothing_changes() -> Iterator[None]:
    """Fail unless the database holds the same after the block as before it."""
    before = _everything()
    yield
    assert _everything() == before


def recorded() -> list[str]:
    """Return the verbs of the audit trail, oldest first."""
    return list(AuditEvent.objects.order_by("sequence").values_list("verb", flat=True))


def last_event() -> AuditEvent:
    return AuditEvent.objects.get(sequence=AuditEvent.objects.count())


def _everything() -> dict[str, list[dict[str, Any]]]:
    models = [*apps.get_app_config("installations").get_models(), *apps.get_app_config("tokens").get_models()]
    return {model._meta.label: _rows(model) for model in [*models, get_user_model()]}


def _rows(model: type[Model]) -> list[dict[str, Any]]:
    rows = model._default_manager.order_by("pk").values()
    return [{name: _comparable(value) for name, value in row.items()} for row in rows]


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
