"""Calls of backend code are counted by how they ended."""

import pytest

from tests.backend import Backend
from tokens import day_counts
from tokens.models import DayCount

pytestmark = pytest.mark.django_db(transaction=True)


def test_calls_of_backend_code_are_counted(backend: Backend) -> None:
    assert backend.get().status_code == 200
    assert backend.get("crm/lead/list").status_code == 403
    assert Backend("not-a-key").get().status_code == 401
    day_counts.flush()
    found = DayCount.objects.filter(subject="service_call").order_by("outcome").values_list("outcome", "number")
    assert list(found) == [("invalid_client", 1), ("ok", 1), ("scope_not_in_purpose", 1)]
