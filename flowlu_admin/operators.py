"""Operators' accounts, as allauth asks about them: nobody signs up, and MFA secrets are sealed."""

import base64
from collections import Counter
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.http import HttpRequest

from tokens import vault
from tokens.sealing import Context, key_id_of, seal, unseal

# allauth gives no row to its hook, so these bind to their use only.
_MFA = Context("mfa.Authenticator", "", "data")


class OperatorAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by `create_operator`, never by whoever finds the page."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        # TrustedProxyMiddleware has settled it: allauth's own reading of X-Forwarded-For must not undo that.
        return request.META.get("REMOTE_ADDR") or "unix"


class OperatorSocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False


class OperatorMFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seal TOTP seeds and recovery codes: allauth's own hook keeps them in clear."""

    def encrypt(self, text: str) -> str:
        return base64.b64encode(seal(text, _MFA, vault.token_keys())).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(base64.b64decode(encrypted_text), _MFA, vault.token_keys())


def second_factors_by_seal_key() -> dict[str, int]:
    """Return how many second factors are sealed under each key id. One statement; operators are few."""
    counts: Counter[str] = Counter()
    for data in Authenticator.objects.values_list("data", flat=True):
        sealed = data.get("secret") or data.get("seed")
        if sealed:
            counts[key_id_of(base64.b64decode(sealed))] += 1
    return dict(counts)
