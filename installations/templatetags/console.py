"""Filters and tags of the console's templates."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django import template
from django.contrib.messages.storage.base import Message
from django.template import Context
from django.utils.safestring import SafeString

from installations import review_rules
from installations.admin import display, explaining, text
from installations.four_columns import utc_today

register = template.Library()


@register.filter
def visible(value: object) -> SafeString:
    """Show a name or label with every deceptive character as its escape."""
    return text.visible(value)


@register.filter
def told(value: Message) -> SafeString:
    """Show a message: what was made as HTML, for a link in it, as it is; everything else like a name."""
    return value.message if isinstance(value.message, SafeString) else text.visible(value)


@register.filter
def code(value: object) -> SafeString:
    """Show a scope or id: every character outside ASCII as its escape."""
    return text.visible(value, ascii_only=True)


@register.filter
def prose(value: object) -> SafeString:
    """Show a text of the catalogue with what it has between backticks as code."""
    return text.prose(value)


@register.filter
def whole_days(value: object) -> SafeString:
    """Show a sentence in which no line ends inside a day."""
    return text.whole_days(value)


@register.filter
def when(value: datetime | None) -> SafeString:
    """Show a time in the operator's zone, with the exact UTC at hand."""
    return display.when(value)


@register.filter
def day(value: date | None) -> SafeString:
    """Show a day as it is written everywhere here."""
    return display.day_text(value)


@register.filter
def overdue(value: date | None) -> bool:
    """Say whether a review should have been made before today."""
    return value is not None and review_rules.is_overdue(value, utc_today())


@register.simple_tag(takes_context=True)
def term(context: Context, key: str, words: object = None) -> SafeString:
    """Show a word of the glossary, or other words for it, with what it means. A key that it has not is an error."""
    return explaining.explained(context.get("request"), key, words)


@register.simple_tag(takes_context=True)
def heading(context: Context, words: object) -> SafeString:
    """Show a heading, with what it means where the glossary says that."""
    return explaining.explained_heading(context.get("request"), words)


@register.inclusion_tag("admin/console/words_here.html", takes_context=True)
def words_here(context: Context, *keys: str, all_of: Iterable[str] = ()) -> dict[str, Any]:
    """Show a line of the terms that sentences of the page use, without those that are explained above it."""
    return {"words": explaining.explained_also(context.get("request"), (*keys, *all_of))}
