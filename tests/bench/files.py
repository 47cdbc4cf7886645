"""A world that `seed` makes, and lists of it that are taken away as files: rows a second, and the memory for that."""

import time
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage
from typing import Any

from django.db import connection
from django.test import Client
from django.urls import reverse

from installations.models import Installation
from installations.trail.exporting import Format
from tests import factories
from tests.bench.figures import Figure, seeded
from tokens.models import OAuthToken


def measure(scale: float) -> Iterator[Figure]:
    yield from seeded(max(1_000, int(20_000 * scale)))
    client = Client()
    client.force_login(factories.operator("bench", superuser=True), "django.contrib.auth.backends.ModelBackend")
    for model in (Installation, OAuthToken):
        opts = model._meta
        url = reverse(f"admin:{opts.app_label}_{opts.model_name}_list_export")
        began = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {opts.db_table} ORDER BY id")  # noqa: S608 - a name of ours
            read = sum(1 for _row in cursor)
        reading = read / (time.monotonic() - began)
        before, began = _peak_mib(), time.monotonic()
        answer: Any = client.post(url, {"format": Format.JSON_LINES.value})
        rows = sum(chunk.count(b"\n") for chunk in answer.streaming_content)
        rate = rows / (time.monotonic() - began)
        name = str(opts.verbose_name_plural)
        yield Figure(f"file of {read:,} {name}", rate, "rows/s", "reading the rows alone", reading)
        yield Figure(f"peak memory: file of {read:,} {name}", _peak_mib(), "MiB", "before", before)


def _peak_mib() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024
