"""Launch values are hints: read by configurable names, and dropped where they are not plain short text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.flowlu.launch import Launch, read_launch

NAMES = {
    "portal": "domain",
    "language": "language",
    "app_id": "app_id",
    "app_version": "app_version",
    "integration_point": "placement_id",
}


def test_values_are_found_by_the_default_names() -> None:
    values = {
        "domain": "acme.flowlu.com",
        "language": "en",
        "app_id": "com.example.weather",
        "app_version": "1.0.0",
        "placement_id": "menu-1",
        "access_token": "canary",
    }
    launch = read_launch(values, NAMES)
    assert launch == Launch("acme.flowlu.com", "en", "com.example.weather", "1.0.0", "menu-1")
    assert "canary" not in repr(launch)


def test_values_are_found_by_configured_names_only() -> None:
    names = {"portal": "ACCOUNT", "app_id": "app"}
    assert read_launch({"ACCOUNT": "acme.flowlu.com", "domain": "x", "app": "a"}, names) == Launch(
        portal="acme.flowlu.com", app_id="a"
    )
    assert read_launch({"": "x"}, {}) == Launch()


@pytest.mark.parametrize("value", ["", "a\nb", "a\0b", "a\x7fb", "a\u202eb", "a\u2028b", "\ud800", "x" * 254])
def test_odd_values_are_dropped(value: str) -> None:
    assert read_launch({"domain": value, "language": "de"}, NAMES) == Launch(language="de")


@given(st.dictionaries(st.sampled_from(["domain", "language", "app_id", "x"]), st.text()))
def test_any_values_are_read(values: dict[str, str]) -> None:
    launch = read_launch(values, NAMES)
    assert launch.portal in (None, values.get("domain"))
