"""Health for whoever starts and watches the service: /healthz and /readyz.

They are open to all and tell nothing but what is wrong, with ids and fingerprints of keys.
"""

from functools import lru_cache

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from installations import editions
from installations.keys import KeyRingError, parse_key_ring
from tokens import key_report


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process serves; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when calls can be served: database, migrations, no missing key, a sound catalogue."""
    problems = _problems()
    body = {"status": "not ready" if problems else "ok", "problems": problems}
    return JsonResponse(body, status=503 if problems else 200)


def _problems() -> list[str]:
    unusable = unusable_rings()
    try:
        if lacks_migrations():
            return [*unusable, "migrations are missing: run manage.py migrate"]
        return unusable or [*key_report.problems(), *catalogue_problems()]
    except DatabaseError:
        return [*unusable, "the database does not answer"]


def unusable_rings() -> list[str]:
    """Say which key rings cannot be read."""
    return [f"{name} is not usable" for name in key_report.Ring.values if not _is_ring(name)]


def lacks_migrations() -> bool:
    """Return whether the database is behind the code."""
    return _is_behind(frozenset(MigrationRecorder(connection).applied_migrations()))


@lru_cache(maxsize=1)  # to read all migrations takes a tenth of a second, and /readyz is open to all
def _is_behind(applied: frozenset[tuple[str, str]]) -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def catalogue_problems() -> list[str]:
    """Say what is wrong with the scope catalogue that is in force, and what to do."""
    known = editions.as_stored()
    if not known.damage:
        return []
    return [
        f"edition {known.edition} of the scope catalogue is damaged, so every call is denied: run manage.py "
        "import_catalogue with an export of an earlier one"
    ]


def _is_ring(name: str) -> bool:
    try:
        parse_key_ring(getattr(settings, name))
    except KeyRingError:
        return False
    return True
