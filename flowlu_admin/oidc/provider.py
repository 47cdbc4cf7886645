"""The company's OpenID provider as the settings name it: the way there and the way back.

allauth keeps the state and makes the proof key (RFC 7636); what comes back is judged here. allauth alone would send no
nonce, take an ID token from the token endpoint without its signature, take scopes and parameters from the address, and
keep all that the provider says of somebody.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base.constants import AuthProcess
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse

from flowlu_admin.oidc.fetching import Fetcher, FetchFailed
from flowlu_admin.oidc.id_tokens import Holder, NotProved, read_holder, verify_id_token
from installations.flowlu.oauth_endpoint import ClientCredentials
from installations.flowlu.posting import is_post_address

SIGN_IN: Final = str(AuthProcess.LOGIN)
LINK: Final = str(AuthProcess.CONNECT)
_WELL_KNOWN = "/.well-known/openid-configuration"
_LONGEST_CODE = 4096
# So many sign-ins of a process speak to the provider at once: a slow one must not hold every thread.
_AT_ONCE = 4
_places = threading.BoundedSemaphore(_AT_ONCE)


class ProviderFailed(Exception):
    """Nobody was proved to be anybody. `code` goes to the log; whoever waits is told to try again."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Returned:
    """Somebody who came back from the provider, with what they had left for."""

    process: str
    next_url: str | None
    operator_id: int | None  # who was signed in when they left
    holder: Holder


def is_on() -> bool:
    return bool(settings.OIDC_ISSUER and settings.OIDC_CLIENT_ID and settings.OIDC_CLIENT_SECRET)


def leave(request: HttpRequest, process: str, next_url: str | None = None) -> str:
    """Return the provider's address that the browser is to go to, and remember in the session what for.

    Raises ProviderFailed where the provider cannot be asked for it.
    """
    nonce = secrets.token_urlsafe(32)
    try:
        with _place():
            response = _provider(request).redirect(
                request,
                process,
                next_url=next_url,
                data={"nonce": nonce, "operator": request.user.pk},
                auth_params={"nonce": nonce},
            )
    except FetchFailed as error:
        raise ProviderFailed(error.code) from None
    address: str = response.url
    return address


def come_back(request: HttpRequest) -> Returned:
    """Return who came back with this request, once for each time that somebody left; raises ProviderFailed."""
    query = request.GET
    try:
        state = _provider(request).unstash_redirect_state(request, query.get("state", ""))
    except PermissionDenied:
        raise ProviderFailed("state") from None
    if query.get("iss", settings.OIDC_ISSUER) != settings.OIDC_ISSUER:  # RFC 9207
        raise ProviderFailed("issuer")
    code = query.get("code", "")
    if "error" in query or not 0 < len(code) <= _LONGEST_CODE:
        raise ProviderFailed("refused_there" if "error" in query else "no_code")
    try:
        with _place():
            holder = _holder(code, state["pkce_code_verifier"], state["data"]["nonce"])
    except (FetchFailed, NotProved) as error:
        raise ProviderFailed(error.code) from None
    return Returned(state["process"], state.get("next"), state["data"]["operator"], holder)


@contextmanager
def _place() -> Iterator[None]:
    """Speak to the provider as one of the few that may at once; raises ProviderFailed for one more."""
    if not _places.acquire(blocking=False):
        raise ProviderFailed("busy")
    try:
        yield
    finally:
        _places.release()


def _holder(code: str, verifier: str, nonce: str) -> Holder:
    """Redeem a code. The tokens that come with the ID token are dropped where they arrive."""
    fetcher = _fetcher()
    config = _discover(fetcher)
    issuer, client_id = settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID
    # RFC 8414 §2: what is not said is basic.
    takes_basic = "client_secret_basic" in config.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    answer = fetcher.post(
        config["token_endpoint"],
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback_url(),
            "code_verifier": verifier,
        },
        client=ClientCredentials(client_id, settings.OIDC_CLIENT_SECRET, "basic" if takes_basic else "post"),
    )
    keys = fetcher.get(config["jwks_uri"])
    claims = verify_id_token(answer.get("id_token"), keys, issuer=issuer, client_id=client_id, nonce=nonce)
    groups_claim = settings.OIDC_GROUPS_CLAIM if settings.OIDC_GROUP_MAP else ""
    return read_holder(claims, issuer=issuer, groups_claim=groups_claim)


def callback_url() -> str:
    """Return the address that the provider sends back to, which has to be registered there letter by letter."""
    return f"{settings.PUBLIC_URL}{reverse('account_company_callback')}"


def _fetcher() -> Fetcher:
    return Fetcher(seconds=settings.OIDC_TOTAL_SECONDS, allow_http=settings.DEBUG)


def _discover(fetcher: Fetcher) -> dict[str, Any]:
    """Return where the provider has what (OpenID Connect Discovery 1.0 §4), if it is the one that the settings name."""
    config = fetcher.get(settings.OIDC_ISSUER.rstrip("/") + _WELL_KNOWN)
    if config.get("issuer") != settings.OIDC_ISSUER:
        raise FetchFailed("issuer")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        address = config.get(name)
        if not isinstance(address, str) or not is_post_address(address, allow_http=settings.DEBUG):
            raise FetchFailed(name)
    if not isinstance(config.get("token_endpoint_auth_methods_supported", []), list):
        raise FetchFailed("malformed")
    return config


class _Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth is not typed
    _found: dict[str, Any] | None = None

    @property
    def openid_config(self) -> dict[str, Any]:
        if self._found is None:
            self._found = _discover(_fetcher())
        return self._found

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        return callback_url()

    def get_provider(self) -> "_Provider":
        return _provider(self.request)


class _Provider(OpenIDConnectProvider):  # type: ignore[misc]  # allauth is not typed
    oauth2_adapter_class = _Adapter
    pkce_enabled_default = True

    def get_default_scope(self) -> list[str]:
        asked = ["openid", *settings.OIDC_SCOPES]
        return asked + ["profile", "email"] * settings.OIDC_CREATE_OPERATORS


def _provider(request: HttpRequest) -> _Provider:
    """Return the provider of the settings. No row of the database stands for one."""
    app = SocialApp(provider="openid_connect", provider_id="company", client_id=settings.OIDC_CLIENT_ID)
    return _Provider(request, app=app)
