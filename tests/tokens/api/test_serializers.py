"""Input is taken as it is: no number becomes a text, nothing is trimmed, no half of a character gets in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tokens.api.serializers import InputSession

GIVEN = {"portal": "acme.flowlu.com", "app_id": "com.example.desk", "access_token": "token"}


def test_text_stays_as_it_is() -> None:
    given = InputSession(data=GIVEN | {"app_version": " 1.0 ", "expires_at": "2026-04-01 10:15:20"})

    assert given.is_valid()
    assert given.validated_data == {
        **GIVEN,
        "app_version": " 1.0 ",
        "expires_at": datetime(2026, 4, 1, 10, 15, 20, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("portal", 7, "must be a string"),
        ("portal", "acme\ud800", "Surrogate characters are not allowed: U+D800."),
        ("app_id", "com\ud800", "Surrogate characters are not allowed: U+D800."),
        ("app_id", "com\n", "must not contain control characters or line breaks"),
        ("app_version", True, "must be a string"),
        ("access_token", "to ken", "must be 1 to 4096 visible ASCII characters without spaces"),
        ("access_token", "\ud800", "must be 1 to 4096 visible ASCII characters without spaces"),
        ("expires_at", 1775038520, "must be a UTC time like 2026-04-01 10:15:20"),
        ("expires_at", "2026-04-01T10:15:20+02:00", "must be a UTC time like 2026-04-01 10:15:20"),
    ],
)
def test_odd_value_is_refused_at_its_field(field: str, value: Any, fault: str) -> None:
    given = InputSession(data=GIVEN | {field: value})

    assert not given.is_valid()
    assert given.errors == {field: [fault]}
