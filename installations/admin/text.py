"""Text that strangers wrote, as HTML: escaped, and each deceptive character marked as such."""

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from installations.deception import parts, visible_text

__all__ = ["prose", "visible", "visible_text"]


def visible(text: object, *, ascii_only: bool = False) -> SafeString:
    """Return the text escaped for HTML, each deceptive character as a marked `\\u202E`.

    With `ascii_only`, for codes, every character outside ASCII counts as deceptive.
    """
    pieces = list(parts(str(text), ascii_only=ascii_only))
    if not any(odd for _part, odd in pieces):
        return format_html("{}", str(text))
    return format_html_join(
        "",
        "{}",
        (
            (format_html('<span class="odd" title="character that could deceive">{}</span>', part) if odd else part,)
            for part, odd in pieces
        ),
    )


def prose(text: object) -> SafeString:
    """Return a text of ours with what it has between backticks as code."""
    return format_html_join(
        "",
        "{}",
        (
            (format_html("<code>{}</code>", part) if index % 2 else part,)
            for index, part in enumerate(str(text).split("`"))
        ),
    )
