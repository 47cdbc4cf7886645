"""How the console shows things: times with their zone, states as words, links, columns of lists and pages."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from installations.admin.text import visible
from installations.models import Installation

Column = Callable[[Any], Any]

_STATUS_TONE = {
    Installation.Status.PENDING_APPROVAL: "wait",
    Installation.Status.ACTIVE: "good",
    Installation.Status.SUSPENDED: "bad",
    Installation.Status.UNINSTALLED: "gone",
}


def utc(moment: datetime | None, empty: str = "–") -> SafeString:
    """Return a time to the minute with its zone; the seconds are in the tooltip."""
    if moment is None:
        return format_html("{}", empty)
    zoned = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC"><span class="nowrap">{}</span> <span class="nowrap">{} UTC</span></time>',
        zoned.isoformat(timespec="seconds"),
        f"{zoned:%Y-%m-%d %H:%M:%S}",
        f"{zoned:%Y-%m-%d}",
        f"{zoned:%H:%M}",
    )


def day_text(value: date | None) -> SafeString:
    """Return a day as it is written everywhere here, in one piece."""
    return format_html('<span class="nowrap">{}</span>', "–" if value is None else value.isoformat())


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def age(span: timedelta) -> str:
    """Return a span in its largest unit: `3 days`, `1 hour`, `less than a minute`."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return plural(minutes, "minute")
    if minutes < 48 * 60:
        return plural(minutes // 60, "hour")
    return plural(minutes // (24 * 60), "day")


def badge(word: str, tone: str) -> SafeString:
    """Return a word with a tone; the word alone says all, the colour repeats it."""
    return format_html('<span class="badge badge-{}">{}</span>', tone, word)


def status_badge(installation: Installation) -> SafeString:
    status = Installation.Status(installation.status)
    return badge(str(status.label), _STATUS_TONE[status])


def lock_badge(word: str = "locked") -> SafeString:
    return badge(word, "bad")


def locks_of(installation: Installation) -> list[tuple[str, datetime]]:
    """Return what locks an installation, each with since when: its portal, its application, itself."""
    rows = (
        ("portal locked", installation.portal.locked_at),
        ("application locked", installation.application.locked_at),
        ("installation locked", installation.locked_at),
    )
    return [(word, since) for word, since in rows if since is not None]


def join(parts: Iterable[Any], separator: str = " ") -> SafeString:
    return format_html_join(separator, "{}", ((part,) for part in parts))


def change_url(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def list_url(model: type[Model], query: str = "") -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{query}" if query else url


def installation_name(installation: Installation) -> str:
    """Return how an installation is called wherever it is named."""
    generation = f", generation {installation.generation}" if installation.generation > 1 else ""
    return f"{installation.application.name} on {installation.portal.domain}{generation}"


def link(row: Model, label: object = None) -> SafeString:
    if label is None:
        label = installation_name(row) if isinstance(row, Installation) else row
    return format_html('<a href="{}">{}</a>', change_url(row), visible(label))


def mono(text: object) -> SafeString:
    return format_html('<code class="id">{}</code>', visible(text, ascii_only=True))


def column(name: str, label: str, value: Column, *, order: str | None = None) -> Column:
    """Return a column of a list or page that shows `value(row)`."""

    def shown(row: Any) -> Any:
        return value(row)

    shown.__name__ = name
    decorated: Column = admin.display(description=label, ordering=order)(shown)
    return decorated


def at(field: str, label: str, *, empty: str = "–") -> Column:
    """Return the column of a time."""
    return column(field, label, lambda row: utc(getattr(row, field), empty), order=field)


def to(path: str, label: str, *, order: str | None = None) -> Column:
    """Return a column that links to the row behind a dotted path."""

    def value(row: Any) -> Any:
        for name in path.split("."):
            row = getattr(row, name)
        return "–" if row is None else link(row)

    return column(path.replace(".", "_"), label, value, order=order)


def text_of(field: str, label: str, *, code: bool = False) -> Column:
    """Return the column of a text that a stranger wrote."""
    return column(field, label, lambda row: visible(getattr(row, field) or "–", ascii_only=code), order=field)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that belong to the object of a page."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    empty: str
    note: str = ""
    more_url: str = ""
    more: str = ""
    kind: str = ""  # a class of the stylesheet

    @property
    def labelled_rows(self) -> list[list[tuple[str, Any]]]:
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]
