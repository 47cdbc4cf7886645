"""Operators' accounts, as allauth asks about them: nobody signs up, and MFA secrets are sealed."""

import base64
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest

from tokens import vault
from tokens.sealing import Context, seal, unseal

# allauth gives no row to its hook, so these bind to their use only.
MFA = Context("mfa.Authenticator", "", "data")


class OperatorAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Accounts are made by `create_operator`, never by whoever finds the page."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Ask an operator who has a second factor for that one: the password alone must not be enough to remove it."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        factors = [method for method in methods if method["id"] != "reauthenticate"]
        return factors or methods

    def get_client_ip(self, request: HttpRequest) -> str:
        # TrustedProxyMiddleware has settled it: allauth's own reading of X-Forwarded-For must not undo that.
        return request.META.get("REMOTE_ADDR") or "unix"


class OperatorSocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False


class OperatorMFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is not typed
    """Seal TOTP seeds and recovery codes: allauth's own hook keeps them in clear."""

    def encrypt(self, text: str) -> str:
        return base64.b64encode(seal(text, MFA, vault.token_keys())).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(base64.b64decode(encrypted_text), MFA, vault.token_keys())
