"""What operators hand in to revoke tokens. The forms check shape only; every rule is the verb's."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from django import forms
from django.core import signing

from installations.forms import ReasonForm
from installations.models import Application, Portal
from tokens import leaks
from tokens.errors import NoPin, NoTarget
from tokens.targets import MOST_FINGERPRINTS, Pin, RevocationTarget

_AT_ONCE = 200
_SALT: Final = "tokens.revocation.pin"
_TIMES: Final = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")


def sign_pin(pin: Pin) -> str:
    """Return a pin as a page carries it: nobody can confirm a set that no page showed."""
    return signing.dumps(str(pin), salt=_SALT)


def parse_utc(text: str) -> datetime:
    """Return a time that an operator wrote, in UTC; raises ValueError."""
    cleaned = text.strip().removesuffix("UTC").strip().removesuffix("Z")
    for form in _TIMES:
        try:
            return datetime.strptime(cleaned, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError("not a time like 2026-11-25 10:15, in UTC")


class RevokeForm(ReasonForm):
    """A revocation of what the page showed; for tokens of one user with the offer to lock that user as well."""

    pinned = forms.CharField(widget=forms.HiddenInput, required=False, max_length=300)
    also_lock = forms.BooleanField(
        label="Also lock this user: a page reload brings a new token",
        required=False,
        help_text=(
            "Without the lock, the user's next visit hands in a new token and the application works again. "
            "With it nothing can be done in the user's name until an operator unlocks them."
        ),
    )
    drill = forms.BooleanField(
        label="Drill: rehearse it and cut nothing",
        required=False,
        help_text=(
            "Does every step, measures it and takes it back. Only the audit trail says that there was a drill. "
            "Nothing is locked either."
        ),
    )

    def __init__(
        self, *args: Any, asked_at: datetime, offers_lock: bool = False, offers_drill: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.asked_at = asked_at
        if not offers_lock:
            del self.fields["also_lock"]
        if not offers_drill:
            del self.fields["drill"]

    def clean_pinned(self) -> Pin:
        try:
            return Pin.parse(signing.loads(self.cleaned_data["pinned"], salt=_SALT))
        except (signing.BadSignature, NoPin):
            # The field is hidden: its error is shown with those of the whole form.
            self.add_error(None, NoPin.public_message)
            raise forms.ValidationError("", code="no_pin") from None


class RevokeByForm(RevokeForm):
    """Tokens by what an incident knows of them: a list of fingerprints, or a time before which they were stored."""

    fingerprints = forms.CharField(
        required=False,
        max_length=70 * MOST_FINGERPRINTS,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "autocomplete": "off", "class": "code"}),
        help_text=(
            f"One on each line, at most {MOST_FINGERPRINTS:,}: the eight digits that the console shows of a token, or "
            "more of them. Never a token: what is not understood is not shown again."
        ),
    )
    stored_before = forms.CharField(
        label="or everything stored before (UTC)",
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"placeholder": "2026-11-25 10:15", "autocomplete": "off"}),
    )
    portal = forms.CharField(
        label="of that only on the portal",
        required=False,
        max_length=200,
        help_text="Its domain. Empty: on every portal.",
    )
    app_id = forms.CharField(
        label="of that only of the application",
        required=False,
        max_length=200,
        help_text="Its appId. Empty: of every application.",
    )
    choices: ClassVar = ("fingerprints", "stored_before", "portal", "app_id")

    def __init__(self, *args: Any, names_only: bool = False, **kwargs: Any) -> None:
        """Make the form of the first step, which only names tokens, or of the second, which confirms them."""
        super().__init__(*args, **kwargs)
        self.names_only = names_only
        if names_only:
            for name in ("reason", "pinned", "drill"):
                del self.fields[name]
        else:
            for name in self.choices:
                self.fields[name].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = {name: (cleaned.get(name) or "").strip() for name in self.choices}
        if bool(given["fingerprints"]) == bool(given["stored_before"]):
            raise forms.ValidationError("Give either fingerprints or a time.", code="one_of_two")
        try:
            cleaned["target"] = (
                RevocationTarget.of_fingerprints(given["fingerprints"].splitlines())
                if given["fingerprints"]
                else self._stored_before(given)
            )
        except NoTarget as error:
            self.clear_fingerprints()
            raise forms.ValidationError(error.public_message, code="no_target") from None
        return cleaned

    def clear_fingerprints(self) -> None:
        """Leave out of the page what was pasted: it may have been tokens."""
        self.data = {**dict(self.data.items()), "fingerprints": ""}

    def _stored_before(self, given: dict[str, str]) -> RevocationTarget:
        try:
            moment = parse_utc(given["stored_before"])
        except ValueError:
            raise NoTarget("Write the time like 2026-11-25 10:15, in UTC.") from None
        portal = Portal.objects.filter(domain=given["portal"].lower()).first() if given["portal"] else None
        application = Application.objects.filter(app_id=given["app_id"]).first() if given["app_id"] else None
        if given["portal"] and portal is None:
            raise NoTarget("No portal of that name was ever seen here.")
        if given["app_id"] and application is None:
            raise NoTarget("No application of that appId is registered.")
        return RevocationTarget.stored_before(
            moment,
            portal_id=portal.pk if portal else None,
            application_id=application.pk if application else None,
        )


class PortalStepForm(ReasonForm):
    """What was done at the portal, and how that is known."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["reason"]
        field.label = "Who did what, and how you know"
        field.help_text = "1 to 1000 characters. Kept in the ledger and the audit trail with your name."
        field.error_messages["required"] = "Say in 1 to 1000 characters who did what, and how you know."


class _NeverEchoed(forms.Textarea):
    """A box that is empty on every page, whatever was put into it before."""

    def format_value(self, value: Any) -> None:
        return None


class LeakedForm(forms.Form):
    """What was found in a leak, pasted or as a file. Looked at once and given back to nobody."""

    error_css_class = "errors"
    pasted = forms.CharField(
        label="Paste what was found",
        required=False,
        strip=False,
        widget=_NeverEchoed(
            # A browser's spelling service and its memory of forms are places to leak to as well.
            attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off", "autocapitalize": "off", "class": "code"}
        ),
        help_text=(
            "One on each line: a token alone or in quotes, after “Bearer”, or anywhere in a line of a log or JSON. "
            f"At most {leaks.MAX_LINES:,} lines and 1 MiB."
        ),
    )
    file = forms.FileField(
        label="or choose a file", required=False, allow_empty_file=True, help_text="Plain text, UTF-8, at most 1 MiB."
    )

    def clean_file(self) -> Any:
        found: Any = self.cleaned_data.get("file")
        if found is not None and (found.size or 0) > leaks.MAX_BYTES:
            raise forms.ValidationError("The file is larger than 1 MiB: split it.", code="too_large")
        return found

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and bool((cleaned.get("pasted") or "").strip()) == bool(cleaned.get("file")):
            raise forms.ValidationError("Either paste what was found or choose a file.", code="one_of_two")
        return cleaned

    def lines(self) -> list[leaks.LeakedLine]:
        """Return what was handed in, line by line. Raises TooMuchAtOnce."""
        uploaded: Any = self.cleaned_data.get("file")
        text = uploaded.read().decode("utf-8", "replace") if uploaded else self.cleaned_data["pasted"]
        return leaks.read(text)


class CutLeakedForm(ReasonForm):
    """Why the tokens that were ticked are revoked; which they are stands beside it as numbers of rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].initial = "Found in a leak."

    def numbers(self) -> list[int]:
        given = self.data.getlist("token") if hasattr(self.data, "getlist") else []
        return [int(number) for number in given if number.isascii() and number.isdigit() and len(number) < 19][
            :_AT_ONCE
        ]

    def clean(self) -> dict[str, Any]:
        if not self.numbers():
            raise forms.ValidationError(
                "No token was ticked. Look them up again and tick what to revoke.", code="nothing_ticked"
            )
        return super().clean() or {}
