"""Who may have a code mailed with which another password is set. The page says the same whoever asks."""

from allauth.account.forms import ResetPasswordForm
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from installations.said import said

_NO_MAIL = said("This service sends no mail. Ask somebody who manages operators for another password.")


class OperatorResetForm(ResetPasswordForm):  # type: ignore[misc]  # allauth is not typed
    """Find the one operator who has the address, is active and signs in with a password; nobody otherwise."""

    def clean_email(self) -> str:
        if not settings.SENDS_MAIL:
            raise ValidationError(_NO_MAIL, code="no_mail")
        address: str = self.cleaned_data["email"]
        found = [user for user in _with_address(address) if user.has_usable_password()]
        # With two accounts behind one address, nobody could tell which of them the code is for.
        self.users = found if len(found) == 1 else []
        return address


def _with_address(address: str) -> list[User]:
    """Return active operators by their mail address. What databases hold to be the same letter may be another one."""
    rows = User.objects.filter(email__iexact=address, is_active=True, is_staff=True)
    return [user for user in rows if user.email == address or (address.isascii() and _same(user.email, address))]


def _same(one: str, other: str) -> bool:
    return one.isascii() and one.lower() == other.lower()
