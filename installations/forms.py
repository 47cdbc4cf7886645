"""What operators hand in. The forms check shape only; every rule is the verb's."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core import signing
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import scopes
from installations.actors import REASON_MAX, clean_reason
from installations.approving import Seen, in_force_digest
from installations.catalogue import (
    RISKS,
    Catalogue,
)
from installations.errors import ReasonRequired
from installations.manifests import MAX_BYTES
from installations.models import Application, ApprovedPermission, Installation
from installations.origins import MAX_ORIGINS
from installations.review_rules import Proposal
from installations.reviews import ReviewLine, next_review, seen_as
from installations.saying import translated
from installations.seen import digest_of
from installations.selectors import ScopeReview, ScopeRow
from installations.trail.exporting import Format

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class ReasonForm(forms.Form):
    """The reason of an act, kept in the audit trail."""

    error_css_class = "errors"
    reason = forms.CharField(
        max_length=REASON_MAX,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text=format_lazy(
            _("1 to {most} characters. Kept in the audit trail with your name. Never put a token in here."),
            most=REASON_MAX,
        ),
        error_messages={
            "required": format_lazy(
                _("Give a reason of 1 to {most} characters. It is kept in the audit trail."), most=REASON_MAX
            )
        },
    )

    def clean_reason(self) -> str:
        try:
            return clean_reason(self.cleaned_data["reason"])
        except ReasonRequired as error:
            raise forms.ValidationError(translated(error.public_message), code=error.code) from None

    def own_fields(self) -> Iterator[forms.BoundField]:
        """Return the fields that the common page lays out, the reason last."""
        fields = [field for field in self.visible_fields() if field.name not in self.laid_out_elsewhere]
        yield from (field for field in fields if field.name != "reason")
        yield from (field for field in fields if field.name == "reason")

    laid_out_elsewhere: ClassVar[frozenset[str]] = frozenset()


class SeenForm(ReasonForm):
    """An edit form that carries what the page showed, signed, so that a stale page overwrites nobody's change."""

    seen_salt: ClassVar[str]
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def show(self, digest: str) -> None:
        self.initial = {**self.initial, "seen": signing.dumps(digest, salt=self.seen_salt)}

    def clean_seen(self) -> str:
        """Return the digest of what was shown. A form that does not carry it was not sent from a page that was seen."""
        try:
            return str(signing.loads(self.cleaned_data["seen"], salt=self.seen_salt))
        except signing.BadSignature:
            # Not beside its field, which nobody sees.
            self.add_error(None, gettext("This page cannot be read any more. Look at it again."))
            return ""


def _review_by(words: "_StrPromise") -> forms.DateField:
    return forms.DateField(
        label=_("Next review on an earlier day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date", "autocomplete": "off"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text=format_lazy(
            "{} {}", words, _("Left empty, the risk of each scope gives the day; it cannot be later.")
        ),
        error_messages={"invalid": _("Write the day as 2026-04-01, or leave it empty.")},
    )


class ApproveForm(ReasonForm):
    """One choice for each code that may be approved. Nothing chosen for a code leaves it as it is."""

    seen_manifest = forms.CharField(widget=forms.HiddenInput, max_length=64)
    seen_in_force = forms.CharField(widget=forms.HiddenInput, max_length=64)
    seen_catalogue = forms.CharField(widget=forms.HiddenInput, max_length=64)
    review_by = _review_by(_("Of what is approved now."))

    def __init__(
        self,
        *args: Any,
        installation: Installation,
        review: ScopeReview,
        in_force: Sequence[ApprovedPermission],
        catalogue: Catalogue,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seen_manifest"].initial = installation.manifest.sha256
        self.fields["seen_in_force"].initial = in_force_digest(in_force)
        self.fields["seen_catalogue"].initial = catalogue.version
        self.installation, self.review, self.catalogue = installation, review, catalogue
        self.rows = {f"scope-{row.code}": row for row in review.to_decide}
        for name, row in self.rows.items():
            self.fields[name] = _Decision(row, catalogue)

    def own_fields(self) -> Iterator[forms.BoundField]:
        yield self["review_by"]
        yield self["reason"]

    def seen(self) -> Seen:
        values = self.cleaned_data
        return Seen(values["seen_manifest"], values["seen_in_force"], values["seen_catalogue"])

    def decisions(self) -> list[tuple[ScopeRow, forms.BoundField]]:
        """Return each code with its choice, for the page."""
        return [(row, self[name]) for name, row in self.rows.items()]

    def preselect(self, risks: Collection[str]) -> None:
        """Choose what is asked for of these risks, as declared, where nothing wider is approved. It still has to be
        sent."""
        for name, row in self.rows.items():
            decision, asked = self.fields[name], row.requested
            values = [value for value, _words in decision.choices]  # type: ignore[attr-defined]  # see WithdrawForm
            if asked is not None and row.about.risk in risks and str(asked) in values and not row.beyond_request:
                self.initial[name] = str(asked)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        seen = cleaned.get("seen_manifest")
        if seen is not None and seen != self.installation.manifest.sha256:
            raise forms.ValidationError(
                gettext(
                    "The application's manifest was replaced while you were reading it. Start again with the new one."
                ),
                code="manifest_replaced",
            )
        if not self.chosen() and not any(name in self.errors for name in self.rows):
            raise forms.ValidationError(
                gettext("Choose at least one scope to approve, or go back."), code="nothing_chosen"
            )
        return cleaned

    def chosen(self) -> list[str]:
        return [self.cleaned_data[name] for name in self.rows if self.cleaned_data.get(name)]


class _Decision(forms.ChoiceField):
    def __init__(self, row: ScopeRow, known: Catalogue) -> None:
        super().__init__(label=row.code, choices=list(_choices(row, known)), required=False, widget=forms.RadioSelect)
        self.in_force = str(row.approval or "")

    def valid_value(self, value: str) -> bool:
        # The second of two submits chooses what the first one has brought into force: that is for the verb to see.
        return super().valid_value(value) or (bool(value) and value == self.in_force)


def _choices(row: ScopeRow, known: Catalogue) -> Iterator[tuple[str, str]]:
    assert row.requested is not None  # noqa: S101 - rows to decide are known scopes
    held = scopes.Level(row.approval.level) if row.approval else None
    yield "", gettext("leave as it is: %(held)s is approved") % {"held": held} if held else gettext("not now")
    for level in scopes.Level:
        if level > row.requested.level or (level == held and not row.covers_changed):
            continue
        words = gettext("approve %(level)s") % {"level": level}
        if held is not None:
            words = (
                gettext("%(level)s again, with what it covers today") % {"level": level}
                if level == held
                else gettext("%(level)s instead of %(held)s") % {"level": level, "held": held}
            )
        words = gettext("%(decision)s, review by %(day)s") % {
            "decision": words,
            "day": next_review(scopes.Scope(row.code, level), known),
        }
        yield f"{row.code}.{level}", words


class ApproveManyForm(ReasonForm):
    """The same scopes for many installations, which the page has pinned."""

    pinned = forms.CharField(widget=forms.HiddenInput, required=False)
    pin_salt: ClassVar[str] = "installations.forms.ApproveManyForm"
    laid_out_elsewhere = frozenset({"scopes"})

    scopes = forms.MultipleChoiceField(
        label=_("Approve"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one scope to approve, or go back.")},
    )

    def __init__(self, *args: Any, review: ScopeReview, pin: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = review.to_decide
        offered = [f"{row.code}.{level}" for row in self.rows for level in scopes.Level if row.asks_for(level)]
        self.fields["scopes"].choices = [(text, text) for text in offered]  # type: ignore[attr-defined]  # see WithdrawForm
        self.initial = {**self.initial, "pinned": signing.dumps(pin, salt=self.pin_salt)}

    def decisions(self) -> Iterator[tuple[ScopeRow, list[Any]]]:
        """Return each code with its levels to tick, for the page."""
        boxes = list(self["scopes"])
        for row in self.rows:
            yield row, [box for box in boxes if str(box.data["value"]).rpartition(".")[0] == row.code]

    def clean_pinned(self) -> str:
        """Return the pin of what was shown. A form without one was not sent from a page that was seen."""
        try:
            return str(signing.loads(self.cleaned_data["pinned"], salt=self.pin_salt))
        except signing.BadSignature:
            self.add_error(None, gettext("This page cannot be read any more. Choose the installations again."))
            return ""


_REVIEW = "review-"


class WithholdForm(ReasonForm):
    """A decision about the manifest that the page showed."""

    seen_manifest = forms.CharField(widget=forms.HiddenInput, max_length=64)


_NOT_APPROVED_ANY_MORE = _("%(value)s is not approved any more. Look at the list again.")


class WithdrawForm(ReasonForm):
    """Scopes in force, each with the level that the page showed: at another one the choice does not count."""

    codes = forms.MultipleChoiceField(
        label=_("Withdraw"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": _("Choose at least one approved scope to withdraw, or go back."),
            "invalid_choice": _NOT_APPROVED_ANY_MORE,
        },
    )
    keep = forms.MultipleChoiceField(
        label=_("Keep"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "These have no effect now, because a wider scope swallows them. When that one is withdrawn they are "
            "withdrawn with it, so that nothing comes into force by itself. Tick what is to stay and count then."
        ),
        error_messages={"invalid_choice": _NOT_APPROVED_ANY_MORE},
    )

    def __init__(self, *args: Any, in_force: list[ApprovedPermission], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        swallowed = scopes.swallowed(row.as_approval().scope for row in in_force)
        codes, keep = self.fields["codes"], self.fields["keep"]
        # Declared above as choices; by name the stubs know them as fields of any kind.
        codes.choices = [(str(row), _withdrawal_words(row, swallowed)) for row in in_force]  # type: ignore[attr-defined]  # see below
        if swallowed:
            keep.choices = [  # type: ignore[attr-defined]  # the stubs know fields, not which kind this one is
                (
                    str(row),
                    gettext("%(row)s (swallowed by %(swallowed)s)") % {"row": row, "swallowed": swallowed[row.code]},
                )
                for row in in_force
                if row.code in swallowed
            ]
        else:
            del self.fields["keep"]


def _withdrawal_words(row: ApprovedPermission, swallowed: dict[str, str]) -> str:
    takes = sorted(code for code, by in swallowed.items() if by == row.code)
    if not takes:
        return str(row)
    return gettext("%(scope)s – withdraws with it what it swallows: %(takes)s") % {
        "scope": row,
        "takes": ", ".join(takes),
    }


def small_enough(uploaded: Any, most: int) -> Any:
    if uploaded is not None and (uploaded.size or 0) > most:
        raise forms.ValidationError(gettext("The file is larger than 1 MiB."), code="too_large")
    return uploaded


_DECIDED = re.compile(r"(?P<decision>keep|lower|withdraw) (?P<seen>[0-9]{1,19}/[0-9]{1,20})")


class ReviewForm(ReasonForm):
    """One choice for each approved scope, which says what the page showed of it. Nothing chosen leaves it as it is."""

    review_by = _review_by(_("Of what is kept or lowered."))

    def __init__(
        self,
        *args: Any,
        lines: Sequence[ReviewLine],
        may_keep: bool,
        may_take: bool,
        chosen: tuple[str, str] = ("", ""),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lines = {f"{_REVIEW}{line.approval.code}": line for line in lines}
        code, decision = chosen
        for name, line in self.lines.items():
            self.fields[name] = field = _ReviewDecision(line, may_keep=may_keep, may_take=may_take)
            if line.approval.code == code:
                field.initial = f"{decision} {seen_as(line.approval)}"

    def own_fields(self) -> Iterator[forms.BoundField]:
        yield self["review_by"]
        yield self["reason"]

    def waiting(self) -> list[tuple[ReviewLine, forms.BoundField]]:
        """Return what is to be decided about, the highest risk first and then by its day."""
        return [(line, self[name]) for name, line in self._sorted() if line.waits]

    def others(self) -> list[tuple[ReviewLine, forms.BoundField]]:
        """Return what may be decided about as well."""
        return [(line, self[name]) for name, line in self._sorted() if not line.waits]

    def _sorted(self) -> list[tuple[str, ReviewLine]]:
        return sorted(
            self.lines.items(), key=lambda item: (-RISKS.index(item[1].risk), item[1].approval.review_by, item[0])
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in sorted(self.data.keys() - self.fields.keys()):
            code = name.removeprefix(_REVIEW)
            if name.startswith(_REVIEW) and self.data[name] and scopes.is_code(code):
                self.add_error(
                    None,
                    gettext("%(code)s is not approved any more. Nothing was changed: look at the rest again.")
                    % {"code": code},
                )
        if not self.seen() and not self.errors:
            self.add_error(None, gettext("Choose what to do with at least one scope, or go back."))
        return cleaned

    def chosen(self, decision: str) -> list[str]:
        """Return the codes for which this was chosen."""
        return [code for code, found in self._choices() if found["decision"] == decision]

    def seen(self) -> dict[str, str]:
        """Return for each code that is decided about what the page showed of it."""
        return {code: found["seen"] for code, found in self._choices()}

    def _choices(self) -> Iterator[tuple[str, re.Match[str]]]:
        for name, line in self.lines.items():
            found = _DECIDED.fullmatch(self.cleaned_data.get(name) or "")
            if found:
                yield line.approval.code, found


class _ReviewDecision(forms.ChoiceField):
    def __init__(self, line: ReviewLine, *, may_keep: bool, may_take: bool) -> None:
        seen = seen_as(line.approval)
        choices = [("", gettext("decide later") if line.waits else gettext("leave as it is"))]
        if may_keep:
            choices.append(
                (
                    f"keep {seen}",
                    gettext("keep, next review by %(next_review)s") % {"next_review": line.next_review},
                )
            )
        if may_take and line.lower_review:
            words = (
                gettext("lower to read, next review by %(day)s, as proposed")
                if line.proposal is Proposal.LOWER
                else gettext("lower to read, next review by %(day)s")
            )
            choices.append(
                (
                    f"lower {seen}",
                    words % {"day": line.lower_review},
                )
            )
        if may_take:
            proposed = line.proposal is Proposal.WITHDRAW
            choices.append((f"withdraw {seen}", gettext("withdraw, as proposed") if proposed else gettext("withdraw")))
        super().__init__(label=str(line.approval), choices=choices, required=False, widget=forms.RadioSelect)

    def valid_value(self, value: str) -> bool:
        # What was decided meanwhile is not among the choices any more: who decided it is for the verb to say.
        return super().valid_value(value) or _DECIDED.fullmatch(value) is not None


def _digest(text: str) -> str:
    """Return what tells texts of a box apart. A browser sends its line ends in a spelling of its own."""
    return digest_of({"text": text.replace("\r\n", "\n").replace("\r", "\n")})


class ImportForm(forms.Form):
    """A manifest, pasted or uploaded."""

    error_css_class = "errors"
    document = forms.CharField(
        label=_("Paste the manifest"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "autocomplete": "off", "class": "code"}),
        help_text=_("JSON, at most 1 MiB."),
    )
    file = forms.FileField(label=_("or choose a file"), required=False, allow_empty_file=True)
    kind = forms.ChoiceField(
        label=_("Kind of application"),
        required=False,
        choices=[("", _("as it is registered; a new one becomes private")), *Application.Kind.choices],
    )
    # What the box holds of a manifest that was refused. As long as nobody changed it, a chosen file takes its place.
    refused = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_file(self) -> Any:
        return small_enough(self.cleaned_data.get("file"), MAX_BYTES)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("file") and cleaned.get("refused") == _digest(cleaned.get("document", "")):
            cleaned["document"] = ""
        if not self.errors and bool(cleaned.get("document")) == bool(cleaned.get("file")):
            raise forms.ValidationError(gettext("Either paste the manifest or choose a file."), code="one_of_two")
        return cleaned

    def keep(self, source: bytes | str) -> None:
        """Show a refused manifest in the box, also an uploaded one: a browser does not offer a file twice."""
        text = source if isinstance(source, str) else source.decode("utf-8", "replace").lstrip("\ufeff")
        self.data = {"kind": self.data.get("kind", ""), "document": text, "refused": _digest(text)}

    def source(self) -> bytes | str:
        """Return what was handed in, as it is."""
        uploaded: Any = self.cleaned_data.get("file")
        return bytes(uploaded.read()) if uploaded else str(self.cleaned_data["document"])


class ConfigureForm(SeenForm):
    seen_salt = "installations.forms.ConfigureForm"
    stores_refresh_tokens = forms.BooleanField(
        label=_("Keep refresh tokens"),
        required=False,
        help_text=_(
            "Off: the refresh token of a pair is never stored. Switching it off wipes those that are stored; "
            "switching it on does not bring any back."
        ),
    )
    refreshed_by = forms.ChoiceField(
        label=_("Refreshed by"),
        required=False,
        choices=Application.RefreshedBy.choices,
        widget=forms.RadioSelect,
        help_text=_(
            "By this service only where its settings name Flowlu's token endpoint and its client there. Then the page "
            "must not refresh through the SDK: a refresh token that is used twice ends the whole sign-in."
        ),
    )
    approval_policy = forms.ChoiceField(
        label=_("Approval policy"),
        required=False,
        choices=Application.ApprovalPolicy.choices,
        widget=forms.RadioSelect,
        help_text=_(
            "Flowlu's administrator of a portal has to approve what an application asks for when it is installed. "
            "Trusted, their scopes are approved here when an installation is first seen, and never again: not for a "
            "later manifest, not after a reinstall, not on installations that are there already. Where four eyes are "
            "on, scopes of high risk always wait for operators. What operators wrote into the scope catalogue counts "
            "by what it reaches: as high risk where the shipped catalogue grants that to nobody."
        ),
    )
    allowed_portals = forms.CharField(
        label=_("Allowed portals"),
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=_(
            "One domain on each line, like acme.flowlu.com. Empty: any portal. Worth setting for a private "
            "application, since anybody can open a trial portal."
        ),
    )

    def clean_allowed_portals(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["allowed_portals"].splitlines() if line.strip()]


class OriginsForm(SeenForm):
    seen_salt = "installations.forms.OriginsForm"
    origins = forms.CharField(
        label=_("Allowed origins"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off", "class": "code"}),
        help_text=format_lazy(
            _(
                "One on each line, like https://app.example.com, without a path. Where a port is in the address bar it "
                "belongs to the origin. At most {most}. Empty: only pages of this service itself."
            ),
            most=MAX_ORIGINS,
        ),
    )

    def clean_origins(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["origins"].splitlines() if line.strip()]


class ExportForm(ReasonForm):
    """The format of an export of the audit trail."""

    format = forms.ChoiceField(
        label=_("Format"),
        widget=forms.RadioSelect,
        initial=Format.JSON_LINES.value,
        choices=[
            (Format.JSON_LINES.value, _("JSON Lines, which verify_audit --file can verify")),
            (Format.CSV.value, _("CSV, for a spreadsheet; it cannot be verified")),
        ],
    )


class WhatIfForm(forms.Form):
    """A call to ask about, and whose answers to show. Everything may be left out; nothing of it is stored."""

    module = forms.CharField(required=False, max_length=100)
    model = forms.CharField(required=False, max_length=100)
    action = forms.CharField(required=False, max_length=100)
    id = forms.CharField(required=False, max_length=32)
    user = forms.CharField(required=False, max_length=32, label=_("Flowlu user id"))

    def __init__(self, *args: Any, may_choose_user: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.may_choose_user = may_choose_user
        if not may_choose_user:
            del self.fields["user"]
        self.is_valid()

    def user_id(self) -> str:
        """Return the number that was given, or nothing."""
        return str(self.cleaned_data.get("user", ""))

    def call_parts(self) -> tuple[str, str, str, str | None] | None:
        """Return module, model, action and id of the call, or None while no call or only a part of one is named."""
        values = {name: self.cleaned_data.get(name, "") for name in ("module", "model", "action", "id")}
        if self.errors or not any(values.values()):
            return None
        missing = [name for name in ("module", "model", "action") if not values[name]]
        self.refuse(dict.fromkeys(missing, gettext("Name it as well: a call has a module, a model and an action.")))
        return None if missing else (values["module"], values["model"], values["action"], values["id"] or None)

    def refuse(self, messages: Mapping[str, str]) -> None:
        """Say beside each field what is wrong with it."""
        for name, message in messages.items():
            self.add_error(name if name in self.fields else None, translated(message))
