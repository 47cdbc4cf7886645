"""What operators hand in to edit the scope catalogue. The forms check shape only; every rule is the verb's."""

import re
from typing import Any, ClassVar

from django import forms
from django.core import signing
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import scopes
from installations.catalogue import (
    MAX_CATALOGUE_BYTES,
    RISKS,
    TEXT_MAX,
    TITLE_MAX,
    CatalogueEntry,
    CatalogueInvalid,
    LevelMeaning,
    rules_of,
    rules_text,
)
from installations.forms import SeenForm, small_enough
from installations.scopes import ANY, Coverage


class CatalogueForm(SeenForm):
    """An edit of the scope catalogue. It carries the edition that was read, and what was shown of its effect."""

    seen_salt = "installations.catalogue_forms.CatalogueForm"
    pinned_salt: ClassVar[str] = "installations.catalogue_forms.CatalogueForm.pinned"
    pinned = forms.CharField(widget=forms.HiddenInput, required=False)

    def was_shown(self, digest: str) -> bool:
        """Say whether the operator has seen what exactly this changes."""
        try:
            return bool(signing.loads(self.cleaned_data["pinned"], salt=self.pinned_salt) == digest)
        except signing.BadSignature:
            return False

    def pin(self, digest: str, **values: str) -> None:
        """Let the form that is shown again carry what it was shown with."""
        sent = {name: self.data[name] for name in self.data}
        self.data = {**sent, "pinned": signing.dumps(digest, salt=self.pinned_salt), **values}


_RISKS = [(risk, risk) for risk in RISKS]
_LONG = {"rows": 2}
_SENTENCES = ("meaning", "read_allows", "full_allows")


class EntryForm(CatalogueForm):
    """One entry of the scope catalogue, in words and rules."""

    title = forms.CharField(max_length=TITLE_MAX)
    meaning = forms.CharField(max_length=TEXT_MAX, widget=forms.Textarea(attrs=_LONG), help_text=_("What it is about."))
    enabled = forms.BooleanField(
        label=_("Can be approved and grants"),
        required=False,
        help_text=_("Off: it is explained on pages, and denied like an unknown scope."),
    )
    covers = forms.CharField(
        label=_("What it covers"),
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "code"}),
        help_text=_(
            "One rule on each line: fin/invoice for every action, fin/* for every model, fin/invoice: list, get for "
            "some actions, core/user: get (own) for calls without an id. Whether an action reads or writes is known "
            "by its name."
        ),
    )
    models = forms.CharField(
        label=_("Models to name where a rule covers all of them"),
        required=False,
        max_length=25_000,
        widget=forms.Textarea(attrs=_LONG | {"spellcheck": "false", "class": "code"}),
        help_text=_("For readers only. Left out where every rule names its model."),
    )
    read_allows = forms.CharField(label=_("Read allows"), max_length=TEXT_MAX, widget=forms.Textarea(attrs=_LONG))
    read_risk = forms.ChoiceField(label=_("Risk of read"), choices=_RISKS)
    read_reason = forms.CharField(label=_("Why this risk of read"), max_length=TEXT_MAX)
    full_allows = forms.CharField(label=_("Full allows"), max_length=TEXT_MAX, widget=forms.Textarea(attrs=_LONG))
    full_risk = forms.ChoiceField(label=_("Risk of full"), choices=_RISKS)
    full_reason = forms.CharField(label=_("Why this risk of full"), max_length=TEXT_MAX)
    documented = forms.BooleanField(label=_("Flowlu's documentation names this scope"), required=False)
    source = forms.CharField(
        label=_("How this is known"),
        max_length=TEXT_MAX,
        help_text=_("A page of the documentation, or: assumption, and why."),
    )

    def clean_covers(self) -> tuple[Coverage, ...]:
        try:
            return rules_of(self.cleaned_data["covers"])
        except CatalogueInvalid as error:
            raise forms.ValidationError(str(error), code="rules") from None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        # Sentences: a browser ends the lines of a box with two characters, of which one would be shown as an escape.
        texts = {name: " ".join(cleaned[name].split()) for name in _SENTENCES if name in cleaned}
        return cleaned | texts

    def clean_models(self) -> tuple[str, ...]:
        return tuple(re.split(r"[\s,]+", self.cleaned_data["models"].strip())) if self.cleaned_data["models"] else ()

    def entry(self, code: str) -> CatalogueEntry:
        """Return what was written, unchecked."""
        values = self.cleaned_data
        rules: tuple[Coverage, ...] = values["covers"]
        ruled = {rule.model for rule in rules}
        return CatalogueEntry(
            code=code,
            title=values["title"],
            meaning=values["meaning"],
            read=LevelMeaning(values["read_allows"], values["read_risk"], values["read_reason"]),
            full=LevelMeaning(values["full_allows"], values["full_risk"], values["full_reason"]),
            covers=rules,
            models=values["models"] if ANY in ruled else tuple(sorted(ruled)),
            documented=values["documented"],
            enabled=values["enabled"],
            source=values["source"],
        )


def entry_values(entry: CatalogueEntry) -> dict[str, object]:
    """Return what an `EntryForm` shows of an entry."""
    return {
        "code": entry.code,
        "title": entry.title,
        "meaning": entry.meaning,
        "enabled": entry.enabled,
        "covers": rules_text(entry.covers),
        "models": " ".join(entry.models),
        "read_allows": entry.read.allows,
        "read_risk": entry.read.risk,
        "read_reason": entry.read.reason,
        "full_allows": entry.full.allows,
        "full_risk": entry.full.risk,
        "full_reason": entry.full.reason,
        "documented": entry.documented,
        "source": entry.source,
    }


class NewEntryForm(EntryForm):
    code = forms.CharField(
        max_length=scopes.MAX_SCOPE_LENGTH,
        help_text=_("As manifests write it, without the level: warehouse or warehouse.stock. Case counts."),
    )
    field_order = ("code",)


class ImportCatalogueForm(CatalogueForm):
    """The operators' part of the scope catalogue, pasted or uploaded."""

    document = forms.CharField(
        label=_("Paste the export"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "autocomplete": "off", "class": "code"}),
        help_text=_("JSON, at most 1 MiB: the operators' part, or the whole catalogue."),
    )
    file = forms.FileField(label=_("or choose a file"), required=False, allow_empty_file=True)

    def clean_file(self) -> Any:
        return small_enough(self.cleaned_data.get("file"), MAX_CATALOGUE_BYTES)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and bool(cleaned.get("document")) == bool(cleaned.get("file")):
            raise forms.ValidationError(gettext("Either paste the catalogue or choose a file."), code="one_of_two")
        return cleaned

    def source(self) -> str:
        """Return what was handed in as text; what is no UTF-8 is left for the verb to refuse."""
        uploaded: Any = self.cleaned_data.get("file")
        return uploaded.read().decode("utf-8", "replace") if uploaded else str(self.cleaned_data["document"])
