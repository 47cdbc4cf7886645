"""Filters that an operator keeps: shown above the list, saved, opened and deleted."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from installations.admin.acts import actor_of
from installations.admin.display import list_url
from installations.admin.text import visible, visible_text
from installations.errors import DomainError, InvalidRequest
from installations.list_filters import (
    LONGEST_NAME,
    Parameters,
    as_query,
    check_parameters,
    may_hold_secret,
    sorted_out,
)
from installations.saved_filters import delete_filter, filters_of, own_filter, save_filter

if TYPE_CHECKING:
    from installations.admin.base import ReadOnlyAdmin


@dataclass(frozen=True, slots=True)
class ShownFilter:
    """A filter as its owner sees it above the list."""

    name: str
    url: str
    delete_url: str
    is_open: bool


def shown_filters(model_admin: "ReadOnlyAdmin", request: HttpRequest) -> dict[str, Any]:
    """Return what the list says of the operator's own filters, and what would be saved now. One statement."""
    present, _others = known_parameters(model_admin, request, request.GET)
    own = [
        ShownFilter(
            visible_text(each.name),
            reverse("admin:saved_filter", args=[each.pk]),
            reverse("admin:saved_filter_delete", args=[each.pk]),
            each.parameters == present,
        )
        for each in filters_of(int(actor_of(request).id), model_admin.opts.label_lower)
    ]
    return {"saved_filters": own, "present_filter": as_query(present), "longest_name": LONGEST_NAME}


def known_parameters(
    model_admin: "ReadOnlyAdmin", request: HttpRequest, given: QueryDict
) -> tuple[Parameters, list[str]]:
    """Return by what a list is narrowed, and which names it does not know. Order and place are no part of a filter."""

    def is_known(name: str) -> bool:
        searches = name == SEARCH_VAR and bool(model_admin.search_fields)
        return searches or (name != SEARCH_VAR and model_admin.lookup_allowed(name, "", request))

    return sorted_out(dict(given.lists()), is_known)


@require_POST
def save_view(request: HttpRequest) -> HttpResponse:
    """Keep the present filter of a list, under a name, for the operator who asks."""
    model_admin = _list_named(request, request.POST.get("list", ""))
    parameters, _others = known_parameters(model_admin, request, QueryDict(request.POST.get("filter", "")))
    try:
        check_parameters(parameters)
        if not _is_usable(model_admin, request, parameters):
            raise InvalidRequest(gettext("The list takes no such filter. Nothing was saved."))
        saved = save_filter(
            operator_id=int(actor_of(request).id),
            list_name=model_admin.opts.label_lower,
            name=request.POST.get("name", ""),
            parameters=parameters,
        )
    except DomainError as error:
        messages.error(request, visible_text(error.public_message))
    else:
        named = format_html('<a href="{}">{}</a>', reverse("admin:saved_filter", args=[saved.pk]), visible(saved.name))
        messages.success(request, format_html(gettext("Saved as “{name}”."), name=named))
    # What looks like a token is in no address either.
    query = "" if may_hold_secret(parameters) else as_query(parameters)
    return HttpResponseRedirect(list_url(model_admin.model, query))


@require_safe
def open_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """Lead to the list, narrowed by a filter of the operator's own. What it knows no more is left out, and said."""
    kept = own_filter(int(actor_of(request).id), object_id)
    if kept is None:
        raise Http404
    model_admin = _list_named(request, kept.list_name)
    asked = QueryDict(as_query(kept.parameters))
    parameters, gone = known_parameters(model_admin, request, asked)
    named = {"name": visible_text(kept.name), "gone": visible_text(", ".join(gone))}
    if gone:
        words = gettext("“%(name)s” also filters by %(gone)s, which this list does not do any more. That is left out.")
        messages.warning(request, words % named)
    if not _is_usable(model_admin, request, parameters):
        words = gettext("The list takes “%(name)s” no more: it chooses something that is gone. Here is the whole list.")
        messages.warning(request, words % named)
        parameters = {}
    return HttpResponseRedirect(list_url(model_admin.model, as_query(parameters)))


@require_POST
def delete_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """Delete a filter of the operator's own, and lead back to its list."""
    operator_id = int(actor_of(request).id)
    kept = own_filter(operator_id, object_id)
    if kept is None or not delete_filter(operator_id=operator_id, filter_id=object_id):
        raise Http404
    messages.success(request, gettext("Deleted: the filter “%(name)s”.") % {"name": visible_text(kept.name)})
    shown = _registered(kept.list_name)
    may_see = shown is not None and shown.has_view_permission(request)
    return HttpResponseRedirect(list_url(shown.model) if shown and may_see else reverse("admin:index"))


def _list_named(request: HttpRequest, name: str) -> "ReadOnlyAdmin":
    """Return a list that the operator may see; there is no other."""
    shown = _registered(name)
    if shown is None or not shown.has_view_permission(request):
        raise Http404
    return shown


def _registered(name: str) -> "ReadOnlyAdmin | None":
    found: Any = {model._meta.label_lower: shown for model, shown in admin.site._registry.items()}.get(name)
    shown: ReadOnlyAdmin | None = found
    return shown


def _is_usable(model_admin: "ReadOnlyAdmin", request: HttpRequest, parameters: Parameters) -> bool:
    """Return whether the list can be looked at so: a value may be no number, or of another kind than it was."""
    asked = copy.copy(request)
    asked.GET = QueryDict(as_query(parameters))
    try:
        model_admin.get_changelist_instance(asked)
    except (IncorrectLookupParameters, DisallowedModelAdminLookup):
        return False
    return True
