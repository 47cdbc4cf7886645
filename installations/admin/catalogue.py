"""The scope catalogue: what each scope means, how operators edit it, and every edition that there was."""

from abc import abstractmethod
from collections.abc import Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from installations import catalogue, editions
from installations.actors import Actor
from installations.admin.acts import FROM_COMMIT, Act, CreateAct, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import (
    Table,
    at,
    badge,
    change_url,
    column,
    join,
    list_url,
    mono,
    plural,
    text_of,
    utc,
)
from installations.admin.manifests import RISK_TONES
from installations.admin.text import visible, visible_text
from installations.catalogue import Catalogue, CatalogueEntry, CatalogueInvalid, Origin
from installations.catalogue_changes import EntryChange, Touched, change_of, changes, reach_of
from installations.catalogue_editing import (
    PERMISSION,
    Edit,
    import_catalogue,
    preview_entry,
    preview_import,
    preview_removal,
    remove_catalogue_override,
    save_catalogue_entry,
)
from installations.errors import CatalogueNotTaken, DomainError
from installations.forms import CatalogueForm, EntryForm, ImportCatalogueForm, NewEntryForm, ReasonForm, entry_values
from installations.models import ApprovedPermission, AuditEvent, CatalogueEdition
from installations.scopes import Level
from installations.selectors import approvals_by_code

_NAME = "installations_catalogueedition"
_OTHERS = 20
_MOST_CHANGES = 100
_ORIGINS = {
    Origin.SHIPPED: ("shipped", "plain"),
    Origin.OVERRIDDEN: ("override", "wait"),
    Origin.OWN: ("own", "wait"),
}


def catalogue_url() -> str:
    return reverse(f"admin:{_NAME}_catalogue")


def entry_url(code: str) -> str:
    return reverse(f"admin:{_NAME}_entry", kwargs={"code": code})


# --- Editing ---------------------------------------------------------------------------------------------------


class CatalogueAct(Act):
    """An edit of the catalogue. What it changes is shown before it is saved."""

    permission = PERMISSION
    template_name = "admin/installations/catalogueedition/edit.html"
    form_class = CatalogueForm
    tone = "go"
    stops_heading = "What happens"
    previewed: ClassVar[bool] = False

    def applies(self, target: Any) -> bool:
        return False  # on no page of an edition

    def url(self, **values: Any) -> str:
        return reverse(f"admin:{self.url_name}", kwargs=values)

    def back_to(self, target: Any) -> str:
        return catalogue_url()

    def name(self, target: Any) -> str:
        return ""

    def audited_as(self, target: Any) -> tuple[str, str, int | None]:
        return "catalogue", target.code if isinstance(target, CatalogueEntry) else "", None

    def stops(self, target: Any) -> Sequence[str]:
        return (
            f"{FROM_COMMIT} A call that an entry covers no more is refused, whoever approved it.",
            "What an entry covers beyond before is granted to nobody until it is approved again, and to no purpose or "
            "API key until it is named again.",
        )

    def stays(self, target: Any) -> Sequence[str]:
        return (
            "Approvals stay, and so do the words of the edition under which each was given.",
            "Scopes in manifests stay as they are written.",
        )

    def form(self, request: HttpRequest, target: Any) -> ReasonForm:
        files = request.FILES if request.method == "POST" else None
        known = editions.in_force()  # what the form shows and the edition that it carries are of one moment
        form = self.form_class(posted(request), files, initial=self.initial(target, known))
        assert isinstance(form, CatalogueForm)  # noqa: S101 - every act here has such a form
        form.show(str(known.edition))
        return form

    def initial(self, target: Any, known: Catalogue) -> dict[str, Any]:
        return {}

    @abstractmethod
    def edit(self, target: Any, form: Any) -> Edit:
        """Return what the act would do; raises DomainError."""

    def effect(self, target: Any, form: ReasonForm, edition: int) -> Edit | None:
        """Return what the page shows of the edit; None while it is not known."""
        return self.edit(target, form)

    def context(self, request: HttpRequest, target: Any, form: ReasonForm) -> dict[str, Any]:
        known = editions.in_force()
        edit = self.effect(target, form, known.edition)
        return {
            "edit": edit,
            "edition": known.edition,
            "touched": _touched_words(edit.touched) if edit else "",
            "changes": [_ShownChange(change) for change in edit.changes[:_MOST_CHANGES]] if edit else [],
            "left_out": max(len(edit.changes) - _MOST_CHANGES, 0) if edit else 0,
            "shown_first": self.previewed and edit is None,
            "against_shipped": self.against_shipped(target, form) if edit else None,
        }

    def against_shipped(self, target: Any, form: Any) -> "_ShownChange | None":
        return None


class PreviewedAct(CatalogueAct):
    """An edit of which only the form says what it does: the first press shows that, the second one saves it."""

    previewed = True

    def view(self, request: HttpRequest, **values: Any) -> HttpResponse:
        if request.method == "POST" and self.permitted(request):
            target = self.find(request, **values)
            form = self.form(request, target) if target is not None else None
            if isinstance(form, CatalogueForm) and form.is_valid():
                digest = self.digest(target, form)
                if not form.was_shown(digest):
                    form.pin(digest, **self.kept(form))
                    return self.page(request, target, form)
        return super().view(request, **values)

    def effect(self, target: Any, form: ReasonForm, edition: int) -> Edit | None:
        if not (form.is_bound and form.is_valid()):
            return None
        if seen_edition(form) != edition:
            form.add_error(None, "The scope catalogue was edited while you were reading it. Look at it again.")
            return None
        try:
            return self.edit(target, form)
        except DomainError as error:
            form.add_error(None, visible_text(error.public_message))
            return None

    def kept(self, form: CatalogueForm) -> dict[str, str]:
        """Return what the form is to hold when it is shown again, besides what was typed into it."""
        return {}

    @abstractmethod
    def digest(self, target: Any, form: Any) -> str:
        """Return what tells one content from another."""


def seen_edition(form: ReasonForm) -> int:
    return int(form.cleaned_data["seen"] or -1)


class EntryAct(PreviewedAct):
    form_class = EntryForm
    label = "Edit the entry"

    def code(self, target: Any, form: EntryForm) -> str:
        return str(target.code)

    def digest(self, target: Any, form: Any) -> str:
        return sha256(catalogue.written([form.entry(self.code(target, form))])).hexdigest()

    def edit(self, target: Any, form: Any) -> Edit:
        return preview_entry(form.entry(self.code(target, form)))

    def against_shipped(self, target: Any, form: Any) -> "_ShownChange | None":
        code = self.code(target, form)
        shipped = catalogue.load().described(code)
        return _ShownChange(change_of(code, shipped, form.entry(code))) if shipped else None

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        assert isinstance(form, EntryForm)  # noqa: S101 - declared above
        edit = save_catalogue_entry(
            entry=form.entry(self.code(target, form)),
            actor=actor,
            reason=form.cleaned_data["reason"],
            seen=seen_edition(form),
        )
        return _outcome(edit, "this is what the entry says already")


class EditEntry(EntryAct):
    slug = "edit-entry"
    route = "entry/<str:code>/edit/"
    summary = "Change what the scope means, covers and risks."

    def find(self, request: HttpRequest, object_id: int = 0, **values: Any) -> Any:
        return editions.in_force().described(values["code"])

    def heading(self, target: CatalogueEntry) -> str:
        return f"Edit {target.code}"

    def name(self, target: CatalogueEntry) -> str:
        return target.code

    def back_to(self, target: CatalogueEntry) -> str:
        return entry_url(target.code)

    def initial(self, target: CatalogueEntry, known: Catalogue) -> dict[str, Any]:
        return entry_values(known.described(target.code) or target)


class NewEntry(EntryAct, CreateAct):
    slug = "new-entry"
    route = "new/"
    label = "New entry"
    form_class = NewEntryForm
    summary = "Describe a scope that is not shipped."

    def find(self, request: HttpRequest, object_id: int = 0, **_values: Any) -> Any:
        return self.model_admin.model

    def back_to(self, target: Any) -> str:
        return catalogue_url()

    def initial(self, target: Any, known: Catalogue) -> dict[str, Any]:
        return {"enabled": True, "read_risk": "medium", "full_risk": "high"}

    def code(self, target: Any, form: EntryForm) -> str:
        return str(form.cleaned_data["code"])

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        code = form.cleaned_data["code"]
        if editions.in_force().described(code) is not None:
            raise CatalogueNotTaken(f"There is an entry for {code} already. Edit that one.")
        return super().perform(target, form, actor)


class TakeBack(CatalogueAct):
    slug = "take-back"
    route = "entry/<str:code>/take-back/"
    label = "Take the override back"
    summary = "Let the shipped entry count again."
    tone = "stop"

    def find(self, request: HttpRequest, object_id: int = 0, **values: Any) -> Any:
        known, code = editions.in_force(), values["code"]
        return known.described(code) if known.origin(code) is not Origin.SHIPPED else None

    def heading(self, target: CatalogueEntry) -> str:
        return f"Take back what operators wrote of {target.code}"

    def name(self, target: CatalogueEntry) -> str:
        return target.code

    def stops(self, target: CatalogueEntry) -> Sequence[str]:
        shipped = catalogue.load().described(target.code)
        first = (
            "The shipped entry counts again."
            if shipped
            else f"{target.code} is unknown again: it grants nothing, and approvals of it have no effect."
        )
        return (first, *super().stops(target))

    def edit(self, target: Any, form: Any) -> Edit:
        return preview_removal(target.code)

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        edit = remove_catalogue_override(
            code=target.code, actor=actor, reason=form.cleaned_data["reason"], seen=seen_edition(form)
        )
        return _outcome(edit, "it was taken back already")


class ImportCatalogue(PreviewedAct, CreateAct):
    slug = "import-catalogue"
    route = "import/"
    label = "Import"
    summary = "Put the entries of a file in the place of all that operators wrote."
    form_class = ImportCatalogueForm

    def find(self, request: HttpRequest, object_id: int = 0, **_values: Any) -> Any:
        return self.model_admin.model

    def heading(self, target: Any) -> str:
        return "Import the operators' part of the scope catalogue"

    def back_to(self, target: Any) -> str:
        return catalogue_url()

    def kept(self, form: Any) -> dict[str, str]:
        # A browser does not offer a file twice.
        return {"document": self._source(form)}

    def digest(self, target: Any, form: Any) -> str:
        return sha256(self._source(form).encode("utf-8", "surrogatepass")).hexdigest()

    def edit(self, target: Any, form: Any) -> Edit:
        return preview_import(self._source(form))

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        edit = import_catalogue(
            document=self._source(form), actor=actor, reason=form.cleaned_data["reason"], seen=seen_edition(form)
        )
        return _outcome(edit, "this is what operators wrote already")

    def _source(self, form: Any) -> str:
        # Read once: a form field in a browser ends its lines otherwise than a file does.
        if not hasattr(form, "read_source"):
            form.read_source = form.source().replace("\r\n", "\n")
        return str(form.read_source)


def _outcome(edit: Edit, already: str) -> Outcome:
    words = f"Saved as edition {edit.catalogue.edition}, in force from now on. {_touched_words(edit.touched)}"
    return Outcome.of(edit.changed, words, already=already)


def _touched_words(touched: Touched) -> str:
    if touched == Touched():
        return "No approval in force reaches less or more through it."
    said = []
    if touched.less:
        said.append(f"{plural(touched.less, 'approval')} in force {_verb(touched.less)} less through it.")
    if touched.again:
        said.append(
            f"{plural(touched.again, 'approval')} in force {_verb(touched.again)} again what was approved then and an "
            "earlier edit took."
        )
    return " ".join(said)


def _verb(count: int) -> str:
    return "reaches" if count == 1 else "reach"


class _ShownChange:
    """A change with what pages show of it."""

    def __init__(self, change: EntryChange) -> None:
        self.change = change
        tones = [("wider", change.wider, "bad"), ("narrower", change.narrower, "good"), ("risk", change.risks, "wait")]
        self.lines = [(badge(word, tone), lines) for word, lines, tone in tones if lines]


# --- Looking ---------------------------------------------------------------------------------------------------


@admin.register(CatalogueEdition)
class CatalogueEditionAdmin(ReadOnlyAdmin):
    list_display = (
        column("edition", "edition", lambda row: row, order="number"),
        text_of("saved_by", "saved by"),
        at("saved_at", "saved"),
        column("why", "reason", lambda row: visible(row.reason)),
        column("sha", "SHA-256", lambda row: mono(row.sha256[:8])),
    )
    search_fields = ("saved_by", "reason")
    ordering = ("-number",)
    facts = (
        column("edition", "edition", lambda row: row),
        text_of("saved_by", "saved by"),
        at("saved_at", "saved"),
        column("why", "reason", lambda row: visible(row.reason)),
        column("sha", "SHA-256 of the operators' entries", lambda row: mono(row.sha256)),
        column("ships", "shipped file of that day", lambda row: mono(row.shipped)),
        column("file", "what operators had written", lambda row: _export_link(row)),
    )
    act_classes = (EditEntry, NewEntry, TakeBack, ImportCatalogue)
    intro = "What operators laid over the shipped catalogue, edit by edit. The newest counts; none is ever changed."
    empty_text = "Nobody edited the catalogue: the shipped one counts."
    # Where the menu leads to, and as what.
    entrance: ClassVar[tuple[str, str]] = (f"admin:{_NAME}_catalogue", "Scope catalogue")

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
        links = [(catalogue_url(), "Scope catalogue")]
        return super().changelist_view(request, {"list_links": links, **(extra_context or {})})

    def audit_query(self, row: CatalogueEdition) -> dict[str, Any]:
        return {"target_kind": "catalogue"}

    def page_title(self, row: CatalogueEdition) -> str:
        return f"Edition {row.number} of the scope catalogue"

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
            "title": "Scope catalogue",
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
            "title": f"Scope {code}",
            "entry": entry,
            "levels": [
                (level, entry.at(level), badge(entry.at(level).risk, RISK_TONES[entry.at(level).risk]))
                for level in Level
            ],
            "state": join(_state(entry, origin)),
            "reach": reach_of(entry).in_words(),
            "against_shipped": _ShownChange(change_of(code, shipped, entry)) if origin is Origin.OVERRIDDEN else None,
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
            words = f"Edition {known.edition} of the scope catalogue is damaged: {visible_text(known.damage)}."
            return HttpResponse(words, status=HTTPStatus.CONFLICT, content_type="text/plain; charset=utf-8")
        name = f"scope-catalogue-{'operators-' if own else ''}{known.edition}.json"
        text = catalogue.exported(known.own if own else known.entries)
        response = HttpResponse(text, content_type="application/json; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def _may_look(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _entry_links(self, request: HttpRequest, code: str, origin: Origin) -> list[tuple[str, str, str, str]]:
        if not request.user.has_perm(PERMISSION):
            return []
        return [
            (act.url(code=code), act.label, act.tone, act.summary)
            for act in self.acts
            if isinstance(act, EditEntry) or (isinstance(act, TakeBack) and origin is not Origin.SHIPPED)
        ]


def _holds(entry: CatalogueEntry, known: Catalogue, sought: str) -> bool:
    texts = (
        entry.code, entry.title, entry.meaning, *entry.modules, *entry.models, entry.read.risk, entry.full.risk,
        known.origin(entry.code).value, "documented" if entry.documented else "assumption",
    )  # fmt: skip
    return any(sought in text.lower() for text in texts)


def _state(entry: CatalogueEntry, origin: Origin) -> list[Any]:
    found = [badge(*_ORIGINS[origin])] if origin is not Origin.SHIPPED else []
    found.append(badge("documented", "good") if entry.documented else badge("assumption", "wait"))
    return found if entry.enabled else [*found, badge("off", "gone")]


def _entries_table(entries: Sequence[CatalogueEntry], known: Catalogue, used: dict[str, int] | None) -> Table:
    def risk(entry: CatalogueEntry, level: Level) -> Any:
        meaning = entry.at(level)
        return format_html(
            '<span class="nowrap">{} {}</span>', level.value, badge(meaning.risk, RISK_TONES[meaning.risk])
        )

    def reached(entry: CatalogueEntry) -> Any:
        models = ", ".join(entry.models) or "all of its models"
        return format_html('{} <span class="quiet-note">{}</span>', ", ".join(entry.modules), visible(models))

    approvals = () if used is None else ("Approvals in force",)
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
    columns = ("Scope", "Title", "Risk", "Modules and models", "State", *approvals)
    return Table("Scopes", columns, rows, "Nothing matches.", kind="catalogue")


def _history_table(rows: Sequence[CatalogueEdition]) -> Table:
    return Table(
        "Latest editions",
        ("Edition", "Saved", "By", "Reason"),
        [
            (
                format_html('<a href="{}">{}</a>', change_url(row), row.number),
                utc(row.saved_at),
                visible(row.saved_by),
                visible(row.reason),
            )
            for row in rows
        ],
        "Nobody edited the catalogue: the shipped one counts.",
        more_url=list_url(CatalogueEdition) if rows else "",
        more="All editions",
    )


def _export_link(row: CatalogueEdition) -> Any:
    return format_html('<a href="{}?edition={}">as JSON</a>', reverse(f"admin:{_NAME}_export"), row.number)


def _against(request: HttpRequest, row: CatalogueEdition) -> int:
    """Return the number of the edition to compare with: the one that the address names, else the one before."""
    named = request.GET.get("against", "")
    return int(named) if _is_number(named) else row.number - 1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _changes_table(before: CatalogueEdition | None, row: CatalogueEdition, number: int) -> Table:
    title = f"What it changed since edition {number}" if number else "What it changed of the shipped catalogue"
    columns = ("Scope", "Change", "Wider", "Narrower", "Risk", "Words")
    if number and before is None:
        return Table(title, columns, (), f"There is no edition {number}.")
    try:
        found = changes(editions.catalogue_of(before), editions.catalogue_of(row))
    except CatalogueInvalid as error:
        return Table(title, columns, (), f"An edition is damaged: {visible_text(error)}")
    rows = [
        (
            mono(change.code),
            change.summary,
            *(join(map(visible, lines), "; ") or "–" for lines in (change.wider, change.narrower, change.risks)),
            join(map(visible, change.words)) or "–",
        )
        for change in found[:_MOST_CHANGES]
    ]
    note = "Both are laid over the file that is shipped today."
    if len(found) > _MOST_CHANGES:
        note += f" {len(found) - _MOST_CHANGES} more are left out here; the exports hold all."
    return Table(title, columns, rows, "Nothing: the two say the same.", note=note, kind="catalogue")


def _others_table(row: CatalogueEdition, others: Sequence[CatalogueEdition], number: int) -> Table:
    def choice(other: int) -> Any:
        if other == number:
            return badge("compared above", "plain")
        return format_html('<a href="{}?against={}">compare</a>', change_url(row), other)

    rows = [
        (
            format_html('<a href="{}">{}</a>', change_url(other), other.number),
            utc(other.saved_at),
            visible(other.saved_by),
            choice(other.number),
        )
        for other in others
    ]
    return Table(
        "Other editions",
        ("Edition", "Saved", "By", "Compare"),
        [*rows, ("0", "shipped", "–", choice(0))],
        "None.",
        note="Older ones are in the list of editions; ?against= and a number compares with any of them.",
    )
