"""Service clients: backend services of the vendor. A key is shown once, in the answer to the form that makes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, Act, CreateAct, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, change_url, column, join, link, text_of, when
from installations.admin.text import Text, visible, visible_text
from installations.errors import InvalidRequest
from installations.forms import ReasonForm
from tokens import backend_use
from tokens.admin.service_tables import UnusedFilter, calls_table, put_on_form, unused_badge, use_chart, use_table
from tokens.forms import ClientForm, CreateClientForm
from tokens.models import ServiceCall, ServiceClient
from tokens.services.service_clients import (
    Allowed,
    NewKey,
    change_service_client,
    create_service_client,
    renew_service_key,
    switch_service_client,
)


@dataclass(frozen=True, slots=True)
class KeyMade(Outcome):
    """An act that made a key, which its answer shows. It goes into no message and no session."""

    made: NewKey | None = field(default=None, repr=False)


class ShowsKey(Act):
    """Show the new key in the answer to the form itself, instead of leading on."""

    def done(self, request: HttpRequest, target: Any, outcome: Outcome) -> HttpResponse:
        assert isinstance(outcome, KeyMade)  # noqa: S101 - perform() of both acts makes one
        assert outcome.made is not None  # noqa: S101 - a new key was made, or the verb raised
        context = {
            **self.model_admin.admin_site.each_context(request),
            "opts": self.model_admin.opts,
            "act": self,
            "title": gettext("The key of %(client)s") % {"client": visible_text(outcome.made.client)},
            "back_url": change_url(outcome.made.client),
            "back_label": str(outcome.made.client),
            "client": outcome.made.client,
            "service_key": outcome.made.key,
        }
        return TemplateResponse(request, "admin/tokens/new_key.html", context)


def _allowed(form: ReasonForm) -> Allowed:
    values = form.cleaned_data
    return Allowed.of(values["purposes"], values["applications"], values["portals"])


class Create(CreateAct, ShowsKey):
    label = _("Create a service client")
    permission = "tokens.manage_serviceclient"
    empowers = True
    form_class = CreateClientForm

    def stops(self, target: Any) -> Sequence[Text]:
        return (
            gettext(
                "A key is made and shown once, on the next page. Whoever holds it can act for the purposes, in the "
                "applications and on the portals that you choose here, and nowhere else."
            ),
            gettext("It is switched on at once."),
        )

    def stays(self, target: Any) -> Sequence[Text]:
        return (
            gettext(
                "The client never gets a token or an API key: calls go through this service, and each leaves a row."
            ),
        )

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        try:
            made = create_service_client(
                name=values["name"], allowed=_allowed(form), actor=actor, reason=values["reason"]
            )
        except InvalidRequest as error:
            put_on_form(form, error)
            raise
        return KeyMade("", made=made)


class Change(Act):
    slug = "change-client"
    label = _("Change what it may do")
    summary = _("For which purposes, in which applications and on which portals it may act.")
    permission = "tokens.manage_serviceclient"
    empowers = True

    def form(self, request: HttpRequest, target: ServiceClient) -> ReasonForm:
        return ClientForm(posted(request), client=target)

    def stops(self, target: ServiceClient) -> Sequence[Text]:
        return (
            gettext(
                "It holds from the client's next call on. What is left out is refused; what is added is let through."
            ),
        )

    def stays(self, target: ServiceClient) -> Sequence[Text]:
        return (
            gettext(
                "Its key stays. Scopes are not touched: those are approved for installations, and named by purposes."
            ),
        )

    def perform(self, target: ServiceClient, form: ReasonForm, actor: Actor) -> Outcome:
        reason, seen = form.cleaned_data["reason"], form.cleaned_data["seen"]
        changed = change_service_client(
            client_id=target.pk, allowed=_allowed(form), actor=actor, reason=reason, seen=seen
        )
        return Outcome.of(
            changed,
            gettext("What %(target)s may do is changed.") % {"target": target.name},
            already=gettext("Nothing changed: it may do this already."),
        )


class RenewKey(ShowsKey):
    slug = "new-key"
    label = _("Make a new key")
    summary = _("Shown once; the present one stops working at once.")
    empowers = True
    permission = "tokens.manage_serviceclient"
    tone = "stop"

    def stops(self, target: ServiceClient) -> Sequence[Text]:
        return (
            gettext("From the moment this is saved, on every worker, the present key is refused with invalid_client."),
            gettext(
                "The new one is shown once, on the next page. To change over without a gap, create a second client, "
                "move the service to its key, and switch this one off."
            ),
        )

    def stays(self, target: ServiceClient) -> Sequence[Text]:
        return (gettext("What the client may do stays as it is."), IN_FLIGHT)

    def perform(self, target: ServiceClient, form: ReasonForm, actor: Actor) -> Outcome:
        return KeyMade("", made=renew_service_key(client_id=target.pk, actor=actor, reason=form.cleaned_data["reason"]))


class SwitchOn(Act):
    slug = "switch-on"
    label = _("Switch on")
    summary = _("Let it call again, with the key that it has.")
    permission = "tokens.manage_serviceclient"
    empowers = True
    tone = "go"

    def applies(self, target: ServiceClient) -> bool:
        return not target.enabled

    def stops(self, target: ServiceClient) -> Sequence[Text]:
        return (
            gettext(
                "From the moment this is saved, on every worker, its key counts again. If the key may have got into "
                "other hands, make a new one first."
            ),
        )

    def stays(self, target: ServiceClient) -> Sequence[Text]:
        return (gettext("Purposes that are off, and locks, stay so."),)

    def perform(self, target: ServiceClient, form: ReasonForm, actor: Actor) -> Outcome:
        changed = switch_service_client(client_id=target.pk, on=True, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("%(target)s is on.") % {"target": target.name},
            already=gettext("Nothing changed: it was on already."),
        )


class SwitchOff(Act):
    slug = "switch-off"
    label = _("Switch off")
    summary = _("Refuse every call with its key.")
    permission = "tokens.switch_off_serviceclient"
    tone = "stop"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")

    def applies(self, target: ServiceClient) -> bool:
        return target.enabled

    def stops(self, target: ServiceClient) -> Sequence[Text]:
        return (
            gettext(
                "From the moment this is saved, on every worker, every call with its key is refused with "
                "invalid_client."
            ),
        )

    def stays(self, target: ServiceClient) -> Sequence[Text]:
        return (
            gettext("Other clients go on, for the same purposes as well. To stop a purpose for all, switch that off."),
            IN_FLIGHT,
        )

    def perform(self, target: ServiceClient, form: ReasonForm, actor: Actor) -> Outcome:
        changed = switch_service_client(client_id=target.pk, on=False, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("%(target)s is off. No call with its key starts from now on.") % {"target": target.name},
            already=gettext("Nothing changed: it was off already."),
        )


def client_badge(row: ServiceClient) -> Any:
    return badge(gettext("on"), "good") if row.enabled else badge(gettext("off"), "bad")


@admin.register(ServiceClient)
class ServiceClientAdmin(ReadOnlyAdmin):
    list_display = (
        column("label", _("client"), lambda row: visible(row.name), order="name"),
        column("state", _("state"), client_badge, order="enabled"),
        column("for", _("purposes"), lambda row: _links(row.purposes.all())),
        column("in", _("applications"), lambda row: _links(row.applications.all())),
        column("on", _("portals"), lambda row: _links(row.portals.all())),
        at("key_made_at", _("key made")),
        column("used", _("last used"), lambda row: when(row.last_used_at, gettext("never")), order="last_used_at"),
    )
    list_filter = ("enabled", UnusedFilter)
    allowed_lookups = frozenset({"enabled__exact", "purposes__id__exact"})
    search_fields = ("name",)
    ordering = ("name",)
    can_be_exported = True
    facts = (
        text_of("name", _("name")),
        column("state", _("state"), client_badge),
        column(
            "for",
            _("may act for"),
            lambda row: _links(row.purposes.all()) if row.purposes.all() else gettext("nothing"),
        ),
        column(
            "in",
            _("in"),
            lambda row: _links(row.applications.all()) if row.applications.all() else gettext("no application"),
        ),
        column("on", _("on"), lambda row: _links(row.portals.all()) if row.portals.all() else gettext("no portal")),
        at("created_at", _("created")),
        at("key_made_at", _("present key made")),
        column("used", _("last used"), lambda row: when(row.last_used_at, gettext("never"))),
    )
    act_classes: ClassVar = (Create, Change, RenewKey, SwitchOn, SwitchOff)
    words_here = ("purpose",)
    intro = _("Backend services of ours that may act for declared purposes. A key is shown once, when it is made.")
    empty_text = _("No service client yet. Declare a purpose first, then create the client that may act for it.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServiceClient]:
        related = ("purposes", "applications", "portals")
        return super().get_queryset(request).defer("key_hash").prefetch_related(*related)

    def page_title(self, row: ServiceClient) -> str:
        return gettext("Service client %(name)s") % {"name": row.name}

    def badges(self, row: ServiceClient) -> Sequence[Any]:
        return [client_badge(row)]

    def audit_query(self, row: ServiceClient) -> dict[str, Any]:
        return {"target_kind": "serviceclient", "target_id": str(row.pk)}

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        context = super().page_context(request, row)
        unused = [unused_badge()] if backend_use.unused_clients().filter(pk=row.pk).exists() else []
        calls = ServiceCall.objects.filter(service_client=row)
        return {**context, "badges": [*context["badges"], *unused], "charts": use_chart(request, calls)}

    def tables(self, request: HttpRequest, row: ServiceClient) -> Sequence[Table]:
        calls = ServiceCall.objects.filter(service_client=row)
        return [
            *use_table(request, calls, "purpose", title=gettext("Use per purpose")),
            *use_table(request, calls, "portal_user", title=gettext("Use per user"), without=gettext("People")),
            *calls_table(
                request,
                calls,
                {"service_client__id__exact": row.pk},
                title=gettext("Last calls"),
                without=gettext("Client"),
            ),
        ]


_NAMED = 5


def _links(rows: Any) -> Any:
    found = list(rows)
    links = join((link(row) for row in found[:_NAMED]), ", ")
    if len(found) > _NAMED:
        return format_html(gettext("{links} and {more} more"), links=links, more=len(found) - _NAMED)
    return links if found else "–"
