"""Rates: how they are written, and that counting them never fails a request."""

import pytest
import time_machine

from installations.errors import RateLimited
from tokens.rates import parse_rate, take


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("0", None),
        (" 0 ", None),
        ("1/s", (1, 1)),
        ("120/m", (120, 60)),
        ("120/min", (120, 60)),
        ("7/Hour", (7, 3600)),
        (" 999999999/day ", (999999999, 86400)),
    ],
)
def test_rate_is_a_number_of_uses_in_a_unit_of_time(text: str, rate: tuple[int, int] | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "120", "0/m", "-1/m", "1.5/m", "120/", "120/x", "/m", "9999999999/m", "off"])
def test_mistyped_rate_does_not_mean_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(text)


@time_machine.travel("2026-04-01T10:15:20Z", tick=False)
def test_use_beyond_the_rate_is_told_when_the_window_ends() -> None:
    take("2/m", "call", "1")
    take("2/m", "call", "1")

    with pytest.raises(RateLimited) as refused:
        take("2/m", "call", "1")

    assert refused.value.retry_after == 40
    take("2/m", "call", "2")


def test_next_window_counts_anew() -> None:
    with time_machine.travel("2026-04-01T10:15:59Z", tick=False):
        take("1/m", "call", "1")
    with time_machine.travel("2026-04-01T10:16:00Z", tick=False):
        take("1/m", "call", "1")
        with pytest.raises(RateLimited):
            take("1/m", "call", "1")
