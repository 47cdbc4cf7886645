"""Small charts as SVG, readable without them: every one carries its numbers in words."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_BAR, _GAP, _HEIGHT = 3, 1, 24


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
