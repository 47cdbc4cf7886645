"""What operators hand in about operators. The forms check shape only; every rule is the verb's."""

from typing import Any

from django import forms
from django.contrib.auth.models import Group

from installations.deception import visible_text
from installations.forms import SeenForm


class GroupsForm(SeenForm):
    """The groups of an operator, by name. None is allowed: they may sign in then and see nothing."""

    seen_salt = "operator groups"
    groups = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None: may sign in and see nothing."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Group.objects.order_by("name").values_list("name", flat=True)
        self.fields["groups"].choices = [(name, visible_text(name)) for name in names]  # type: ignore[attr-defined]  # the stubs know it as any field
