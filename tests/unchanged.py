"""Witnesses for refusals: a verb that said no left every row of both apps, audit trail included, as it was."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import Model

from installations.models import AuditEvent

# What the note of a refused attempt touches, besides adding events of its own.
_REFUSALS = ("attempt.refused", "attempt.more_refused")
_OF_REFUSALS = {"installations.AuditHead", "installations.RefusedAttempts"}


@contextmanager
def nothing_changes(*, but: Collection[str] = ()) -> Iterator[None]:
    """Fail unless the database holds the same after the block as before it.

    Notes of refused attempts and the models that are named by label aside.
    """
    before = _everything()
    yield
    after = _everything()
    added = [row for row in after["installations.AuditEvent"] if row not in before["installations.AuditEvent"]]
    if added and all(row["verb"] in _REFUSALS for row in added):
        after["installations.AuditEvent"] = after["installations.AuditEvent"][: -len(added)]
        for name in _OF_REFUSALS:
            after[name] = before[name]
    for label in but:
        del before[label], after[label]
    assert after == before


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
