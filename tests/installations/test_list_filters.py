"""What is kept as a filter: parameters that the list knows, a name that can be told, no token, and not too much."""

from typing import Any

import pytest

from installations.errors import InvalidRequest
from installations.list_filters import (
    LONGEST,
    LONGEST_NAME,
    as_query,
    check_parameters,
    checked_name,
    may_hold_secret,
    sorted_out,
)

TOKEN = "q8Zr2LxW0nVt5KdYb7EhJm3PcRs9UaGf1TiOv4Xw"


def test_known_parameters_are_kept_in_one_order_and_others_named() -> None:
    given = {"b": ["2", ""], "gone": ["x"], "a": ["1"], "q": [""], "other": [""]}
    assert sorted_out(given, lambda name: len(name) == 1) == ({"a": ["1"], "b": ["2"]}, ["gone", "other"])
    assert list(sorted_out(given, lambda name: True)[0]) == ["a", "b", "gone"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("  Stale here ", "Stale here"),
        ("Заблокированы", "Заблокированы"),
        ("a" * LONGEST_NAME,) * 2,
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
    ],
)
def test_name_is_kept_as_it_reads(name: str, kept: str) -> None:
    assert checked_name(name) == kept


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "Give the filter a name"),
        (" \t", "Give the filter a name"),
        ("a" * (LONGEST_NAME + 1), "at most 60"),
        ("a\u202eb", "cannot be seen"),
        ("a\nb", "cannot be seen"),
        ("a\0b", "cannot be seen"),
        ("\u0430ccounts", "looks like another"),
        (TOKEN, "not kept"),
    ],
)
def test_name_that_is_none_is_refused(name: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        checked_name(name)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "nothing to save"),
        ({"q": ["x" * (LONGEST - 1)]}, "too long"),
        ({"q": [TOKEN]}, "not kept"),
        ({TOKEN: ["a"]}, "not kept"),
        ({"a": ["b", f"x {TOKEN}"]}, "not kept"),
        # of what is both, only the one thing is said that matters
        ({"q": [TOKEN * 40]}, "not kept"),
    ],
)
def test_filter_that_may_not_be_kept_is_refused(parameters: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        check_parameters(parameters)
    assert TOKEN not in str(refused.value)


def test_filter_that_just_fits_is_kept() -> None:
    fits = {"q": ["x" * (LONGEST - 2)]}
    check_parameters(fits)
    assert len(as_query(fits)) == LONGEST
    assert may_hold_secret(fits) is False


def test_query_has_every_value() -> None:
    assert as_query({"a": ["1", "2"], "q": ["é &"]}) == "a=1&a=2&q=%C3%A9+%26"
