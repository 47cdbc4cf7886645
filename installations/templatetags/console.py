"""Filters of the console's templates."""

from datetime import date, datetime

from django import template
from django.utils.safestring import SafeString

from installations import review_rules
from installations.admin import display, text
from installations.four_columns import utc_today

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


@register.filter
def day(value: date | None) -> SafeString:
    """Show a day as it is written everywhere here."""
    return display.day_text(value)


@register.filter
def overdue(value: date | None) -> bool:
    """Say whether a review should have been made before today."""
    return value is not None and review_rules.is_overdue(value, utc_today())
