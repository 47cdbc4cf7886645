"""The audit trail: its events, the state of its chain, and its export."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.admin import counted
from installations.admin.acts import actor_of, note_refusal, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, list_url, when
from installations.admin.list_export import require_still
from installations.admin.lists import ValuesFilter
from installations.admin.searching import exactly
from installations.admin.text import visible, visible_text
from installations.errors import DomainError, NotPermitted
from installations.forms import ExportForm
from installations.models import AuditEvent, Installation
from installations.trail.exporting import PERMISSION, Format, export_audit
from installations.trail.state import TrailState, trail_state

_URL_NAME = "installations_auditevent_export"
ASKED_EVERY: Final = 1000  # lines of an export: whether its reader may still have it


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = (
        column("number", _("no."), lambda row: row.sequence, order="sequence"),
        at("occurred_at", _("when")),
        column("verb", _("what"), lambda row: row.verb, order="verb"),
        column("target", _("target"), lambda row: target_words(row)),
        column("actor", _("who"), lambda row: actor_words(row), order="actor_id"),
        column("reason", _("why"), lambda row: visible(row.reason or "–")),
    )
    list_filter = (
        ValuesFilter.of("verb", _("what")),
        ValuesFilter.of("actor_kind", _("who")),
        ValuesFilter.of("via", _("through")),
    )
    indexed_filters = frozenset({"verb", "actor_kind", "via"})
    allowed_lookups = frozenset(
        {"verb", "actor_kind", "via", "target_kind", "target_id", "installation_id", "actor_id"}
    )
    search_fields = ("target_id", "actor_id")
    search_ways = (exactly("target_id", "actor_id"),)
    search_help_text = _("Search by the whole id of a target or of who did it")
    ordering = ("-sequence",)
    sortable_by = ("number",)
    facts = (
        "sequence",
        at("occurred_at", _("when")),
        "verb",
        column("target", _("target"), lambda row: target_words(row)),
        column("installation", _("installation"), lambda row: _installation(row)),
        column("actor", _("who"), lambda row: actor_words(row)),
        column("via", _("through"), lambda row: row.via),
        column("reason", _("why"), lambda row: visible(row.reason or "–")),
        column("details", _("details"), lambda row: _details(row)),
        column(
            "chain",
            _("chain"),
            lambda row: (
                gettext("number %(sequence)s, under audit key %(key_id)s")
                % {"sequence": row.sequence, "key_id": row.key_id}
            ),
        ),
    )
    words_here = ("anchor", "refused-attempt")
    intro = _(
        "What was done, by whom, to what and why. No row is ever changed; each is chained to the last. Only what is "
        "old and archived is removed, from the beginning."
    )
    empty_text = _("Nothing was recorded yet. Every act of an operator and every stored token leaves a row here.")

    change_list_template = "admin/installations/auditevent/change_list.html"

    def tables(self, request: HttpRequest, row: AuditEvent) -> Sequence[Table]:
        return ()

    def may_export(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION) and self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name=_URL_NAME), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        links = [(reverse(f"admin:{_URL_NAME}"), gettext("Export the trail"))] if self.may_export(request) else []
        context = {"list_links": links, "trail_facts": _trail_facts(trail_state()), **(extra_context or {})}
        return super().changelist_view(request, context)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Say what an export holds, ask why, and stream it."""
        if not self.may_export(request):
            note_refusal(request, PERMISSION, _URL_NAME, ("audit trail", ""))
            raise PermissionDenied
        form = ExportForm(posted(request))
        if request.method == "POST" and form.is_valid():
            try:
                return self._stream(request, form)
            except NotPermitted:
                note_refusal(request, PERMISSION, _URL_NAME, ("audit trail", ""))
                raise PermissionDenied from None
            except DomainError as error:
                form.add_error(None, visible_text(error.public_message))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Export the audit trail"),
            "back_url": list_url(AuditEvent),
            "form": form,
            "stops": (
                gettext("You get a file with every event: %(events)s and the one of this export.")
                % {"events": counted.events(trail_state().events)},
                gettext(
                    "It holds names of operators, their reasons, and ids of portals, users and tokens. No secret is "
                    "in it."
                ),
                gettext("That you took it, in which format and why, is recorded in the trail first."),
            ),
            "stays": (
                gettext("Nothing is removed or changed."),
                gettext("It holds no portal user's name. Reasons are free text: what an operator wrote is in them."),
            ),
        }
        return TemplateResponse(request, "admin/installations/auditevent/export.html", context)

    def _stream(self, request: HttpRequest, form: ExportForm) -> StreamingHttpResponse:
        chosen = Format(form.cleaned_data["format"])
        export = export_audit(format=chosen, actor=actor_of(request), reason=form.cleaned_data["reason"])
        return StreamingHttpResponse(
            self._while_allowed(request, export.lines()),
            content_type=chosen.content_type,
            headers={"Content-Disposition": f'attachment; filename="{export.file_name}"'},
        )

    def _while_allowed(self, request: HttpRequest, lines: Iterator[str]) -> Iterator[str]:
        """Break the file off, as the file of a list, for who was removed, lost the right or signed out meanwhile."""
        for number, line in enumerate(lines):
            if number % ASKED_EVERY == 0:
                require_still(request, (*self.view_permissions, PERMISSION))
            yield line


def _trail_facts(state: TrailState) -> list[tuple[str, Any]]:
    """Return what the list says about the chain as a whole."""
    chain = counted.events(state.events)
    if state.first > 1:
        chain = gettext("%(events)s, from number %(first)s on: what was before is archived") % {
            "events": chain,
            "first": f"{state.first:,}",
        }
    facts: list[tuple[str, Any]] = [(gettext("Chain"), chain)]
    if state.verified is None:
        facts.append((gettext("Verified"), gettext("never. Run manage.py verify_audit")))
    else:
        result = (
            badge(
                ngettext("broken: %(count)s finding", "broken: %(count)s findings", state.found)
                % {"count": f"{state.found:,}"},
                "bad",
            )
            if state.found
            else badge(gettext("intact"), "good")
        )
        facts.append(
            (
                gettext("Verified"),
                format_html(
                    gettext("{result} {when} up to number {number}"),
                    result=result,
                    when=when(state.verified.occurred_at),
                    number=_up_to(state),
                ),
            )
        )
    if state.anchored is None:
        # Where the settings name no place, the command has to.
        words = (
            gettext("never. Without an anchor a cut-off end would not show: run manage.py anchor_audit")
            if settings.AUDIT_ANCHOR_FILE or settings.AUDIT_ANCHOR_URL
            else gettext(
                "never. Without an anchor a cut-off end would not show: run manage.py anchor_audit --file FILE"
            )
        )
        facts.append((gettext("Anchored"), words))
    else:
        where = visible(state.anchored.details.get("where", ""), ascii_only=True)
        number = _number(state.anchored.target_id)
        anchored = format_html(
            gettext("{when}, number {number} in {where}"),
            when=when(state.anchored.occurred_at),
            number=number,
            where=where,
        )
        facts.append((gettext("Anchored"), anchored))
    return facts


def _up_to(state: TrailState) -> str:
    return _number(state.verified.target_id) if state.verified else ""


def _number(text: str) -> str:
    return f"{int(text):,}"


def target_words(event: AuditEvent) -> Any:
    kind = {"portaluser": gettext("portal user"), "portal_user": gettext("portal user")}.get(
        event.target_kind, event.target_kind
    )
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
