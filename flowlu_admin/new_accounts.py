"""A new operator's account before it is saved, with a name and a password that hold."""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from installations.actors import is_reserved
from installations.errors import InvalidRequest
from installations.said import said

# Nothing that could pass for another operator's name in the audit trail.
NAME = RegexValidator(
    r"\A[a-z0-9][a-z0-9._-]*\Z", said("Use small letters of the English alphabet, digits, dots, dashes and underscores")
)
_LONGEST_PROPOSED = 100


def new_account(*, name: str, email: str, password: str, **more: Any) -> User:
    """Return the account, not saved. Raises InvalidRequest, which names the fields `username`, `email`, `password`."""
    account = User(username=name, email=email, is_staff=True, **more)
    account.clean()  # sign-in normalises the name, so what is stored must be normalised too
    wrong: dict[str, str] = {}
    try:
        account.clean_fields(exclude=["password"])
    except ValidationError as error:
        wrong |= {field: _one(texts) for field, texts in error.message_dict.items()}
    if is_reserved(account.username):
        wrong["username"] = said("The service itself goes by this name. Choose another one")
    try:
        validate_password(password, account)
    except ValidationError as error:
        wrong["password"] = _one(error.messages)
    if wrong:
        raise InvalidRequest(fields=wrong)
    account.set_password(password)
    return account


def new_account_without_password(*, name: str, email: str) -> User | None:
    """Return the account of somebody who signs in elsewhere, not saved, under a name that nobody has.

    The name is made of the one that is proposed, whatever that is; so is the mail address, where it is one. A name that
    the service itself goes by is taken. None where they may have an account here already, removed perhaps: somebody has
    the address or, where there is none, the name.
    """
    proposed, address = _usable_name(name), _usable_address(email)
    same = {"email__iexact": address} if address else {"username__iexact": proposed}
    if (address or proposed) and User.objects.filter(**same).exists():
        return None
    account = User(username=_free_name(proposed or "operator"), email=address, is_staff=True)
    account.set_unusable_password()
    return account


def _usable_address(email: str) -> str:
    try:
        User._meta.get_field("email").clean(email, User())
    except ValidationError:
        return ""
    return email if email.isascii() else ""


def _usable_name(proposed: str) -> str:
    name = proposed.strip().lower().partition("@")[0][:_LONGEST_PROPOSED]
    try:
        NAME(name)
    except ValidationError:
        return ""
    return name


def _free_name(name: str) -> str:
    """Return the name, with a number behind it where somebody has it, or the service itself."""
    taken = {
        each.lower() for each in User.objects.filter(username__istartswith=name).values_list("username", flat=True)
    }
    number = 1
    while (free := name if number == 1 else f"{name}-{number}") in taken or is_reserved(free):
        number += 1
    return free


def _one(texts: list[str]) -> str:
    return " ".join(texts).removesuffix(".")
