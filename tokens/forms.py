"""What operators hand in to revoke tokens."""

from typing import Any

from django import forms

from installations.forms import ReasonForm
from tokens import leaks

_AT_ONCE = 200


class RevokeForm(ReasonForm):
    """A revocation; for tokens of one user with the offer to lock that user as well."""

    also_lock = forms.BooleanField(
        label="Also lock this user: a page reload brings a new token",
        required=False,
        help_text=(
            "Without the lock, the user's next visit hands in a new token and the application works again. "
            "With it nothing can be done in the user's name until an operator unlocks them."
        ),
    )

    def __init__(self, *args: Any, offers_lock: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not offers_lock:
            del self.fields["also_lock"]


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
