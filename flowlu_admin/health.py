"""Health for whoever starts and watches the service: /healthz and /readyz tell nothing but ids and counts."""

from collections import Counter

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from flowlu_admin.operators import second_factors_by_seal_key
from installations.keys import KeyRingError, parse_key_ring
from tokens import selectors, vault


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process serves; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when calls can be served: database, migrations, keys, and no row under a key that is missing."""
    problems = _problems()
    body = {"status": "not ready" if problems else "ok", "problems": problems}
    return JsonResponse(body, status=503 if problems else 200)


def _problems() -> list[str]:
    problems = [f"{name} is not usable" for name in ("FINGERPRINT_KEY", "AUDIT_KEY") if not _is_ring(name)]
    try:
        ring = vault.token_keys()
    except KeyRingError:
        return [*problems, "TOKEN_KEYS is not usable"]
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return [*problems, "migrations are missing: run manage.py migrate"]
        needed = Counter(selectors.rows_by_seal_key()) + Counter(second_factors_by_seal_key())
        missing = {key: rows for key, rows in needed.items() if ring.get(key) is None}
    except DatabaseError:
        return [*problems, "the database does not answer"]
    return problems + [f"{rows} rows need the key {key!r}, which is missing" for key, rows in missing.items()]


def _is_ring(name: str) -> bool:
    try:
        parse_key_ring(getattr(settings, name))
    except KeyRingError:
        return False
    return True
