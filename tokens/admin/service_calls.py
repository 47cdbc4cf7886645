"""The list of what backend code called. Rows are written by the calls themselves and only read here."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import at, column, link
from installations.admin.lists import NamedFilter
from installations.admin.text import visible
from tokens.admin.service_tables import acted_as, client_words, outcome_badge, purpose_words, scope_words
from tokens.models import ServiceCall

_RELATED = (
    "service_client",
    "purpose",
    "installation__portal",
    "installation__application",
    "portal_user__portal",
)


class OutcomeFilter(admin.SimpleListFilter):
    title = "outcome"
    parameter_name = "result"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("ok", "ok"), ("refused", "refused or failed")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "ok":
            return queryset.filter(outcome=ServiceCall.OK)
        return queryset.exclude(outcome=ServiceCall.OK) if self.value() == "refused" else queryset


@admin.register(ServiceCall)
class ServiceCallAdmin(ReadOnlyAdmin):
    list_display = (
        at("at", "when"),
        column("result", "outcome", outcome_badge),
        column("client", "client", client_words),
        column("purpose_code", "purpose", purpose_words),
        column("acted_as", "acted as", acted_as),
        column("what", "call", lambda row: visible(row.call or "–")),
        column("here", "installation", lambda row: link(row.installation) if row.installation else "–"),
    )
    list_filter = (("purpose", NamedFilter), ("service_client", NamedFilter), OutcomeFilter, "acts_as")
    allowed_lookups = frozenset(
        {
            "purpose__id__exact",
            "purpose__isnull",
            "service_client__id__exact",
            "service_client__isnull",
            "acts_as__exact",
            "outcome",
            "portal_user__id__exact",
            "installation__id__exact",
            "oauth_token__id__exact",
            "api_key__id__exact",
        }
    )
    list_select_related = _RELATED
    ordering = ("-at", "-pk")
    sortable_by = ("at",)
    facts = (
        at("at", "when"),
        column("client", "client", client_words),
        column("purpose_code", "purpose", purpose_words),
        column("acted_as", "acted as", acted_as),
        column("here", "installation", lambda row: link(row.installation) if row.installation else "–"),
        column("what", "call", lambda row: visible(row.call or "–")),
        column("scope", "went out under", scope_words),
        column("result", "outcome", outcome_badge),
        column("with", "with", lambda row: _with(row)),
        column("took", "took", lambda row: "–" if row.milliseconds is None else f"{row.milliseconds:,} ms"),
    )
    intro = (
        "Every call that backend code made, or tried to make, for a purpose: which client, as whom, under which scope. "
        "Parameters and answers are not kept."
    )
    empty_text = "No backend code called yet. Declare a purpose, create a service client and give it the key."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceCall]:
        return super().get_queryset(request).select_related(*_RELATED)

    def page_title(self, row: ServiceCall) -> str:
        return f"Service call #{row.pk}"

    def badges(self, row: ServiceCall) -> Sequence[Any]:
        return [outcome_badge(row)]


def _with(row: ServiceCall) -> Any:
    if row.oauth_token_id:
        return link(row.oauth_token)  # type: ignore[arg-type]  # the columns say that there is one
    return link(row.api_key) if row.api_key_id else "nothing was sent"  # type: ignore[arg-type]  # likewise
