"""Words and spans as the console writes them."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from installations.admin import counted
from installations.admin.acts import actor_of
from installations.admin.display import age


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(0), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=59, seconds=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=47, minutes=59), "47 hours"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=400), "400 days"),
    ],
)
def test_span_is_told_in_its_largest_unit(span: timedelta, words: str) -> None:
    assert age(span) == words


def test_count_and_word_agree() -> None:
    assert [counted.tokens(0), counted.tokens(1), counted.tokens(1234), counted.people(2), counted.refreshes(2)] == [
        "0 tokens",
        "1 token",
        "1,234 tokens",
        "2 people",
        "2 refreshes",
    ]


def test_nobody_is_no_actor(rf: RequestFactory) -> None:
    request = rf.post("/admin/")
    request.user = AnonymousUser()

    with pytest.raises(PermissionDenied):
        actor_of(request)
