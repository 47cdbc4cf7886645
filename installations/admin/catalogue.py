"""The scope catalogue as pages: what each scope means, and every edition that there was."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations import catalogue, editions
from installations.admin.base import ReadOnlyAdmin
from installations.admin.catalogue_acts import (
    MOST_CHANGES,
    EditEntry,
    ImportCatalogue,
    NewEntry,
    ShownChange,
    TakeBack,
    catalogue_url,
    entry_url,
)
from installations.admin.display import (
    Table,
    at,
    badge,
    change_url,
    column,
    join,
    list_url,
    mono,
    text_of,
    when,
)
from installations.admin.manifests import RISK_TONES
from installations.admin.text import Text, sentences, visible, visible_text
from installations.catalogue import Catalogue, CatalogueEntry, CatalogueInvalid, Origin
from installations.catalogue_changes import change_of, changes, reach_of
from installations.catalogue_editing import PERMISSION
from installations.models import ApprovedPermission, AuditEvent, CatalogueEdition
from installations.scopes import Level
from installations.selectors import approvals_by_code

_NAME = "installations_catalogueedition"
_OTHERS = 20
_ORIGINS = {
    Origin.SHIPPED: ("shipped", "plain"),
    Origin.OVERRIDDEN: ("override", "wait"),
    Origin.OWN: ("own", "wait"),
}


@admin.register(CatalogueEdition)
class CatalogueEditionAdmin(ReadOnlyAdmin):
    list_display = (
        column("edition", _("edition"), lambda row: row, order="number"),
        text_of("saved_by", _("saved by")),
        at("saved_at", _("saved")),
        column("why", _("reason"), lambda row: visible(row.reason)),
        column("sha", _("SHA-256"), lambda row: mono(row.sha256[:8])),
    )
    search_fields = ("saved_by", "reason")
    ordering = ("-number",)
    facts = (
        column("edition", _("edition"), lambda row: row),
        text_of("saved_by", _("saved by")),
        at("saved_at", _("saved")),
        column("why", _("reason"), lambda row: visible(row.reason)),
        column("sha", _("SHA-256 of the operators' entries"), lambda row: mono(row.sha256)),
        column("ships", _("shipped file of that day"), lambda row: mono(row.shipped)),
        column("file", _("what operators had written"), lambda row: _export_link(row)),
    )
    act_classes = (EditEntry, NewEntry, TakeBack, ImportCatalogue)
    words_here = ("scope-catalogue", "wider")
    intro = _("What operators laid over the shipped catalogue, edit by edit. The newest counts; none is ever changed.")
    empty_text = _("Nobody edited the catalogue: the shipped one counts.")
    # Where the menu leads to, and as what.
    entrance: ClassVar[tuple[str, Text]] = (f"admin:{_NAME}_catalogue", _("Scope catalogue"))

    def get_urls(self) -> list[URLPattern]:
        def own(route: str, view: Any, name: str) -> URLPattern:
            shown: URLPattern = path(route, self.admin_site.admin_view(view), name=f"{_NAME}_{name}")
            return shown

        return [
            own("catalogue/", self.catalogue_view, "catalogue"),
            own("export/", self.export_view, "export"),
            own("entry/<str:code>/", self.entry_view, "entry"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        links = [(catalogue_url(), gettext("Scope catalogue"))]
        return super().changelist_view(request, {"list_links": links, **(extra_context or {})})

    def audit_query(self, row: CatalogueEdition) -> dict[str, Any]:
        return {"target_kind": "catalogue"}

    def page_title(self, row: CatalogueEdition) -> str:
        return gettext("Edition %(number)s of the scope catalogue") % {"number": row.number}

    def tables(self, request: HttpRequest, row: CatalogueEdition) -> Sequence[Table]:
        others = list(CatalogueEdition.objects.exclude(pk=row.pk).defer("document").order_by("-number")[:_OTHERS])
        number = _against(request, row)
        before = CatalogueEdition.objects.filter(number=number).first()
        return [
            _changes_table(before, row, number),
            _others_table(row, others, number),
        ]

    # --- Pages of their own ---

    def catalogue_view(self, request: HttpRequest) -> HttpResponse:
        """Show every entry, or those that hold what is searched for. Three statements, whatever their number."""
        self._may_look(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        known = editions.as_stored()
        used = approvals_by_code() if request.user.has_perm("installations.view_approvedpermission") else None
        sought = request.GET.get("q", "").strip()[:100]
        found = [entry for entry in known.entries if _holds(entry, known, sought.lower())]
        history = CatalogueEdition.objects.defer("document").order_by("-number")[:5]
        may_edit = request.user.has_perm(PERMISSION)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Scope catalogue"),
            "known": known,
            "sought": sought,
            "table": _entries_table(found, known, used),
            "history": _history_table(list(history)),
            "count": len(found),
            "links": [
                (act.url(), act.label)
                for act in self.acts
                if may_edit
                and isinstance(act, NewEntry | ImportCatalogue)
                and not (known.damage and act.slug == "new-entry")
            ],
        }
        return TemplateResponse(request, "admin/installations/catalogueedition/catalogue.html", context)

    def entry_view(self, request: HttpRequest, code: str) -> HttpResponse:
        """Show what one scope means and reaches. Two statements."""
        self._may_look(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        known = editions.in_force()
        entry = known.described(code)
        if entry is None:
            raise Http404
        shipped = catalogue.load().described(code)
        origin = known.origin(code)
        may = request.user.has_perm
        used = approvals_by_code().get(code, 0) if may("installations.view_approvedpermission") else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Scope %(code)s") % {"code": code},
            "entry": entry,
            "levels": [
                (level, entry.at(level), badge(entry.at(level).risk, RISK_TONES[entry.at(level).risk]))
                for level in Level
            ],
            "state": join(_state(entry, origin)),
            "reach": reach_of(entry).in_words(),
            "against_shipped": ShownChange(change_of(code, shipped, entry)) if origin is Origin.OVERRIDDEN else None,
            "used": used,
            "used_url": list_url(ApprovedPermission, urlencode({"q": code})),
            "links": self._entry_links(request, code, origin),
            "audit_url": list_url(AuditEvent, urlencode({"target_kind": "catalogue"}))
            if may("installations.view_auditevent")
            else "",
        }
        return TemplateResponse(request, "admin/installations/catalogueedition/entry.html", context)

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Hand out the catalogue as a file: the whole, with `part=own` what operators wrote, or with `edition=` what
        they had written by then. One statement."""
        self._may_look(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        number, own = request.GET.get("edition", ""), request.GET.get("part") == "own"
        if number:
            row = CatalogueEdition.objects.filter(number=int(number)).first() if _is_number(number) else None
            if row is None:
                raise Http404
            known, own = editions.read_anew(row), True
        else:
            known = editions.in_force()
        if known.damage:
            words = gettext("Edition %(edition)s of the scope catalogue is damaged: %(damage)s.") % {
                "edition": known.edition,
                "damage": visible_text(known.damage),
            }
            return HttpResponse(words, status=HTTPStatus.CONFLICT, content_type="text/plain; charset=utf-8")
        name = f"scope-catalogue-{'operators-' if own else ''}{known.edition}.json"
        text = catalogue.exported(known.own if own else known.entries)
        response = HttpResponse(text, content_type="application/json; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def _may_look(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _entry_links(self, request: HttpRequest, code: str, origin: Origin) -> list[tuple[str, Text, str, Text]]:
        if not request.user.has_perm(PERMISSION):
            return []
        return [
            (act.url(code=code), act.label, act.tone, act.summary)
            for act in self.acts
            if isinstance(act, EditEntry) or (isinstance(act, TakeBack) and origin is not Origin.SHIPPED)
        ]


def _holds(entry: CatalogueEntry, known: Catalogue, sought: str) -> bool:
    words = (entry.code, entry.title, entry.meaning, *entry.modules, *entry.models)
    states = (known.origin(entry.code).value, "documented" if entry.documented else "assumption")
    texts = (*words, *states, *(entry.at(level).risk for level in Level))
    return any(sought in text.lower() for text in texts)


def _state(entry: CatalogueEntry, origin: Origin) -> list[Any]:
    found = [badge(*_ORIGINS[origin])] if origin is not Origin.SHIPPED else []
    found.append(badge(gettext("documented"), "good") if entry.documented else badge(gettext("assumption"), "wait"))
    return found if entry.enabled else [*found, badge(gettext("off"), "gone")]


def _entries_table(entries: Sequence[CatalogueEntry], known: Catalogue, used: dict[str, int] | None) -> Table:
    def risk(entry: CatalogueEntry, level: Level) -> Any:
        meaning = entry.at(level)
        return format_html(
            '<span class="nowrap">{} {}</span>', level.value, badge(meaning.risk, RISK_TONES[meaning.risk])
        )

    def reached(entry: CatalogueEntry) -> Any:
        models = ", ".join(entry.models) or gettext("all of its models")
        return format_html('{} <span class="quiet-note">{}</span>', ", ".join(entry.modules), visible(models))

    approvals = () if used is None else (gettext("Approvals in force"),)
    rows = [
        (
            format_html('<a href="{}">{}</a>', entry_url(entry.code), mono(entry.code)),
            visible(entry.title),
            join(risk(entry, level) for level in Level),
            reached(entry),
            join(_state(entry, known.origin(entry.code))),
            *(() if used is None else (f"{used.get(entry.code, 0):,}",)),
        )
        for entry in entries
    ]
    columns = (
        gettext("Scope"),
        gettext("Title"),
        gettext("Risk"),
        gettext("Modules and models"),
        gettext("State"),
        *approvals,
    )
    return Table(gettext("Scopes"), columns, rows, gettext("Nothing matches."), kind="catalogue")


def _history_table(rows: Sequence[CatalogueEdition]) -> Table:
    return Table(
        gettext("Latest editions"),
        (gettext("Edition"), gettext("Saved"), gettext("By"), gettext("Reason")),
        [
            (
                format_html('<a href="{}">{}</a>', change_url(row), row.number),
                when(row.saved_at),
                visible(row.saved_by),
                visible(row.reason),
            )
            for row in rows
        ],
        gettext("Nobody edited the catalogue: the shipped one counts."),
        more_url=list_url(CatalogueEdition) if rows else "",
        more=gettext("All editions"),
    )


def _export_link(row: CatalogueEdition) -> Any:
    return format_html(
        '<a href="{}?edition={}">{}</a>', reverse(f"admin:{_NAME}_export"), row.number, gettext("as JSON")
    )


def _against(request: HttpRequest, row: CatalogueEdition) -> int:
    """Return the number of the edition to compare with: the one that the address names, else the one before."""
    named = request.GET.get("against", "")
    return int(named) if _is_number(named) else row.number - 1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _changes_table(before: CatalogueEdition | None, row: CatalogueEdition, number: int) -> Table:
    title = (
        gettext("What it changed since edition %(number)s") % {"number": number}
        if number
        else gettext("What it changed of the shipped catalogue")
    )
    columns = (
        gettext("Scope"),
        gettext("Change"),
        gettext("Wider"),
        gettext("Narrower"),
        gettext("Risk"),
        gettext("Words"),
    )
    if number and before is None:
        return Table(title, columns, (), gettext("There is no edition %(number)s.") % {"number": number})
    try:
        found = changes(editions.catalogue_of(before), editions.catalogue_of(row))
    except CatalogueInvalid as error:
        return Table(title, columns, (), gettext("An edition is damaged: %(error)s") % {"error": visible_text(error)})
    rows = [
        (
            mono(change.code),
            change.summary,
            *(join(map(visible, lines), "; ") or "–" for lines in (change.wider, change.narrower, change.risks)),
            join(map(visible, change.words)) or "–",
        )
        for change in found[:MOST_CHANGES]
    ]
    note = gettext("Both are laid over the file that is shipped today.")
    if len(found) > MOST_CHANGES:
        left = len(found) - MOST_CHANGES
        words = ngettext(
            "%(count)s more is left out here; the exports hold all.",
            "%(count)s more are left out here; the exports hold all.",
            left,
        )
        note = sentences(note, words % {"count": left})
    return Table(title, columns, rows, gettext("Nothing: the two say the same."), note=note, kind="catalogue")


def _others_table(row: CatalogueEdition, others: Sequence[CatalogueEdition], number: int) -> Table:
    def choice(other: int) -> Any:
        if other == number:
            return badge(gettext("compared above"), "plain")
        return format_html('<a href="{}?against={}">{}</a>', change_url(row), other, gettext("compare"))

    rows = [
        (
            format_html('<a href="{}">{}</a>', change_url(other), other.number),
            when(other.saved_at),
            visible(other.saved_by),
            choice(other.number),
        )
        for other in others
    ]
    return Table(
        gettext("Other editions"),
        (gettext("Edition"), gettext("Saved"), gettext("By"), gettext("Compare")),
        [*rows, ("0", "shipped", "–", choice(0))],
        gettext("None."),
        note=gettext("Older ones are in the list of editions; ?against= and a number compares with any of them."),
    )
