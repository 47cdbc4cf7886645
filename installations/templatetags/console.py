"""Filters of the console's templates."""

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

from installations.admin import display, text

register = template.Library()


@register.filter
def visible(value: object) -> SafeString:
    """Show a name or label with every deceptive character as its escape."""
    return text.visible(value)


@register.filter
def code(value: object) -> SafeString:
    """Show a scope or id: every character outside ASCII as its escape."""
    return text.visible(value, ascii_only=True)


@register.filter
def prose(value: object) -> SafeString:
    """Show a text of the catalogue with what it has between backticks as code."""
    return text.prose(value)


@register.filter
def utc(value: datetime | None) -> SafeString:
    """Show a time in UTC with the zone named."""
    return display.utc(value)
