"""The file of a list: what its columns say of every row that its filters and its search leave, whatever page one is on.

A cell of the file is made of the very cell that the page shows, so that it can hold nothing else.
"""

import html
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field
from django.contrib.auth import get_user_model
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from installations.actors import Via, operator_actor
from installations.admin.acts import actor_of, note_refusal
from installations.admin.change_lists import ConsoleChangeList
from installations.admin.display import NOTHING, list_url
from installations.admin.keyset import Pages
from installations.errors import NotPermitted
from installations.list_exports import export_list
from installations.statement_bound import bounded_statements
from installations.trail.exporting import Format

if TYPE_CHECKING:
    from installations.admin.base import ReadOnlyAdmin

# Rows of one statement, and what is in memory at a time.
BATCH: Final = 500
_TIME: Final = re.compile(r'<time datetime="([^"]*)".*?</time>', re.DOTALL)
_BREAK: Final = re.compile(r"<br\s*/?>")
_TAG: Final = re.compile(r"<[^>]*>")


def url_pattern(model_admin: "ReadOnlyAdmin") -> URLPattern:
    def view(request: HttpRequest) -> HttpResponseBase:
        return export_view(model_admin, request)

    return path("list-export/", model_admin.admin_site.admin_view(view), name=_url_name(model_admin))


def export_url(model_admin: "ReadOnlyAdmin", request: HttpRequest) -> str:
    """Return where the list that is looked at is taken away."""
    address = reverse(f"admin:{_url_name(model_admin)}")
    return f"{address}?{request.GET.urlencode()}" if request.GET else address


def export_view(model_admin: "ReadOnlyAdmin", request: HttpRequest) -> HttpResponseBase:
    """Record who takes what away, and stream it. Whoever only looks at the address is led to the list."""
    name, required = _url_name(model_admin), model_admin.view_permissions
    if not model_admin.has_view_permission(request):
        note_refusal(request, required[0], name, (str(model_admin.opts.model_name), ""))
        raise PermissionDenied
    back = HttpResponseRedirect(list_url(model_admin.model, request.GET.urlencode()))
    if request.method != "POST":
        return back
    wanted = request.POST.get("format", Format.CSV)
    if wanted not in list(Format):
        raise BadRequest("There is no such format of a list.")
    try:
        changelist = model_admin.get_changelist_instance(request)
    except IncorrectLookupParameters:
        return back  # where that is said
    assert isinstance(changelist, ConsoleChangeList)  # noqa: S101 - every list of the console is one
    export = export_list(
        rows=changelist.queryset,
        required=required,
        format=Format(wanted),
        filters=changelist.get_filters_params(),
        searched=bool(changelist.query),
        actor=actor_of(request),
    )
    columns = columns_of(model_admin, request)
    return StreamingHttpResponse(
        export.lines(names_of(columns, model_admin), _rows(request, changelist, columns, required)),
        content_type=export.format.content_type,
        headers={"Content-Disposition": f'attachment; filename="{export.file_name}"'},
    )


def columns_of(model_admin: "ReadOnlyAdmin", request: HttpRequest) -> list[Any]:
    """Return the columns that the list shows to this operator, without those that are no data."""
    shown = model_admin.get_list_display(request)
    return [column for column in shown if getattr(column, "__name__", column) not in model_admin.not_in_files]


def names_of(columns: Sequence[Any], model_admin: "ReadOnlyAdmin") -> list[str]:
    """Return what the columns of the file are called: the number of the row, then as the list heads its own."""
    return ["id", *(str(label_for_field(column, model_admin.model, model_admin)) for column in columns)]


def _rows(
    request: HttpRequest, changelist: ConsoleChangeList, columns: Sequence[Any], required: Sequence[str]
) -> Iterator[Sequence[object]]:
    """Yield the cells of each row, read in pieces of which each is asked for by where the last one ended.

    A piece costs what a page of the list does, and what it takes to see that the reader may still see it.
    """
    pieces = Pages(changelist.parts).batches(BATCH)
    while True:
        require_still(request, required)
        with bounded_statements():
            cells = [
                (row.pk, *(_cell(column, row) for column in columns))
                for row in changelist.completed(request, next(pieces, []))
            ]
        if not cells:
            return
        yield from cells


def require_still(request: HttpRequest, required: Sequence[str]) -> None:
    """Break the file off, which then has no end, for an operator who was removed or lost the right meanwhile.

    So it is where the session was ended in which they asked for it: they signed out, or it was in other hands.
    """
    reader = get_user_model()._default_manager.get(pk=actor_of(request).id)
    actor = operator_actor(reader, Via.ADMIN)
    if not request.session.exists(request.session.session_key or ""):
        raise NotPermitted(permission=required[0], actor=actor.id)
    for permission in required:
        actor.require(permission)


def _cell(column: Any, row: Any) -> object:
    return said(getattr(row, column) if isinstance(column, str) else column(row))


def said(shown: Any) -> object:
    """Return what a cell says: numbers and truths as they are, times in UTC, nothing for a dash, else its words."""
    if shown is None or isinstance(shown, bool | int):
        return shown
    if isinstance(shown, datetime):
        return shown.astimezone(UTC).isoformat()
    text = str(shown)
    if isinstance(shown, SafeString):
        # Made by format_html: what is no markup of ours holds no bracket.
        text = html.unescape(_TAG.sub("", _BREAK.sub(" ", _TIME.sub(r"\1", text))))
    text = " ".join(text.split())
    return None if text == NOTHING else text


def _url_name(model_admin: "ReadOnlyAdmin") -> str:
    return f"{model_admin.opts.app_label}_{model_admin.opts.model_name}_list_export"
