"""The cast: operators by role, a registered application, every log line."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from rest_framework.test import APIClient

from installations.flowlu import configured
from installations.models import Application
from tests import factories
from tests.factories import APP_ID
from tokens import activity, day_counts, flushing, observations, refusals, usage

# A test writes what was noted itself: the thread would do it in the midst of another.
flushing.FLUSH_SECONDS = 3600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("postgresql") and connection.vendor != "postgresql":
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL: run with DATABASE_URL=postgres://…"))


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    cache.clear()
    configured._client.cache_clear()  # which portals it did not reach
    yield
    activity.forget()


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    yield
    refusals.forget()
    usage.forget()
    day_counts.forget()
    observations.forget()


@pytest.fixture
def application(db: None) -> Application:
    return factories.application(APP_ID)


@pytest.fixture
def auditor(db: None) -> Any:
    return factories.operator("auditor", "Auditor")


@pytest.fixture
def reviewer(db: None) -> Any:
    return factories.operator("reviewer", "Reviewer")


@pytest.fixture
def responder(db: None) -> Any:
    return factories.operator("responder", "Responder")


@pytest.fixture
def outsider(db: None) -> Any:
    """An operator in no group."""
    return factories.operator("outsider")


@pytest.fixture
def superuser(db: None) -> Any:
    return factories.operator("superuser", superuser=True)


@pytest.fixture
def api() -> APIClient:
    return APIClient(raise_request_exception=False)


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every log line of every logger, SQL with its parameters included."""
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="django.db.backends"):
        yield caplog


@pytest.fixture
def project_root() -> Path:
    return Path(__file__).resolve().parent.parent
