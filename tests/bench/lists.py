"""Every list, its next page, its filters and its search, the search of the console and the first page, at a size that
`seed` makes: milliseconds at the server that 95 of 100 requests stay under, and statements."""

import gc
import time
from collections.abc import Iterator
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, setup_test_environment, teardown_test_environment
from django.urls import reverse

from installations.models import Portal
from tests import factories
from tests.bench.figures import Figure, seeded

_REQUESTS = 100
_CHOICES = 4  # of each filter, at most


def measure(scale: float) -> Iterator[Figure]:
    yield from seeded(max(100, int(1_000_000 * scale)))
    yield from pages()


def pages(requests: int = _REQUESTS) -> Iterator[Figure]:
    """Measure what there is in the database. Permission to everything: nobody sees more."""
    client = Client()
    client.force_login(factories.operator("bench", superuser=True), "django.contrib.auth.backends.ModelBackend")
    setup_test_environment()
    found = list(everything(client))
    teardown_test_environment()  # with it each template is copied and told of
    gc.collect()
    gc.freeze()  # as in a process of gunicorn's
    for what, url in found:
        yield timed(client, what, url, requests=requests)


def everything(client: Client) -> Iterator[tuple[str, str]]:
    """Yield what is asked for, in words, and its address."""
    yield "first page", reverse("admin:index")
    portal = Portal.objects.order_by("-pk").values_list("domain", flat=True)[0]
    for text in (portal, "17", "José", "nobody-has-this"):
        yield f"search {text}", f"{reverse('admin:search')}?{urlencode({'q': text})}"
    for model, model_admin in admin.site._registry.items():
        yield from addresses(client, model, model_admin, portal)


def addresses(client: Client, model: Any, model_admin: Any, portal: str) -> Iterator[tuple[str, str]]:
    """Yield the addresses of one list: as it opens, its next page, what it searches, its filters."""
    opts = model._meta
    name, base = str(opts.verbose_name_plural), reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    opened = client.get(base).context["cl"]
    yield name, base
    if opened.next_url:
        yield f"{name}, next page", base + opened.next_url
    if model_admin.search_fields:
        for text in (portal, "17", "nobody-has-this"):
            yield f"{name}, search {text}", f"{base}?q={text}"
    for spec in opened.filter_specs:
        for choice in list(spec.choices(opened))[1 : _CHOICES + 1]:
            yield f"{name}, {spec.title}: {choice['display']}", base + choice["query_string"]


def timed(client: Client, what: str, url: str, *, requests: int) -> Figure:
    with CaptureQueriesContext(connection) as asked:
        response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    statements = len(asked)  # now: the next request forgets them
    took = []
    for _number in range(requests):
        began = time.perf_counter()
        client.get(url)
        took.append((time.perf_counter() - began) * 1000)
    slowest = quantiles(took, n=20)[-1] if len(took) > 1 else took[0]
    return Figure(what, slowest, "ms", "promised", 200.0, note=f"{statements} statements")
