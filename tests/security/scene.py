"""A populated console: one object of every registered model, and somebody of every role, second factor included."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.test import Client, override_settings
from django.utils import timezone

from flowlu_admin.invitations import invite_operator
from flowlu_admin.models import Notice, NoticeDelivery, NoticeOccasion, Operator
from installations.approval_requests import approve_alone, request_approval
from installations.models import Application, ApprovalRequest, Evidence, Installation, PortalUser
from installations.services import withdraw_scopes
from tests import catalogues, factories
from tests.installations.admin.console import sign_in
from tokens import selectors, vault
from tokens.models import EmbedSession, OAuthToken, RefreshAttempt, Revocation, ServiceCall, UpstreamRevocation
from tokens.services.api_keys import confirm_key_deletion, revoke_api_key
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

ROLES = (
    "anonymous",
    "portal_session",
    "outsider",
    "auditor",
    "reviewer",
    "responder",
    "superuser_without_mfa",
    "superuser",
)
# The rows of each model that the console registers, by `app_model`.
REGISTERED = {model._meta.label_lower.replace(".", "_"): model._default_manager for model in admin.site._registry}
_GROUPS = {"auditor": "Auditor", "reviewer": "Reviewer", "responder": "Responder"}


def in_parts(keys: Iterable[str]) -> list[Any]:
    """Return the keys of addresses in a few parts, for tests that need a scene and little time for each address."""
    parts = groupby(sorted(keys), lambda key: key.split("_")[0])
    return [pytest.param(list(part), id=name or "root") for name, part in parts]


@contextmanager
def about(what: str) -> Iterator[None]:
    """Say what a failure within the block is about."""
    try:
        yield
    except AssertionError as failure:
        failure.add_note(what)
        raise


@dataclass(frozen=True)
class Scene:
    application: Application
    installation: Installation
    portal_user: PortalUser
    token: OAuthToken
    operators: dict[str, Any]

    def objects(self) -> dict[str, Any]:
        """Return one object of each model that the console registers, by `app_model`."""
        return {name: self.object(name) for name in REGISTERED}

    def object(self, name: str) -> Any:
        """Return the one of this model, as it is now."""
        fixed = {
            "tokens_oauthtoken": self.token,
            "installations_installation": self.installation,
            "installations_portaluser": self.portal_user,
            "installations_application": self.application,
            "installations_portal": self.installation.portal,
        }
        if name in fixed:
            return fixed[name]
        if name == "flowlu_admin_operator":
            return Operator.objects.get(username="asker")
        if name == "installations_approvalrequest" and (waits := ApprovalRequest.objects.filter(state="open")):
            return waits.order_by("pk").first()
        return REGISTERED[name].order_by("-pk").first()

    def client(self, role: str) -> Client:
        """Return a fresh client of somebody in this role."""
        if role == "anonymous":
            return Client(raise_request_exception=False)
        if role == "portal_session":
            return Client(raise_request_exception=False, headers={"X-Session-Token": self.session()})
        client = Client(raise_request_exception=False)
        sign_in(client, self.operators[role], with_factor=role != "superuser_without_mfa")
        return client

    def session(self) -> str:
        """Open one more session on the token and return what its holder got."""
        session_token = secrets.token_urlsafe(32)
        EmbedSession.objects.create(
            token_hash=selectors.hash_session_token(session_token),
            oauth_token=self.token,
            expires_at=timezone.now() + timedelta(hours=1),
        )
        return session_token


def _backend(application: Application, installation: Installation, user: PortalUser, token: OAuthToken) -> None:
    """Leave a purpose of each kind, a client, a key that is gone and one in use, and a call by each of them."""
    sync, nightly = factories.purpose(), factories.purpose("nightly", acts_as="system")
    client = factories.service_client(
        purposes=[sync, nightly], applications=[application], portals=[installation.portal]
    ).client
    gone = factories.api_key(installation, "an-older-api-key", purposes=[nightly])
    revoke_api_key(api_key_id=gone.pk, actor=factories.superactor(), reason="For a test.")
    confirm_key_deletion(api_key_id=gone.pk, actor=factories.superactor(), reason="For a test.")
    key = factories.api_key(installation, purposes=[nightly])
    shared = {
        "service_client": client,
        "installation": installation,
        "call": "crm/account/list",
        "code": "crm.accounts",
        "level": "full",
        "outcome": "ok",
    }
    ServiceCall.objects.create(purpose=nightly, acts_as="system", api_key=key, **shared)
    ServiceCall.objects.create(purpose=sync, acts_as="user", oauth_token=token, portal_user=user, **shared)


def _ask_for_more(application: Application) -> None:
    """Import a second content, which asks for one scope more than was decided about."""
    wider = [*application.current_manifest.requested_scopes, "users.read"] if application.current_manifest else []
    factories.application(application.app_id, permissions=wider, version="1.1.0")


def _approve(installation: Installation) -> None:
    """Approve a scope of high risk, as one operator alone."""
    breaker = factories.actor(factories.operator("breaker", superuser=True))
    if installation.approved_permissions.in_force().filter(code="crm.accounts").exists():
        withdraw_scopes(installation_id=installation.pk, codes=["crm.accounts"], actor=breaker, reason="For a test.")
    with override_settings(FOUR_EYES="on"):
        approve_alone(
            installation_id=installation.pk, requested=["crm.accounts.full"], actor=breaker, reason="For a test."
        )


def _ask_for_approvals(installation: Installation) -> None:
    """Leave two approvals that wait for a second operator."""
    account = factories.operator("asker", "Reviewer")
    Authenticator.objects.create(user=account, type=Authenticator.Type.TOTP, data={"secret": ""})
    asker = factories.actor(account)
    for scope in ("crm.deals.read", "task.read"):
        request_approval(installation_id=installation.pk, requested=[scope], actor=asker, reason="For a test.")


def _tell(application: Application) -> None:
    """Leave a message to an operator that failed, and one to a webhook."""
    teller = factories.operator("teller", "Reviewer")
    occasion = NoticeOccasion.objects.create(
        kind="waits", key="event 1", happened_at=timezone.now(), label=application.name
    )
    for channel, operator in (("webhook", None), ("mail", teller)):
        delivery = NoticeDelivery.objects.create(
            channel=channel,
            recipient=f"{channel}:1",
            operator=operator,
            state="failed",
            problem="mail_refused",
            ended_at=timezone.now(),
        )
        Notice.objects.create(occasion=occasion, recipient=f"{channel}:1", delivery=delivery)


def set_up(application: Application) -> Scene:
    """Fill every list of the console; operators have a second factor, all but the one who is named so."""
    installation = factories.installation(application)
    _approve(installation)
    _ask_for_more(application)
    _ask_for_approvals(installation)
    installation.refresh_from_db()
    portal_user = PortalUser.objects.get(flowlu_user_id="7")
    cut = factories.token(installation, portal_user, "an-older-token")
    revoke_tokens(target=RevocationTarget.of_token(cut.pk), actor=factories.superactor(), reason="For a test.")
    token = factories.token(installation, portal_user)
    Evidence.objects.create(installation=installation, kind=Evidence.Kind.LAUNCH)
    now = timezone.now()
    RefreshAttempt.objects.create(
        oauth_token=token, generation=1, refresh_fingerprint="f" * 64, outcome="unknown", finished_at=now
    )
    UpstreamRevocation.objects.create(
        revocation=Revocation.objects.latest("pk"),
        oauth_token=cut,
        sealed_access_token=vault.sealed_for(cut, "an-access-token-that-was-cut", None)[0],
        seal_key_id=vault.newest_key_id(),
        state="irrevocable",
        next_try_at=None,
        error="status_500",
    )
    _tell(application)
    operators = {
        role: factories.operator(role, _GROUPS.get(role), superuser=role.startswith("superuser"))
        for role in ROLES
        if role not in {"anonymous", "portal_session"}
    }
    for role, user in operators.items():
        if role != "superuser_without_mfa":
            Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": ""})
    _backend(application, installation, portal_user, token)
    invite_operator(
        email="invited@example.com",
        groups=["Auditor"],
        actor=factories.actor(operators["superuser"]),
        reason="For a test.",
    )
    catalogues.save(catalogues.entry("warehouse"))
    scene = Scene(application, installation, portal_user, token, operators)
    scene.session()
    return scene
