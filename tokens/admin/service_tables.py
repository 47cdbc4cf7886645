"""What backend code did, as tables on the pages of clients, purposes, keys, installations and portal users."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest

from installations.admin.display import Table, badge, link, list_url, mono, plural, utc
from installations.admin.text import visible_text
from installations.errors import InvalidRequest
from installations.forms import ReasonForm
from installations.models import PortalUser
from tokens import backend_reads
from tokens.models import Purpose, ServiceCall, ServiceClient

IN_PROJECT = "code of this service"
_SHOWN = 20
_FORM_FIELDS = {"expires_at": "last_day"}


def put_on_form(form: ReasonForm, error: InvalidRequest) -> None:
    """Say beside each field what the verb says is wrong with it."""
    for name, message in error.fields.items():
        field = _FORM_FIELDS.get(name, name)
        form.add_error(field if field in form.fields else None, visible_text(message, ascii_only=True))


def outcome_badge(call: ServiceCall) -> Any:
    return badge("ok", "good") if call.outcome == ServiceCall.OK else badge(call.outcome, "bad")


def client_words(call: ServiceCall) -> Any:
    return link(call.service_client) if call.service_client else IN_PROJECT


def purpose_words(call: ServiceCall) -> Any:
    return link(call.purpose) if call.purpose else "not declared"


def acted_as(call: ServiceCall) -> Any:
    if call.portal_user is not None:
        return link(call.portal_user, person(call.portal_user))
    words: dict[str, str] = {"system": "the system", "user": "a user not known here"}
    return words.get(call.acts_as, "–")


def person(user: PortalUser) -> str:
    return f"{user.name} ({user.flowlu_user_id})" if user.name else f"user {user.flowlu_user_id}"


def scope_words(call: ServiceCall) -> Any:
    return mono(f"{call.code}.{call.level}") if call.code else "–"


def calls_table(
    request: HttpRequest, calls: QuerySet[ServiceCall], query: dict[str, Any], *, title: str, without: str = ""
) -> Sequence[Table]:
    """Return the last calls, for whoever may see them. One statement."""
    if not request.user.has_perm("tokens.view_servicecall"):
        return ()
    columns = [
        name for name in ("When", "Client", "Purpose", "Acted as", "Call", "Scope", "Outcome") if name != without
    ]
    rows = []
    for call in backend_reads.calls_with_names(calls)[:_SHOWN]:
        cells = {
            "When": utc(call.at),
            "Client": client_words(call),
            "Purpose": purpose_words(call),
            "Acted as": acted_as(call),
            "Call": link(call, call.call or "not a call"),
            "Scope": scope_words(call),
            "Outcome": outcome_badge(call),
        }
        rows.append([cells[name] for name in columns])
    return [
        Table(
            title,
            columns,
            rows,
            "Nothing was called yet.",
            more_url=list_url(ServiceCall, urlencode(query)),
            more="All of it in the list of service calls",
        )
    ]


def use_table(
    request: HttpRequest,
    calls: QuerySet[ServiceCall],
    by: str,
    *,
    title: str,
    without: str = "",
    empty: str = "Not used in this time.",
) -> Sequence[Table]:
    """Return how often each purpose, client or user was used in the last 30 days, most first. Two statements."""
    if not request.user.has_perm("tokens.view_servicecall"):
        return ()
    use = backend_reads.use_by(calls, by)
    models: dict[str, Any] = {"purpose": Purpose, "service_client": ServiceClient, "portal_user": PortalUser}
    found = models[by].objects.in_bulk([row.key for row in use if row.key is not None])
    nobody = {"purpose": "not declared", "service_client": IN_PROJECT, "portal_user": "the system, or nobody known"}[by]
    heading = {"purpose": "Purpose", "service_client": "Client", "portal_user": "User"}[by]
    columns = [heading, "Calls", "Refused", "People", "Last"]
    rows = []
    for row in use:
        cells = {
            heading: _named(found[row.key]) if row.key in found else nobody,
            "Calls": f"{row.ok:,}",
            "Refused": f"{row.refused:,}",
            "People": f"{row.people:,}",
            "Last": utc(row.last_at),
        }
        rows.append([cells[name] for name in columns if name != without])
    shown = [name for name in columns if name != without]
    return [Table(title, shown, rows, empty, note=f"The last {plural(backend_reads.USE_DAYS, 'day')}.")]


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
            title="Who acted in this user's name",
            without="Acted as",
        ),
        *use_table(
            request,
            calls,
            "purpose",
            title="What for",
            without="People",
            empty="No backend code acted in this user's name in this time.",
        ),
    ]
