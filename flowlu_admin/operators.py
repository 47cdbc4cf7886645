"""Operators' accounts, as allauth asks about them: nobody signs up, and MFA secrets are sealed."""

import base64
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from flowlu_admin.factors import APP, KEY, LAST_FACTOR, factors_of, may_be_removed
from flowlu_admin.mailing import send_later
from tokens import vault
from tokens.sealing import Context, seal, unseal

# allauth gives no row to its hook, so these bind to their use only.
MFA = Context("mfa.Authenticator", "", "data")
_TYPED = "mfa_reauthenticate"  # allauth's name for what is typed: the code of an app, or a recovery code


class OperatorAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Accounts are made by `create_operator`, never by whoever finds the page."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Ask an operator who has a second factor for that one: the password alone must not be enough to remove it.

        Who has no authenticator app is asked for the key first; what they could type is a recovery code.
        """
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        factors = [method for method in methods if method["id"] != "reauthenticate"]
        if factors and not factors_of(user).filter(type=APP).exists():
            factors.sort(key=lambda method: method["id"] == _TYPED)
            words = {_TYPED: gettext("Use a recovery code")}
            factors = [method | {"description": words.get(method["id"], method["description"])} for method in factors]
        # Whoever has neither a password nor a factor signs in once more where they came from.
        elsewhere = {"id": "company", "url": reverse("account_company"), "description": gettext("Sign in once more")}
        return factors or methods or ([elsewhere] if user.is_authenticated else [])

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth puts the host that the request named in front of it, which may have any port: with another one each
        # guess would be the first.
        return str(credentials.get("username", "")).lower()

    def is_ajax(self, request: HttpRequest) -> bool:
        return False  # to a script allauth would give the form back with all that was typed into it, the password too

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send after the answer, so that neither its time nor a mail server that fails tells who has an account."""
        words = {"site": settings.PUBLIC_URL, **context}
        send_later(self.render_mail(template_prefix, email, words))

    def format_email_subject(self, subject: str) -> str:
        return subject  # allauth would put the host that the request named in front of it

    def get_client_ip(self, request: HttpRequest) -> str:
        # TrustedProxyMiddleware has settled it: allauth's own reading of X-Forwarded-For must not undo that.
        return request.META.get("REMOTE_ADDR") or "unix"


class OperatorSocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Of the company's provider the settings say all: rows of allauth's tables are no provider, and nobody signs up."""

    def list_apps(self, *_asked: Any, **_more: Any) -> list[Any]:
        return []

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False


class OperatorMFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is not typed
    """Seal TOTP seeds and recovery codes: allauth's own hook keeps them in clear. Of a security key there is no secret
    here to seal."""

    error_messages = DefaultMFAAdapter.error_messages | {"cannot_delete_authenticator": LAST_FACTOR}

    def encrypt(self, text: str) -> str:
        return base64.b64encode(seal(text, MFA, vault.token_keys())).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(base64.b64decode(encrypted_text), MFA, vault.token_keys())

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return may_be_removed(authenticator)

    def generate_authenticator_name(self, user: Any, type: str) -> str:
        number = factors_of(user).filter(type=KEY).count() + 1
        return gettext("Security key") if number == 1 else gettext("Security key %(number)s") % {"number": number}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Name the service in what a browser shows. A key belongs to the host under which it was added."""
        return {**super().get_public_key_credential_rp_entity(), "name": settings.MFA_TOTP_ISSUER}
