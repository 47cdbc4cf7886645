"""Pairs that this service refreshes, as a page of the sandbox brought them."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, Installation
from tests import factories
from tests.embedded import Frontend
from tokens import vault
from tokens.models import OAuthToken, RefreshAttempt


def refreshed_here(application: Application) -> Application:
    Application.objects.filter(pk=application.pk).update(refreshed_by="server", stores_refresh_tokens=True)
    application.refresh_from_db()
    return application


def page(sandbox: SandboxServer, application: Application, api: Any, user_id: str = "2") -> Frontend:
    """Open a page in an approved installation, and hand over its refresh token as the embed client does."""
    refreshed_here(application)
    found = Frontend(api, sandbox, "acme.flowlu.com", user_id).open()
    here = Installation.objects.live().get(application=application)
    if here.status == Installation.Status.PENDING_APPROVAL:
        factories.approve(here, "crm.accounts.full")
    assert hand_over_both(found).status_code == 204
    return found


def hand_over_both(found: Frontend) -> Any:
    pair = found.pair
    values = {"access_token": pair.access_token, "refresh_token": pair.refresh_token}
    return found.put("session/token", values | {"expires_at": pair.expires_at_text})


def soon(token: OAuthToken) -> OAuthToken:
    """Let the pair be about to expire."""
    OAuthToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() + timedelta(seconds=10))
    token.refresh_from_db()
    return token


def access_token_of(token: OAuthToken) -> str:
    token.refresh_from_db()
    return vault.unseal_access_token(str(token.uuid), token.sealed_access_token or b"")


def refresh_token_of(token: OAuthToken) -> str:
    token.refresh_from_db()
    return vault.unseal_refresh_token(str(token.uuid), token.sealed_refresh_token or b"")


def endings() -> list[tuple[str, str]]:
    return list(RefreshAttempt.objects.order_by("pk").values_list("outcome", "error"))
