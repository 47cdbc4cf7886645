"""Charts: every column within the picture, in words as well, and safe with any words."""

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.admin.charts import Series, bars, share, stacked

DAYS = [date(2026, 11, 27) + timedelta(days=number) for number in range(3)]


def pieces(picture: str) -> list[tuple[str, float, float, float]]:
    """Return tone, left, top and height of what is drawn."""
    found = re.findall(r'<rect class="series-(\w+)" x="([\d.]+)" y="([\d.]+)" width="7" height="([\d.]+)">', picture)
    return [(tone, float(left), float(top), float(height)) for tone, left, top, height in found]


def test_columns_stand_on_the_ground_and_upon_each_other() -> None:
    picture = stacked(DAYS, [Series("good ones", "good", [10, 0, 40]), Series("bad ones", "bad", [10, 0, 0])], "words")
    assert pieces(picture) == [("good", 0, 75, 25), ("bad", 0, 50, 25), ("good", 20, 0, 100)]
    titles = re.findall(r"<title>(.*?)</title>", picture)
    assert titles == ["2026-11-27: 10 good ones, 10 bad ones", "2026-11-28: none", "2026-11-29: 40 good ones"]


def test_day_that_was_not_counted_is_not_shown_as_nothing() -> None:
    picture = stacked(DAYS, [Series("good ones", "good", [None, 0, 1])], "words")
    assert "2026-11-27: not counted" in picture
    assert "2026-11-28: none" in picture


def test_nothing_at_all_is_a_picture_without_columns() -> None:
    assert pieces(stacked(DAYS, [Series("ones", "good", [0, 0, 0])], "words")) == []
    assert pieces(stacked([], [], "words")) == []


@given(st.lists(st.lists(st.integers(0, 10**12), min_size=3, max_size=3), min_size=1, max_size=6))
def test_no_column_stands_out_of_the_picture_and_none_vanishes(values: list[list[int]]) -> None:
    drawn = pieces(stacked(DAYS, [Series("ones", "good", one) for one in values], "words"))
    assert len(drawn) == sum(1 for one in values for value in one if value)
    for _tone, _left, top, height in drawn:
        assert top >= -0.05
        assert 0 < height <= 100
        assert top + height <= 100.05


@pytest.mark.parametrize("drawn", [stacked(DAYS, [Series("<b>", "good", [1, 2, 3])], '"><script>'), bars([1], "<b>")])
def test_words_are_escaped(drawn: str) -> None:
    assert "<script>" not in drawn
    assert "<b>" not in drawn


@pytest.mark.parametrize(
    ("value", "most", "width"), [(5, 10, "50.0"), (10, 10, "100.0"), (1, 10_000, "1.0"), (0, 0, "1.0")]
)
def test_share_is_as_long_as_its_part(value: int, most: int, width: str) -> None:
    assert f'width="{width}"' in share(value, most)
