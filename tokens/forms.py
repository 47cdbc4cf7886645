"""What operators hand in to revoke tokens."""

from typing import Any

from django import forms

from installations.forms import ReasonForm


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
