"""Words that explain themselves where they stand, once on each page."""

from collections.abc import Iterable

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from installations import glossary
from installations.admin.text import prose

_EXPLAINED = "_explained_terms"


def explained(request: HttpRequest | None, key: str, words: object = None) -> SafeString:
    """Return the words, or the term's own, as a button that shows its meaning; plainly where the page has it already.

    The button opens a popover without any script, and describes itself to a screen reader without being pressed.
    """
    term = glossary.term(key)
    shown = format_html("{}", term.word if words is None else words)
    seen = _explained_on(request)
    if key in seen:
        return shown
    seen.add(key)
    return format_html(
        '<span class="term"><button type="button" popovertarget="term-{key}" popovertargetaction="show" '
        'aria-describedby="term-{key}">{shown}</button>'
        '<span popover id="term-{key}" class="meaning">{meaning}</span></span>',
        key=key,
        shown=shown,
        meaning=prose(term.meaning),
    )


def explained_also(request: HttpRequest | None, keys: Iterable[str]) -> list[SafeString]:
    """Return the words of terms that nothing on the page has explained so far."""
    seen = _explained_on(request)
    return [explained(request, key) for key in keys if key not in seen]


def explained_heading(request: HttpRequest | None, heading: object) -> SafeString:
    """Return a heading of the console, explained if a term of the glossary is what it is about."""
    key = glossary.key_of_heading(heading)
    return format_html("{}", heading) if key is None else explained(request, key, heading)


def _explained_on(request: HttpRequest | None) -> set[str]:
    # On the request, since included templates share nothing else: a page that is shown anew begins anew.
    found: set[str] = set() if request is None else request.__dict__.setdefault(_EXPLAINED, set())
    return found
