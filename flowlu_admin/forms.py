"""What operators hand in about operators, and who was invited. The forms check shape only; every rule is the verb's."""

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.deception import visible_text
from installations.forms import ReasonForm, SeenForm


def _group_choices() -> list[tuple[str, str]]:
    names = Group.objects.order_by("name").values_list("name", flat=True)
    return [(name, visible_text(name)) for name in names]


class GroupsForm(SeenForm):
    """The groups of an operator, by name. None is allowed: they may sign in then and see nothing."""

    seen_salt = "operator groups"
    groups = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text=_("None: may sign in and see nothing.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["groups"].choices = _group_choices()  # type: ignore[attr-defined]  # the stubs know it as any field


class InviteForm(ReasonForm):
    """Whom to invite, and to which groups."""

    email = forms.EmailField(
        label=_("Mail address"),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text=_("The link goes there. Whoever reads that mailbox can take the place."),
    )
    groups = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text=_("None: may sign in and see nothing.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["groups"].choices = _group_choices()  # type: ignore[attr-defined]  # as above


class CodeForm(forms.Form):
    """The code of an invitation, which the page's script takes from behind the `#` of the link."""

    code = forms.CharField(
        label=_("Code from the mail"),
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=_("What stands behind the # of the link."),
    )


class AcceptForm(forms.Form):
    """The name and the password of a new account."""

    username = forms.CharField(
        label=_("Name to sign in with"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("Small letters, digits, dots, dashes and underscores. The audit trail has it beside what you do."),
    )
    password = forms.CharField(
        max_length=4096, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    again = forms.CharField(
        label=_("Password again"),
        max_length=4096,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = password_validators_help_text_html()

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if "password" in self.cleaned_data and again != self.cleaned_data["password"]:
            raise forms.ValidationError(gettext("The two passwords differ. Type both again."), code="differs")
        return again
