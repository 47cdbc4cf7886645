"""What browsers send of security keys, and the names that operators give them. allauth checks the signatures."""

from typing import Any, Final

from allauth.core import context
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from allauth.mfa.webauthn.internal.auth import (
    get_credentials,
    parse_authentication_response,
    parse_registration_response,
)
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from flowlu_admin.factors import KEY, rename_key

_LONGEST_NAME: Final = 60
_LONGEST_CREDENTIAL: Final = 16_384  # with the certificates of an attestation
_NOT_TAKEN: Final = _("The key was not taken. Try once more.")
# What the parsers raise for an answer that no browser gives.
_MALFORMED: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError)


def _not_taken() -> ValidationError:
    return ValidationError(_NOT_TAKEN, code="incorrect_code")


class _CredentialField(forms.JSONField):
    """What the page's script sends of a key: bounded before it is parsed."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) > _LONGEST_CREDENTIAL:
            raise _not_taken()
        try:
            return super().to_python(value)
        except (ValueError, RecursionError):  # digits without end, depth
            raise _not_taken() from None


def _id_of(credential: dict[str, Any]) -> bytes | None:
    made = parse_registration_response(credential).response.attestation_object.auth_data.credential_data
    return made.credential_id if made else None


def _kept(credential: dict[str, Any]) -> dict[str, Any]:
    """Return of a registration that was checked what a browser sends, and nothing that somebody put beside it."""
    told = credential.get("clientExtensionResults")
    properties = told.get("credProps") if isinstance(told, dict) else None
    resident = properties.get("rk") is True if isinstance(properties, dict) else False
    return {
        **{name: credential[name] for name in ("id", "rawId")},
        "type": "public-key",
        "response": {name: credential["response"][name] for name in ("clientDataJSON", "attestationObject")},
        "clientExtensionResults": {"credProps": {"rk": resident}},
    }


class AddKeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth is not typed
    """A new key. Without a name it gets one: it was made already, and to refuse it would leave it on the device."""

    name = forms.CharField(
        label=_("Name"), required=False, max_length=_LONGEST_NAME, help_text=_("To tell your keys apart.")
    )

    credential = _CredentialField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        try:
            cleaned: dict[str, Any] = super().clean()
            if cleaned.get("credential"):
                is_known = _id_of(cleaned["credential"]) in {key.credential_id for key in get_credentials(self.user)}
                cleaned["credential"] = _kept(cleaned["credential"])
        except (ValidationError, *_MALFORMED):
            raise _not_taken() from None
        if cleaned.get("credential") and is_known:  # browsers refuse it themselves, where they heed what is excluded
            raise ValidationError(_("This key is one of yours already. Use another one."), code="known")
        return cleaned


class EditKeyForm(EditWebAuthnForm):  # type: ignore[misc]  # allauth is not typed
    name = forms.CharField(label=_("Name"), max_length=_LONGEST_NAME)

    def save(self) -> Authenticator:
        rename_key(request=context.request, key=self.instance, name=self.cleaned_data["name"])
        return self.instance


class _GivenKey(AuthenticateWebAuthnForm):  # type: ignore[misc]  # allauth is not typed
    """A key that is given as the factor. One that is refused is counted and told of, as a wrong code is."""

    credential = _CredentialField(widget=forms.HiddenInput)

    @property
    def authenticator(self) -> Authenticator:
        """Return the key that was given, under the name that the form of codes has for what was."""
        key: Authenticator = self.cleaned_data["credential"]
        return key

    def clean_credential(self) -> Authenticator:
        try:
            # allauth counts the tries behind this. What is no answer of a key is none of them, and fills no trail.
            parse_authentication_response(self.cleaned_data["credential"])
        except (ValidationError, *_MALFORMED):
            raise _not_taken() from None
        try:
            return super().clean_credential()
        except (ValidationError, *_MALFORMED) as refused:
            if getattr(refused, "code", "incorrect_code") != "incorrect_code":
                raise  # too many tries
            self._tell()
            raise _not_taken() from None

    def _tell(self) -> None:
        signals.authentication_failed.send(
            sender=Authenticator,
            request=context.request,
            user=self.user,
            authenticator=Authenticator(user=self.user, type=KEY),
            reauthentication=self.reauthenticated,
        )


class AuthenticateKeyForm(_GivenKey):
    """The key after the password."""


class ReauthenticateKeyForm(_GivenKey, ReauthenticateWebAuthnForm):  # type: ignore[misc]  # allauth is not typed
    """The key once more, before an act that asks for it."""
