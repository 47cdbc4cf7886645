"""What backend code did, as tables on the pages of clients, purposes, keys, installations and portal users."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.admin import counted
from installations.admin.charts import Chart, Series, summed
from installations.admin.display import Table, badge, link, list_url, mono, when
from installations.admin.text import Text, visible_text
from installations.errors import InvalidRequest
from installations.forms import ReasonForm
from installations.models import PortalUser
from tokens import backend_use
from tokens.models import Purpose, ServiceCall, ServiceClient

IN_PROJECT = _("code of this service")
_SHOWN = 20
_NOTHING_CALLED = _("Nothing was called yet.")
_FORM_FIELDS = {"expires_at": "last_day"}


def put_on_form(form: ReasonForm, error: InvalidRequest) -> None:
    """Say beside each field what the verb says is wrong with it."""
    for name, message in error.fields.items():
        field = _FORM_FIELDS.get(name, name)
        form.add_error(field if field in form.fields else None, visible_text(message, ascii_only=True))


def outcome_badge(call: ServiceCall) -> Any:
    return badge(gettext("ok"), "good") if call.outcome == ServiceCall.OK else badge(call.outcome, "bad")


def client_words(call: ServiceCall) -> Any:
    return link(call.service_client) if call.service_client else IN_PROJECT


def purpose_words(call: ServiceCall) -> Any:
    return link(call.purpose) if call.purpose else gettext("not declared")


def acted_as(call: ServiceCall) -> Any:
    if call.portal_user is not None:
        return link(call.portal_user, person(call.portal_user))
    words: dict[str, str] = {"system": gettext("the system"), "user": gettext("a user not known here")}
    return words.get(call.acts_as, "–")


def person(user: PortalUser) -> str:
    return (
        f"{user.name} ({user.flowlu_user_id})"
        if user.name
        else gettext("user %(flowlu_user_id)s") % {"flowlu_user_id": user.flowlu_user_id}
    )


def scope_words(call: ServiceCall) -> Any:
    return mono(f"{call.code}.{call.level}") if call.code else "–"


def calls_table(
    request: HttpRequest,
    calls: QuerySet[ServiceCall],
    query: dict[str, Any],
    *,
    title: str,
    without: str = "",
    empty: Text = _NOTHING_CALLED,
    note: Text = "",
) -> Sequence[Table]:
    """Return the last calls, for whoever may see them. One statement."""
    if not request.user.has_perm("tokens.view_servicecall"):
        return ()
    columns = [
        name
        for name in (
            gettext("When"),
            gettext("Client"),
            gettext("Purpose"),
            gettext("Acted as"),
            gettext("Call"),
            gettext("Scope"),
            gettext("Outcome"),
        )
        if name != without
    ]
    rows = []
    for call in backend_use.calls_with_names(calls)[:_SHOWN]:
        cells = {
            gettext("When"): when(call.at),
            gettext("Client"): client_words(call),
            gettext("Purpose"): purpose_words(call),
            gettext("Acted as"): acted_as(call),
            gettext("Call"): link(call, call.call or gettext("not a call")),
            gettext("Scope"): scope_words(call),
            gettext("Outcome"): outcome_badge(call),
        }
        rows.append([cells[name] for name in columns])
    return [
        Table(
            title,
            columns,
            rows,
            empty,
            note,
            more_url=list_url(ServiceCall, urlencode(query)),
            more=gettext("All of it in the list of service calls"),
        )
    ]


_NOT_USED = _("Not used in this time.")


def use_table(
    request: HttpRequest,
    calls: QuerySet[ServiceCall],
    by: str,
    *,
    title: str,
    without: str = "",
    empty: Text = _NOT_USED,
) -> Sequence[Table]:
    """Return how often each purpose, client or user was used in the last 30 days, most first. Two statements."""
    if not request.user.has_perm("tokens.view_servicecall"):
        return ()
    use = backend_use.use_by(calls, by)
    models: dict[str, Any] = {"purpose": Purpose, "service_client": ServiceClient, "portal_user": PortalUser}
    found = models[by].objects.in_bulk([row.key for row in use if row.key is not None])
    nobody = {
        "purpose": gettext("not declared"),
        "service_client": IN_PROJECT,
        "portal_user": gettext("the system, or nobody known"),
    }[by]
    heading = {"purpose": gettext("Purpose"), "service_client": gettext("Client"), "portal_user": gettext("User")}[by]
    columns = [heading, gettext("Calls"), gettext("Refused"), gettext("People"), gettext("Last")]
    rows = []
    for row in use:
        cells = {
            heading: _named(found[row.key]) if row.key in found else nobody,
            gettext("Calls"): f"{row.ok:,}",
            gettext("Refused"): f"{row.refused:,}",
            gettext("People"): f"{row.people:,}",
            gettext("Last"): when(row.last_at),
        }
        rows.append([cells[name] for name in columns if name != without])
    shown = [name for name in columns if name != without]
    return [
        Table(
            title,
            shown,
            rows,
            empty,
            note=ngettext("The last %(count)s day.", "The last %(count)s days.", backend_use.USE_DAYS)
            % {"count": f"{backend_use.USE_DAYS:,}"},
        )
    ]


def use_chart(request: HttpRequest, calls: QuerySet[ServiceCall]) -> Sequence[Chart]:
    """Return how calls went day by day, for whoever may see them. One statement."""
    if not request.user.has_perm("tokens.view_servicecall"):
        return ()
    days, answered, refused = backend_use.use_by_day(calls)
    series = [Series(gettext("answered"), "good", answered), Series(gettext("refused or failed"), "bad", refused)]
    about = summed(series, backend_use.USE_DAYS)
    return [
        Chart(
            gettext("Use by day"),
            about,
            gettext("None in %(use_days)s days.") % {"use_days": backend_use.USE_DAYS},
            series,
            days,
            counted.calls,
        )
    ]


def unused_badge() -> Any:
    return badge(
        ngettext(
            "unused for %(count)s day: propose to switch it off",
            "unused for %(count)s days: propose to switch it off",
            settings.UNUSED_DAYS["medium"],
        )
        % {"count": f"{settings.UNUSED_DAYS['medium']:,}"},
        "wait",
    )


class UnusedFilter(admin.SimpleListFilter):
    """Those that are on and that nobody used for long."""

    title = _("use")
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unused", gettext("unused: to be switched off"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "unused":
            return queryset
        unused = backend_use.unused_purposes() if queryset.model is Purpose else backend_use.unused_clients()
        return queryset.filter(pk__in=unused.values("pk"))


def _named(row: Any) -> Any:
    return link(row, person(row)) if isinstance(row, PortalUser) else link(row)


def acted_in_name_of(request: HttpRequest, user: PortalUser) -> Sequence[Table]:
    """Return who acted in a user's name: how often for which purpose, and the last calls. Three statements."""
    calls = ServiceCall.objects.filter(portal_user=user)
    return [
        *calls_table(
            request,
            calls,
            {"portal_user__id__exact": user.pk},
            title=gettext("Who acted in this user's name"),
            without=gettext("Acted as"),
            empty=gettext("No backend code acted in this user's name yet."),
            note=gettext("Calls of backend code. What the user's own page calls is not listed."),
        ),
        *use_table(
            request,
            calls,
            "purpose",
            title=gettext("What for"),
            without=gettext("People"),
            empty=gettext("No backend code acted in this user's name in this time."),
        ),
    ]
