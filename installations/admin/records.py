"""Records that are only read: approved permissions and evidence."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import at, badge, column, day_text, mono, text_of, to, when
from installations.admin.searching import by_installation, by_scope
from installations.admin.text import visible
from installations.models import ApprovedPermission, Evidence


class InForceFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("in_force", gettext("in force")), ("withdrawn", gettext("withdrawn"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "in_force":
            return queryset.filter(withdrawn_at__isnull=True)
        return queryset.filter(withdrawn_at__isnull=False) if self.value() == "withdrawn" else queryset


def approval_badge(row: ApprovedPermission) -> Any:
    return badge(gettext("withdrawn"), "gone") if row.withdrawn_at else badge(gettext("in force"), "good")


@admin.register(ApprovedPermission)
class ApprovedPermissionAdmin(ReadOnlyAdmin):
    list_display = (
        column("scope", _("scope"), lambda row: mono(row), order="code"),
        to("installation", _("installation")),
        column("state", _("state"), approval_badge, order="withdrawn_at"),
        column("decided", _("decided"), lambda row: visible(row.decided_in_words), order="approved_by"),
        at("approved_at", _("approved")),
        at("withdrawn_at", _("withdrawn")),
    )
    list_filter = (InForceFilter, "level", "source")
    indexed_filters = frozenset({"source__exact"})
    allowed_lookups = frozenset({"level__exact", "source__exact", "installation__id__exact"})
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("code", "installation__portal__domain", "installation__application__app_id")
    search_ways = (by_installation("installation"), by_scope)
    search_help_text = _("Search by the beginning of a portal's domain, by application or by scope")
    ordering = ("-approved_at", "-pk")
    can_be_exported = True
    facts = (
        to("installation", _("installation")),
        column("scope", _("scope"), lambda row: mono(row)),
        column("covers", _("covered when it was approved"), lambda row: _covers(row)),
        to("manifest", _("asked for by manifest")),
        column("decided", _("approved"), lambda row: visible(row.decided_in_words)),
        "source",
        at("approved_at", _("approved at")),
        column("reason", _("reason"), lambda row: visible(row.reason)),
        column("review_by", _("review by"), lambda row: day_text(row.review_by)),
        column("reviewed", _("last review"), lambda row: _reviewed(row)),
        at("withdrawn_at", _("withdrawn"), empty=_("in force")),
        text_of("withdrawn_by", _("withdrawn by")),
        column("withdrawn_why", _("why withdrawn"), lambda row: visible(row.withdrawn_why or "–")),
    )
    words_here = ("scope", "withdraw", "swallow")
    intro = _("Every scope that was approved, in force or withdrawn. Approve and withdraw on the installation's page.")
    empty_text = _("Nothing was approved yet. Open a pending installation and decide about its scopes.")

    def badges(self, row: ApprovedPermission) -> Sequence[Any]:
        return [approval_badge(row)]


def _reviewed(row: ApprovedPermission) -> Any:
    if row.reviewed_at is None:
        return "–"
    return format_html(
        gettext("{when} by {operator}: {why}"),
        when=when(row.reviewed_at),
        operator=visible(row.reviewed_by),
        why=visible(row.reviewed_why),
    )


def _covers(row: ApprovedPermission) -> Any:
    words = []
    for rule in row.as_approval().covers:
        actions = gettext("every action") if rule.actions == "*" else ", ".join(rule.actions)
        model = gettext("all models") if rule.model == "*" else rule.model
        words.append(f"{rule.module}: {model}, {actions}{gettext(', own record only') if rule.own_only else ''}")
    return "; ".join(words)


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    list_display = (
        at("observed_at", _("observed")),
        "kind",
        to("installation", _("installation")),
        text_of("detail", _("answer")),
        column("point", _("integration point"), lambda row: visible(row.integration_point or "–")),
    )
    list_display_links = ("kind",)
    list_filter = ("kind",)
    indexed_filters = frozenset({"kind__exact"})
    allowed_lookups = frozenset({"kind__exact", "installation__id__exact"})
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("installation__portal__domain", "installation__application__app_id")
    search_ways = (by_installation("installation"),)
    search_help_text = _("Search by the beginning of a portal's domain, or by application")
    ordering = ("-observed_at", "-pk")
    can_be_exported = True
    facts = (
        to("installation", _("installation")),
        "kind",
        text_of("detail", _("answer")),
        column("point", _("integration point"), lambda row: visible(row.integration_point or "–")),
        at("observed_at", _("observed")),
        at("period_start", _("once in the hours from"), empty=_("a single observation")),
    )
    words_here = ("launch", "sign-of-life", "probe", "sweep")
    intro = _("What shows that an installation lives. Flowlu sends no lifecycle events, so this is all there is.")
    empty_text = _("Nothing was observed yet. A launch of a registered application leaves the first evidence.")
