"""Rows for tests, made by the project's own verbs wherever a verb exists."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from installations.actors import Actor, Via, command_actor, operator_actor
from installations.evidence import judge_locked
from installations.liveness import Kind
from installations.models import Application, Installation, Portal, PortalUser
from installations.services import LaunchRecord, approve_scopes, import_manifest, record_launch_locked
from tokens.models import ApiKey, OAuthToken, Purpose
from tokens.services.api_keys import KeyText, add_api_key
from tokens.services.purposes import declare_purpose
from tokens.services.service_clients import Allowed, NewKey, create_service_client
from tokens.services.storing import Pair, store_pair_locked

APP_ID = "com.example.desk"
PASSWORD = "correct horse battery staple"
SCOPES = ["user.me.read", "crm.accounts.full", "crm.deals.read", "task.read", "fin.read"]


def manifest(app_id: str = APP_ID, *, permissions: list[str] | None = None, **members: Any) -> str:
    document = {
        "appId": app_id,
        "name": "Desk",
        "version": "1.0.0",
        "permissions": SCOPES if permissions is None else permissions,
        "entrypointURL": "https://apps.example.com/embed/",
        **members,
    }
    return json.dumps(document)


def application(app_id: str = APP_ID, *, permissions: list[str] | None = None, **members: Any) -> Application:
    result = import_manifest(
        document=manifest(app_id, permissions=permissions, **members), kind=None, actor=command_actor()
    )
    return result.application


def operator(name: str, group: str | None = None, *, superuser: bool = False) -> Any:
    user = get_user_model().objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=superuser)
    if group:
        user.groups.add(Group.objects.get(name=group))
    return user


def actor(user: Any) -> Actor:
    return operator_actor(user, Via.ADMIN)


def superactor() -> Actor:
    """An actor that may do everything and is nobody's account."""
    return command_actor()


def launch(
    app: Application, *, portal: str = "acme.flowlu.com", user_id: str = "7", name: str = "Ana Ruiz"
) -> LaunchRecord:
    with transaction.atomic():
        return record_launch_locked(
            portal=portal,
            application=app,
            flowlu_user_id=user_id,
            user_name=name,
            is_portal_admin=False,
            reported_version="1.0.0",
            integration_point="",
        )


def installation(app: Application, *, approved: list[str] | None = None, **launch_values: Any) -> Installation:
    found = launch(app, **launch_values).installation
    if approved:
        approve_scopes(installation_id=found.pk, requested=approved, actor=superactor(), reason="For a test.")
        found.refresh_from_db()
    return found


def suspect(installation: Installation) -> None:
    """Let the evidence of an installation speak for its removal: long silence, and tokens refused on two days."""
    now = timezone.now()
    installation.evidence.update(observed_at=now - timedelta(days=50))
    for days in (5, 2):
        installation.evidence.create(kind=Kind.PROBE_REFUSED, detail="HTTP 401", observed_at=now - timedelta(days=days))
    with transaction.atomic():
        judge_locked([installation.pk])


def approve(installation: Installation, *scopes: str) -> None:
    approve_scopes(installation_id=installation.pk, requested=list(scopes), actor=superactor(), reason="For a test.")
    installation.refresh_from_db()


def token(
    installation: Installation, portal_user: PortalUser, access_token: str = "an-access-token", **pair: Any
) -> OAuthToken:
    with transaction.atomic():
        return store_pair_locked(installation, portal_user, Pair(access_token, **pair)).token


def purpose(
    code: str = "account-sync",
    *,
    acts_as: str = "user",
    scopes: Sequence[str] = ("crm.accounts.full",),
    enabled: bool = True,
    expires_at: datetime | None = None,
) -> Purpose:
    return declare_purpose(
        code=code,
        description="Keep the accounts in step.",
        scope_texts=scopes,
        acts_as=acts_as,
        owner="Integrations",
        expires_at=expires_at,
        enabled=enabled,
        actor=superactor(),
        reason="For a test.",
    )


def service_client(
    name: str = "sync",
    *,
    purposes: Sequence[Purpose] = (),
    applications: Sequence[Application] = (),
    portals: Sequence[Portal] = (),
) -> NewKey:
    return create_service_client(
        name=name,
        allowed=Allowed.of(purposes, applications, portals),
        actor=superactor(),
        reason="For a test.",
    )


def api_key(
    installation: Installation,
    value: str = "an-api-key-of-the-portal",
    *,
    purposes: Sequence[Purpose],
    scopes: Sequence[str] = ("crm.accounts.full",),
    label: str = "Nightly",
    expires_at: datetime | None = None,
) -> ApiKey:
    return add_api_key(
        installation_id=installation.pk,
        label=label,
        key=KeyText(value),
        scope_texts=scopes,
        purposes=purposes,
        expires_at=expires_at,
        actor=superactor(),
        reason="For a test.",
    )
