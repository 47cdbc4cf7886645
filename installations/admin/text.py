"""Text that strangers wrote, as HTML: escaped, and each deceptive character marked as such."""

import re
import unicodedata
from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from installations import deception
from installations.deception import parts
from installations.saying import sentences, translated

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as Text  # a text that may be translated only where it is shown
else:
    Text = object

_LONGEST_WORD = 40
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})

__all__ = ["Text", "prose", "sentences", "translated", "visible", "visible_text", "whole_days"]


def visible_text(text: object, *, ascii_only: bool = False) -> str:
    """Return the text in the language of the page, each deceptive character as an escape."""
    return deception.visible_text(translated(text), ascii_only=ascii_only)


def visible(text: object, *, ascii_only: bool = False) -> SafeString:
    """Return the text escaped for HTML, each deceptive character as a marked `\\u202E`.

    With `ascii_only`, for codes, so does every character outside ASCII, and white space that a reader overlooks.
    """
    words = translated(text)
    pieces = list(parts(words, ascii_only=ascii_only))
    shown = format_html_join(
        "",
        "{}",
        (
            (format_html('<span class="odd" title="{}">{}</span>', gettext("character that could deceive"), part),)
            if odd
            else (part,)
            for part, odd in pieces
        ),
    )
    # A column is as wide as its longest word, unless it may be broken anywhere.
    if any(len(word) > _LONGEST_WORD for word in words.split()):
        shown = format_html('<span class="long">{}</span>', shown)
    # What is written from right to left must not move what stands beside it, such as a number or a bracket.
    if any(_is_right_to_left(part) for part, odd in pieces if not odd):
        return format_html('<bdi dir="ltr">{}</bdi>', shown)
    return shown


def _is_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text)


def whole_days(text: object) -> SafeString:
    """Return a sentence escaped for HTML, each day in it in one piece: a line ends after any hyphen."""
    parts = _DAY.split(translated(text))
    pieces = (format_html('<span class="nowrap">{}</span>', part) if index % 2 else part
              for index, part in enumerate(parts))  # fmt: skip
    return format_html_join("", "{}", ((piece,) for piece in pieces))


def prose(text: object) -> SafeString:
    """Return a text of the catalogue with what it has between backticks as code."""
    return format_html_join(
        "",
        "{}",
        (
            (format_html("<code>{}</code>", visible(part)) if index % 2 else visible(part),)
            for index, part in enumerate(translated(text).split("`"))
        ),
    )
