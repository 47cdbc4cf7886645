"""How the console shows things: times with their zone, states as words, links, columns of lists and pages."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin import counted
from installations.admin.text import Text, visible
from installations.models import Installation

Column = Callable[[Any], Any]

_LOCKED: Final = _("locked")
NOTHING: Final = "–"  # what a cell says that has nothing to say

_STATUS_TONE = {
    Installation.Status.PENDING_APPROVAL: "wait",
    Installation.Status.ACTIVE: "good",
    Installation.Status.SUSPENDED: "bad",
    Installation.Status.UNINSTALLED: "gone",
}


def when(moment: datetime | None, empty: Text = NOTHING) -> SafeString:
    """Return a time to the minute in the operator's zone; to the second in UTC where it is pointed at or has the focus.

    A screen reader says both, since what a stylesheet shows is not said by all of them.
    """
    if moment is None:
        return format_html("{}", empty)
    exact = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    day, time, zone = _in_zone(moment)
    return format_html(
        '<time datetime="{}" data-exact="{}" aria-label="{}" tabindex="0">'
        '<span class="nowrap">{}</span> <span class="nowrap">{} {}</span></time>',
        moment.astimezone(UTC).isoformat(timespec="seconds"),
        exact,
        f"{day} {time} {zone}, {exact}",
        day,
        time,
        zone,
    )


def when_text(moment: datetime) -> str:
    """Return a time as `when` does, for a sentence."""
    return " ".join(_in_zone(moment))


def _in_zone(moment: datetime) -> tuple[str, str, str]:
    """Return day, time and zone: by its letters, or by its distance from UTC where it has none."""
    try:
        local = timezone.localtime(moment)
    except OverflowError:  # a page of a portal names any expiry, the last second of the calendar too
        local = moment.astimezone(UTC)
    name = local.tzname() or ""
    return f"{local:%Y-%m-%d}", f"{local:%H:%M}", name if name.isalpha() else f"UTC{local.isoformat()[-6:]}"


def day_text(value: date | None) -> SafeString:
    """Return a day as it is written everywhere here, in one piece."""
    return format_html('<span class="nowrap">{}</span>', NOTHING if value is None else value.isoformat())


def age(span: timedelta) -> str:
    """Return a span in its largest unit: `3 days`, `1 hour`, `less than a minute`."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return gettext("less than a minute")
    if minutes < 60:
        return counted.minutes(minutes)
    if minutes < 48 * 60:
        return counted.hours(minutes // 60)
    return counted.days(minutes // (24 * 60))


def badge(word: Text, tone: str) -> SafeString:
    """Return a word with a tone; the word alone says all, the colour repeats it."""
    return format_html('<span class="badge badge-{}">{}</span>', tone, word)


def status_badge(installation: Installation) -> SafeString:
    status = Installation.Status(installation.status)
    return badge(str(status.label), _STATUS_TONE[status])


def lock_badge(word: Text = _LOCKED) -> SafeString:
    return badge(word, "bad")


def locks_of(installation: Installation) -> list[tuple[str, datetime]]:
    """Return what locks an installation, each with since when: its portal, its application, itself."""
    rows = (
        (gettext("portal locked"), installation.portal.locked_at),
        (gettext("application locked"), installation.application.locked_at),
        (gettext("installation locked"), installation.locked_at),
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
    generation = (
        gettext(", generation %(generation)s") % {"generation": installation.generation}
        if installation.generation > 1
        else ""
    )
    return gettext("%(application)s on %(domain)s%(generation)s") % {
        "application": installation.application.name,
        "domain": installation.portal.domain,
        "generation": generation,
    }


def link(row: Model, label: object = None) -> SafeString:
    if label is None:
        label = installation_name(row) if isinstance(row, Installation) else row
    return format_html('<a href="{}">{}</a>', change_url(row), visible(label))


def mono(text: object) -> SafeString:
    return format_html('<code class="id">{}</code>', visible(text, ascii_only=True))


def column(name: str, label: Text, value: Column, *, order: str | None = None) -> Column:
    """Return a column of a list or page that shows `value(row)`."""

    def shown(row: Any) -> Any:
        return value(row)

    shown.__name__ = name
    decorated: Column = admin.display(description=label, ordering=order)(shown)
    return decorated


def at(field: str, label: Text, *, empty: Text = NOTHING) -> Column:
    """Return the column of a time."""
    return column(field, label, lambda row: when(getattr(row, field), empty), order=field)


def to(path: str, label: Text, *, order: str | None = None) -> Column:
    """Return a column that links to the row behind a dotted path."""

    def value(row: Any) -> Any:
        for name in path.split("."):
            row = getattr(row, name)
        return NOTHING if row is None else link(row)

    return column(path.replace(".", "_"), label, value, order=order)


def text_of(field: str, label: Text, *, code: bool = False) -> Column:
    """Return the column of a text that a stranger wrote."""
    return column(field, label, lambda row: visible(getattr(row, field) or NOTHING, ascii_only=code), order=field)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that belong to the object of a page."""

    title: Text
    columns: Sequence[Text]
    rows: Sequence[Sequence[Any]]
    empty: Text
    note: Text = ""
    more_url: str = ""
    more: Text = ""
    kind: str = ""  # a class of the stylesheet

    @property
    def labelled_rows(self) -> list[list[tuple[Text, Any]]]:
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]
