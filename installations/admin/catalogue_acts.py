"""Edits of the scope catalogue: what each changes is shown before it is saved."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations import catalogue, editions
from installations.actors import Actor
from installations.admin.acts import Act, CreateAct, Outcome, posted
from installations.admin.display import badge
from installations.admin.text import Text, sentences, visible_text
from installations.catalogue import Catalogue, CatalogueEntry, Origin
from installations.catalogue_changes import EntryChange, Touched, change_of
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
from installations.catalogue_forms import CatalogueForm, EntryForm, ImportCatalogueForm, NewEntryForm, entry_values
from installations.errors import CatalogueNotTaken, DomainError
from installations.forms import ReasonForm

_NAME = "installations_catalogueedition"
MOST_CHANGES = 100


def catalogue_url() -> str:
    return reverse(f"admin:{_NAME}_catalogue")


def entry_url(code: str) -> str:
    return reverse(f"admin:{_NAME}_entry", kwargs={"code": code})


class CatalogueAct(Act):
    """An edit of the catalogue. What it changes is shown before it is saved."""

    permission = PERMISSION
    template_name = "admin/installations/catalogueedition/edit.html"
    form_class = CatalogueForm
    tone = "go"
    empowers = True
    stops_heading = _("What happens")
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

    def stops(self, target: Any) -> Sequence[Text]:
        return (
            gettext(
                "From the moment this is saved, on every worker. A call that an entry covers no more is refused, "
                "whoever approved it."
            ),
            gettext(
                "What an entry covers beyond what was approved is granted to nobody until it is approved again, and "
                "to no purpose or API key until it is named again. What was approved, and an edit took, counts again."
            ),
        )

    def stays(self, target: Any) -> Sequence[Text]:
        return (
            gettext("Approvals stay, and so do the words of the edition under which each was given."),
            gettext("Scopes in manifests stay as they are written."),
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
            "touched": sentences(*_touched_words(edit.touched)) if edit else "",
            "changes": [ShownChange(change) for change in edit.changes[:MOST_CHANGES]] if edit else [],
            "left_out": max(len(edit.changes) - MOST_CHANGES, 0) if edit else 0,
            "shown_first": self.previewed and edit is None,
            "against_shipped": self.against_shipped(target, form) if edit else None,
        }

    def against_shipped(self, target: Any, form: Any) -> "ShownChange | None":
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
            form.add_error(None, gettext("The scope catalogue was edited while you were reading it. Look at it again."))
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
    label = _("Edit the entry")

    def code(self, target: Any, form: EntryForm) -> str:
        return str(target.code)

    def digest(self, target: Any, form: Any) -> str:
        return sha256(catalogue.written([form.entry(self.code(target, form))])).hexdigest()

    def edit(self, target: Any, form: Any) -> Edit:
        return preview_entry(form.entry(self.code(target, form)))

    def against_shipped(self, target: Any, form: Any) -> "ShownChange | None":
        code = self.code(target, form)
        shipped = catalogue.load().described(code)
        return ShownChange(change_of(code, shipped, form.entry(code))) if shipped else None

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        assert isinstance(form, EntryForm)  # noqa: S101 - declared above
        edit = save_catalogue_entry(
            entry=form.entry(self.code(target, form)),
            actor=actor,
            reason=form.cleaned_data["reason"],
            seen=seen_edition(form),
        )
        return _outcome(edit, gettext("Nothing changed: this is what the entry says already."))


class EditEntry(EntryAct):
    slug = "edit-entry"
    route = "entry/<str:code>/edit/"
    summary = _("Change what the scope means, covers and risks.")

    def find(self, request: HttpRequest, object_id: int = 0, **values: Any) -> Any:
        return editions.in_force().described(values["code"])

    def heading(self, target: CatalogueEntry) -> str:
        return gettext("Edit %(code)s") % {"code": target.code}

    def name(self, target: CatalogueEntry) -> str:
        return target.code

    def back_to(self, target: CatalogueEntry) -> str:
        return entry_url(target.code)

    def initial(self, target: CatalogueEntry, known: Catalogue) -> dict[str, Any]:
        return entry_values(known.described(target.code) or target)


class NewEntry(EntryAct, CreateAct):
    slug = "new-entry"
    route = "new/"
    label = _("New entry")
    form_class = NewEntryForm
    summary = _("Describe a scope that is not shipped.")

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
            raise CatalogueNotTaken(gettext("There is an entry for %(code)s already. Edit that one.") % {"code": code})
        return super().perform(target, form, actor)


class TakeBack(CatalogueAct):
    slug = "take-back"
    route = "entry/<str:code>/take-back/"
    label = _("Take the override back")
    summary = _("Let the shipped entry count again.")
    tone = "stop"

    def find(self, request: HttpRequest, object_id: int = 0, **values: Any) -> Any:
        known, code = editions.in_force(), values["code"]
        return known.described(code) if known.origin(code) is not Origin.SHIPPED else None

    def heading(self, target: CatalogueEntry) -> str:
        return gettext("Take back what operators wrote of %(code)s") % {"code": target.code}

    def name(self, target: CatalogueEntry) -> str:
        return target.code

    def stops(self, target: CatalogueEntry) -> Sequence[Text]:
        shipped = catalogue.load().described(target.code)
        first = (
            gettext("The shipped entry counts again.")
            if shipped
            else gettext("%(code)s is unknown again: it grants nothing, and approvals of it have no effect.")
            % {"code": target.code}
        )
        return (first, *super().stops(target))

    def edit(self, target: Any, form: Any) -> Edit:
        return preview_removal(target.code)

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        edit = remove_catalogue_override(
            code=target.code, actor=actor, reason=form.cleaned_data["reason"], seen=seen_edition(form)
        )
        return _outcome(edit, gettext("Nothing changed: it was taken back already."))


class ImportCatalogue(PreviewedAct, CreateAct):
    slug = "import-catalogue"
    route = "import/"
    label = _("Import")
    summary = _("Put the entries of a file in the place of all that operators wrote.")
    form_class = ImportCatalogueForm

    def find(self, request: HttpRequest, object_id: int = 0, **_values: Any) -> Any:
        return self.model_admin.model

    def heading(self, target: Any) -> str:
        return gettext("Import the operators' part of the scope catalogue")

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
        return _outcome(edit, gettext("Nothing changed: this is what operators wrote already."))

    def _source(self, form: Any) -> str:
        # Read once: a form field in a browser ends its lines otherwise than a file does.
        if not hasattr(form, "read_source"):
            form.read_source = form.source().replace("\r\n", "\n")
        return str(form.read_source)


def _outcome(edit: Edit, already: str) -> Outcome:
    saved = gettext("Saved as edition %(edition)s, in force from now on.") % {"edition": edit.catalogue.edition}
    return Outcome.of(edit.changed, sentences(saved, *_touched_words(edit.touched)), already=already)


def _touched_words(touched: Touched) -> Iterator[str]:
    """Say what becomes of approvals in force, a sentence for each way."""
    if touched == Touched():
        yield gettext("No approval in force reaches less or more through it.")
    if touched.less:
        words = ngettext(
            "%(count)s approval in force reaches less through it.",
            "%(count)s approvals in force reach less through it.",
            touched.less,
        )
        yield words % {"count": f"{touched.less:,}"}
    if touched.again:
        words = ngettext(
            "%(count)s approval in force reaches again what was approved then and an earlier edit took.",
            "%(count)s approvals in force reach again what was approved then and an earlier edit took.",
            touched.again,
        )
        yield words % {"count": f"{touched.again:,}"}


class ShownChange:
    """A change with what pages show of it."""

    def __init__(self, change: EntryChange) -> None:
        self.change = change
        tones = [("wider", change.wider, "bad"), ("narrower", change.narrower, "good"), ("risk", change.risks, "wait")]
        self.lines = [(badge(word, tone), lines) for word, lines, tone in tones if lines]
