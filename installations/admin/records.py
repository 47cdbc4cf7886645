"""Records that are only read: approved permissions and evidence."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import at, badge, column, day_text, mono, text_of, to, utc
from installations.admin.text import visible
from installations.models import ApprovedPermission, Evidence


class InForceFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("in_force", "in force"), ("withdrawn", "withdrawn")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "in_force":
            return queryset.filter(withdrawn_at__isnull=True)
        return queryset.filter(withdrawn_at__isnull=False) if self.value() == "withdrawn" else queryset


def approval_badge(row: ApprovedPermission) -> Any:
    return badge("withdrawn", "gone") if row.withdrawn_at else badge("in force", "good")


@admin.register(ApprovedPermission)
class ApprovedPermissionAdmin(ReadOnlyAdmin):
    list_display = (
        column("scope", "scope", lambda row: mono(row), order="code"),
        to("installation", "installation"),
        column("state", "state", approval_badge, order="withdrawn_at"),
        column("decided", "decided", lambda row: visible(row.decided_in_words), order="approved_by"),
        at("approved_at", "approved"),
        at("withdrawn_at", "withdrawn"),
    )
    list_filter = (InForceFilter, "level", "source")
    allowed_lookups = frozenset({"level__exact", "source__exact", "installation__id__exact"})
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("code", "approved_by", "installation__portal__domain", "installation__application__app_id")
    ordering = ("-approved_at", "-pk")
    facts = (
        to("installation", "installation"),
        column("scope", "scope", lambda row: mono(row)),
        column("covers", "covered when it was approved", lambda row: _covers(row)),
        to("manifest", "asked for by manifest"),
        column("decided", "approved", lambda row: visible(row.decided_in_words)),
        "source",
        at("approved_at", "approved at"),
        column("reason", "reason", lambda row: visible(row.reason)),
        column("review_by", "review by", lambda row: day_text(row.review_by)),
        column("reviewed", "last review", lambda row: _reviewed(row)),
        at("withdrawn_at", "withdrawn", empty="in force"),
        text_of("withdrawn_by", "withdrawn by"),
        column("withdrawn_why", "why withdrawn", lambda row: visible(row.withdrawn_why or "–")),
    )
    intro = "Every scope that was approved, in force or withdrawn. Approve and withdraw on the installation's page."
    empty_text = "Nothing was approved yet. Open a pending installation and decide about its scopes."

    def badges(self, row: ApprovedPermission) -> Sequence[Any]:
        return [approval_badge(row)]


def _reviewed(row: ApprovedPermission) -> Any:
    if row.reviewed_at is None:
        return "–"
    return format_html("{} by {}: {}", utc(row.reviewed_at), visible(row.reviewed_by), visible(row.reviewed_why))


def _covers(row: ApprovedPermission) -> Any:
    words = []
    for rule in row.as_approval().covers:
        actions = "every action" if rule.actions == "*" else ", ".join(rule.actions)
        model = "all models" if rule.model == "*" else rule.model
        words.append(f"{rule.module}: {model}, {actions}{', own record only' if rule.own_only else ''}")
    return "; ".join(words)


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    list_display = (
        at("observed_at", "observed"),
        "kind",
        to("installation", "installation"),
        text_of("detail", "answer"),
        column("point", "integration point", lambda row: visible(row.integration_point or "–")),
    )
    list_display_links = ("kind",)
    list_filter = ("kind",)
    allowed_lookups = frozenset({"kind__exact", "installation__id__exact"})
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("installation__portal__domain", "installation__application__app_id")
    ordering = ("-observed_at", "-pk")
    facts = (
        to("installation", "installation"),
        "kind",
        text_of("detail", "answer"),
        column("point", "integration point", lambda row: visible(row.integration_point or "–")),
        at("observed_at", "observed"),
        at("period_start", "once in the hours from", empty="a single observation"),
    )
    intro = "What shows that an installation lives. Flowlu sends no lifecycle events, so this is all there is."
    empty_text = "Nothing was observed yet. A launch of a registered application leaves the first evidence."
