"""Witnesses for refusals: a verb that said no left every row of both apps, audit trail included, as it was."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Model

from installations.models import AuditEvent

# The events of a refused attempt. One that was repeated at once is counted only, and has no event.
_REFUSALS = ("attempt.refused", "attempt.more_refused")


@contextmanager
def nothing_changes(*, but: Collection[str] = ()) -> Iterator[None]:
    """Fail unless the database holds the same after the block as before it.

    Notes of refused attempts and the models that are named by label aside.
    """
    before = _everything()
    yield
    after = _everything()
    added = [row for row in after["installations.AuditEvent"] if row not in before["installations.AuditEvent"]]
    if all(row["verb"] in _REFUSALS for row in added):
        after["installations.RefusedAttempts"] = before["installations.RefusedAttempts"]
        if added:
            after["installations.AuditEvent"] = after["installations.AuditEvent"][: -len(added)]
            after["installations.AuditHead"] = before["installations.AuditHead"]
    for label in but:
        del before[label], after[label]
    changed = [name for name in before if after[name] != before[name]]
    assert not changed, f"rows changed of: {', '.join(changed)}"


def recorded() -> list[str]:
    """Return the verbs of the audit trail, oldest first."""
    return list(AuditEvent.objects.order_by("sequence").values_list("verb", flat=True))


def last_event() -> AuditEvent:
    return AuditEvent.objects.get(sequence=AuditEvent.objects.count())


def _everything() -> dict[str, list[dict[str, Any]]]:
    models = [*apps.get_app_config("installations").get_models(), *apps.get_app_config("tokens").get_models()]
    return {model._meta.label: _rows(model) for model in [*models, get_user_model()]}


def _rows(model: type[Model]) -> list[dict[str, Any]]:
    """Return the rows as the driver gives them, oldest first: this runs twice for each refusal that is tested."""
    name = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {name(model._meta.db_table)} ORDER BY {name(model._meta.pk.column)}")  # noqa: S608
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, map(_comparable, row), strict=True)) for row in cursor.fetchall()]


def _comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value
