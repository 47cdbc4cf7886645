"""Records that are only read: approved permissions, evidence, the audit trail."""

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, mono, text_of, to
from installations.admin.text import visible
from installations.models import ApprovedPermission, AuditEvent, Evidence, Installation


class InForceFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("in_force", "in force"), ("withdrawn", "withdrawn")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "in_force":
            return queryset.filter(withdrawn_at__isnull=True)
        return queryset.filter(withdrawn_at__isnull=False) if self.value() == "withdrawn" else queryset


def _state(row: ApprovedPermission) -> Any:
    return badge("withdrawn", "gone") if row.withdrawn_at else badge("in force", "good")


@admin.register(ApprovedPermission)
class ApprovedPermissionAdmin(ReadOnlyAdmin):
    list_display = (
        column("scope", "scope", lambda row: mono(row), order="code"),
        to("installation", "installation"),
        column("state", "state", _state, order="withdrawn_at"),
        text_of("approved_by", "approved by"),
        at("approved_at", "approved"),
        at("withdrawn_at", "withdrawn"),
    )
    list_filter = (InForceFilter, "level")
    allowed_lookups = frozenset({"level__exact", "installation__id__exact"})
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("code", "approved_by", "installation__portal__domain", "installation__application__app_id")
    ordering = ("-approved_at", "-pk")
    facts = (
        to("installation", "installation"),
        column("scope", "scope", lambda row: mono(row)),
        column("covers", "covered when it was approved", lambda row: _covers(row)),
        to("manifest", "asked for by manifest"),
        "source",
        text_of("approved_by", "approved by"),
        at("approved_at", "approved"),
        column("reason", "reason", lambda row: visible(row.reason)),
        at("withdrawn_at", "withdrawn", empty="in force"),
        text_of("withdrawn_by", "withdrawn by"),
        column("withdrawn_why", "why withdrawn", lambda row: visible(row.withdrawn_why or "–")),
    )
    intro = "Every scope that was approved, in force or withdrawn. Approve and withdraw on the installation's page."
    empty_text = "Nothing was approved yet. Open a pending installation and decide about its scopes."

    def badges(self, row: ApprovedPermission) -> Sequence[Any]:
        return [_state(row)]


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
        column("point", "integration point", lambda row: visible(row.integration_point or "–")),
        at("observed_at", "observed"),
    )
    intro = "What shows that an installation lives. Flowlu sends no lifecycle events, so this is all there is."
    empty_text = "Nothing was observed yet. A launch of a registered application leaves the first evidence."


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = (
        column("number", "no.", lambda row: row.sequence, order="sequence"),
        at("occurred_at", "when"),
        column("verb", "what", lambda row: row.verb, order="verb"),
        column("target", "target", lambda row: target_words(row)),
        column("actor", "who", lambda row: actor_words(row), order="actor_id"),
        column("reason", "why", lambda row: visible(row.reason or "–")),
    )
    list_filter = ("verb", "actor_kind", "via")
    allowed_lookups = frozenset(
        {"verb", "actor_kind", "via", "target_kind", "target_id", "installation_id", "actor_id"}
    )
    search_fields = ("target_id", "actor_id", "actor_name")
    search_help_text = "Search by target or by who"
    ordering = ("-sequence",)
    sortable_by = ("number",)
    facts = (
        "sequence",
        at("occurred_at", "when"),
        "verb",
        column("target", "target", lambda row: target_words(row)),
        column("installation", "installation", lambda row: _installation(row)),
        column("actor", "who", lambda row: actor_words(row)),
        column("via", "through", lambda row: row.via),
        column("reason", "why", lambda row: visible(row.reason or "–")),
        column("details", "details", lambda row: _details(row)),
        column("chain", "chain", lambda row: f"number {row.sequence}, under audit key {row.key_id}"),
    )
    intro = "What was done, by whom, to what and why. No row is ever changed or removed; each is chained to the last."
    empty_text = "Nothing was recorded yet. Every act of an operator and every stored token leaves a row here."

    def tables(self, request: HttpRequest, row: AuditEvent) -> Sequence[Table]:
        return ()


def target_words(event: AuditEvent) -> Any:
    kind = {"portaluser": "portal user", "portal_user": "portal user"}.get(event.target_kind, event.target_kind)
    number = "#" if event.target_id.isdigit() else ""
    return format_html("{} {}{}", kind, number, visible(event.target_id, ascii_only=True))


def actor_words(event: AuditEvent) -> Any:
    kind = event.actor_kind.replace("_", " ")
    return format_html("{} {}", kind, visible(event.actor_name or event.actor_id, ascii_only=True))


def _installation(event: AuditEvent) -> Any:
    if event.installation_id is None:
        return "–"
    found = Installation.objects.select_related("portal", "application").filter(pk=event.installation_id).first()
    return link(found) if found else f"#{event.installation_id}"


def _details(event: AuditEvent) -> Any:
    if not event.details:
        return "–"
    text = json.dumps(event.details, indent=2, ensure_ascii=False, sort_keys=True)
    return format_html('<pre class="document" tabindex="0">{}</pre>', visible(text))
