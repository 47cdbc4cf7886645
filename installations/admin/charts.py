"""Small charts as SVG, readable without them: every one carries its numbers in words."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

_BAR, _GAP, _HEIGHT = 3, 1, 24
_TALL, _STEP, _WIDE = 100, 10, 7  # of the big ones, in units that the page stretches


@dataclass(frozen=True, slots=True)
class Series:
    """One number a day, oldest first; None: that day was not counted."""

    name: str
    tone: str  # good, wait, bad, gone or plain
    values: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture with its legend and the table behind it."""

    title: str
    about: str
    empty: str
    series: Sequence[Series]
    days: Sequence[date]
    unit: Callable[[int], str]  # says a number of what is counted

    @property
    def shown(self) -> Sequence[Series]:
        """The series of which there is anything."""
        return [one for one in self.series if any(one.values)]

    @property
    def picture(self) -> SafeString:
        return stacked(self.days, self.series, f"{self.title}: {self.about}")

    @property
    def most(self) -> str:
        """The highest column, which is as high as the picture."""
        totals = [sum(filter(None, numbers)) for numbers in zip(*(one.values for one in self.series), strict=True)]
        return self.unit(max(totals, default=0))

    @property
    def rows(self) -> Iterator[tuple[date, Sequence[int | None]]]:
        """The numbers of each day, the last one first, without the days of which there are none."""
        for day, *values in reversed(list(zip(self.days, *(one.values for one in self.series), strict=True))):
            if any(values):
                yield day, values

    @property
    def has_any(self) -> bool:
        return bool(self.shown)


def summed(series: Sequence[Series], days: int) -> str:
    """Return how many there were of each series in all these days, in words."""
    parts = ", ".join(f"{sum(filter(None, one.values)):,} {one.name}" for one in series if any(one.values))
    return gettext("%(value)s in %(days)s days.") % {"value": parts or gettext("none"), "days": days}


def bars(values: Sequence[int], words: str) -> SafeString:
    """Return one bar for each value, oldest first; what is not nothing is never too low to be seen."""
    most = max(values, default=0) or 1
    drawn = [(number * (_BAR + _GAP), max(1, round(value * _HEIGHT / most)))
             for number, value in enumerate(values) if value]  # fmt: skip
    return format_html(
        '<svg class="bars" role="img" aria-label="{}" width="{}" height="{}"><title>{}</title>{}</svg>',
        words,
        len(values) * (_BAR + _GAP),
        _HEIGHT,
        words,
        format_html_join(
            "",
            '<rect x="{}" y="{}" width="{}" height="{}"></rect>',
            ((left, _HEIGHT - height, _BAR, height) for left, height in drawn),
        ),
    )


def stacked(days: Sequence[date], series: Sequence[Series], words: str) -> SafeString:
    """Return one column for each day, the series upon each other from the ground up, as high as the page makes it.

    The highest column fills the picture; what is not nothing is never too low to be seen. `words` say what there is to
    see; the numbers belong in a table beside it.
    """
    columns = list(zip(*(one.values for one in series), strict=True))
    most = max((sum(filter(None, values)) for values in columns), default=0) or 1
    return format_html(
        '<svg class="stacked" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>',
        words,
        len(days) * _STEP,
        _TALL,
        format_html_join(
            "",
            "<g><title>{}</title>{}</g>",
            (
                (_said(day, series, values), _column(number * _STEP, series, values, most))
                for number, (day, values) in enumerate(zip(days, columns, strict=True))
            ),
        ),
    )


def _said(day: date, series: Sequence[Series], values: Sequence[int | None]) -> str:
    if None in values:
        return gettext("%(day)s: not counted") % {"day": day.isoformat()}
    numbers = [f"{value:,} {one.name}" for one, value in zip(series, values, strict=True) if value]
    return f"{day.isoformat()}: {', '.join(numbers) or gettext('none')}"


def _column(left: int, series: Sequence[Series], values: Sequence[int | None], most: int) -> SafeString:
    return format_html_join("", '<rect class="{}" x="{}" y="{}" width="{}" height="{}"></rect>', (
        ("hover", left, 0, _STEP, _TALL),
        *((f"series-{tone}", left, top, _WIDE, height) for tone, top, height in _pieces(series, values, most)),
    ))  # fmt: skip


def _pieces(series: Sequence[Series], values: Sequence[int | None], most: int) -> Iterator[tuple[str, float, float]]:
    """Give tone, top and height of each piece of a column. The pieces never stand out of the picture."""
    seen = [(one.tone, value) for one, value in zip(series, values, strict=True) if value]
    heights = [max(1.5, value * _TALL / most) for _tone, value in seen]
    shrink = min(1.0, _TALL / sum(heights)) if heights else 1.0
    ground = float(_TALL)
    for (tone, _value), height in zip(seen, heights, strict=True):
        ground -= height * shrink
        yield tone, max(0.0, round(ground, 2)), round(height * shrink, 2)


def share(value: int, most: int) -> SafeString:
    """Return one lying bar, as long as the value is of the most. Its number has to stand beside it."""
    return format_html(
        '<svg class="share" aria-hidden="true" viewBox="0 0 100 10" preserveAspectRatio="none">'
        '<rect class="series-plain" x="0" y="0" width="{}" height="10"></rect></svg>',
        max(1.0, round(value * 100 / (most or 1), 1)),
    )
