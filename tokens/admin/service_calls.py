"""The list of what backend code called. Rows are written by the calls themselves and only read here."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

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
    title = _("outcome")
    parameter_name = "result"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("ok", gettext("ok")), ("refused", gettext("refused or failed"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "ok":
            return queryset.filter(outcome=ServiceCall.OK)
        return queryset.exclude(outcome=ServiceCall.OK) if self.value() == "refused" else queryset


@admin.register(ServiceCall)
class ServiceCallAdmin(ReadOnlyAdmin):
    list_display = (
        at("at", _("when")),
        column("result", _("outcome"), outcome_badge),
        column("client", _("client"), client_words),
        column("purpose_code", _("purpose"), purpose_words),
        column("acted_as", _("acted as"), acted_as),
        column("what", _("call"), lambda row: visible(row.call or "–")),
        column("here", _("installation"), lambda row: link(row.installation) if row.installation else "–"),
    )
    list_filter = (("purpose", NamedFilter), ("service_client", NamedFilter), OutcomeFilter, "acts_as")
    indexed_filters = frozenset({"purpose__id__exact", "service_client__id__exact"})
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
    can_be_exported = True
    sortable_by = ("at",)
    facts = (
        at("at", _("when")),
        column("client", _("client"), client_words),
        column("purpose_code", _("purpose"), purpose_words),
        column("acted_as", _("acted as"), acted_as),
        column("here", _("installation"), lambda row: link(row.installation) if row.installation else "–"),
        column("what", _("call"), lambda row: visible(row.call or "–")),
        column("scope", _("went out under"), scope_words),
        column("result", _("outcome"), outcome_badge),
        column("with", _("with"), lambda row: _with(row)),
        column(
            "took",
            _("took"),
            lambda row: (
                "–"
                if row.milliseconds is None
                else gettext("%(milliseconds)s ms") % {"milliseconds": f"{row.milliseconds:,}"}
            ),
        ),
    )
    words_here = ("purpose", "service-client", "act-as")
    intro = _(
        "Every call that backend code made, or tried to make, for a purpose: which client, as whom, under which "
        "scope. Parameters and answers are not kept."
    )
    empty_text = _("No backend code called yet. Declare a purpose, create a service client and give it the key.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceCall]:
        return super().get_queryset(request).select_related(*_RELATED)

    def page_title(self, row: ServiceCall) -> str:
        return gettext("Service call #%(pk)s") % {"pk": row.pk}

    def badges(self, row: ServiceCall) -> Sequence[Any]:
        return [outcome_badge(row)]


def _with(row: ServiceCall) -> Any:
    if row.oauth_token_id:
        return link(row.oauth_token)  # type: ignore[arg-type]  # the columns say that there is one
    return link(row.api_key) if row.api_key_id else gettext("nothing was sent")  # type: ignore[arg-type]  # likewise
