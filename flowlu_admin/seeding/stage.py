"""What is there before the first portal: applications with the versions of their manifests, and operators.

The operators are Reviewers, so that what they ask for can be confirmed. Their accounts have no password and no mail
address: nobody can sign in as one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from flowlu_admin.seeding.moments import Clock
from flowlu_admin.seeding.names import APPLICATIONS
from flowlu_admin.seeding.trail import Trail
from installations import audit, editions, manifests, scopes
from installations.actors import Actor, ActorKind, Via, command_actor
from installations.catalogue import Risk
from installations.models import Application, Manifest
from installations.review_rules import risk_of
from installations.scopes import Scope

APP_ID_PREFIX: Final = "com.example.trial."
_OPERATORS: Final = ("trial-ada", "trial-boris", "trial-chen", "trial-dilnoza", "trial-eva", "trial-farid")
_ASKS_SINCE: Final = (0.0, 0.45, 0.85)  # the versions of a manifest, by the share of the years that had passed


@dataclass(frozen=True, slots=True)
class Approvable:
    """A scope that a manifest asks for and that the catalogue knows."""

    scope: Scope
    risk: Risk
    entry: dict[str, object]  # as an approval keeps it


@dataclass(frozen=True, slots=True)
class Version:
    manifest_id: int
    sha256: str
    since: datetime
    approvable: Sequence[Approvable]


@dataclass(frozen=True, slots=True)
class App:
    id: int
    app_id: str
    name: str
    versions: Sequence[Version]
    trusts_low_risk: bool
    stores_refresh_tokens: bool

    @property
    def current(self) -> Version:
        return self.versions[-1]

    def version_at(self, moment: datetime) -> Version:
        return next((version for version in reversed(self.versions) if version.since <= moment), self.versions[0])


def operators() -> list[Actor]:
    """Return operators to name; their accounts are made where they are missing."""
    users = get_user_model()
    found = []
    for name in _OPERATORS:
        account, is_new = users.objects.get_or_create(username=name, defaults={"is_staff": True})
        if is_new:
            account.set_unusable_password()
            account.save(update_fields=["password"])
            account.groups.add(Group.objects.get(name="Reviewer"))
        found.append(Actor(ActorKind.OPERATOR, str(account.pk), name, Via.ADMIN))
    return found


def applications(clock: Clock, trail: Trail) -> list[App]:
    """Return the applications, made where they are missing."""
    return [
        _application(clock, trail, place, ending, name, first, later)
        for place, (ending, name, first, later) in enumerate(APPLICATIONS)
    ]


def _application(
    clock: Clock, trail: Trail, place: int, ending: str, name: str, first: Sequence[str], later: Sequence[str]
) -> App:
    trusts, stores = place % 6 == 4, place % 3 == 0
    row, is_new = Application.objects.get_or_create(
        app_id=f"{APP_ID_PREFIX}{ending}",
        defaults={
            "name": name,
            "kind": Application.Kind.PUBLIC if place % 4 else Application.Kind.PRIVATE,
            "approval_policy": Application.ApprovalPolicy.TRUST_LOW if trusts else Application.ApprovalPolicy.MANUAL,
            "stores_refresh_tokens": stores,
            "created_at": clock.at(0),
        },
    )
    versions = []
    for number, share in enumerate(_ASKS_SINCE):
        asked = [*first, *later[: number and len(later) + number - 2]]
        versions.append(_version(row, f"{1 + number}.{place % 4}.0", asked, clock.at(share)))
        if is_new:
            verb = "manifest.imported" if number else "application.registered"
            details = {"version": f"{1 + number}.{place % 4}.0", "sha256": versions[-1].sha256, "requested": len(asked)}
            trail.add(clock.at(share), command_actor(), audit.Event(verb, "application", row.app_id, details=details))
    row.current_manifest_id = versions[-1].manifest_id
    row.save(update_fields=["current_manifest"])
    return App(row.pk, row.app_id, row.name, versions, trusts, stores)


def _version(row: Application, version: str, asked: Sequence[str], since: datetime) -> Version:
    known = editions.in_force()
    document = {
        "appId": row.app_id,
        "name": row.name,
        "version": version,
        "description": "Made up for a trial.",
        "permissions": list(asked),
        "entrypointURL": "https://apps.example.com/embed/",
    }
    parsed = manifests.parse(json.dumps(document), catalogue=known)
    kept, _ = Manifest.objects.get_or_create(
        application=row,
        sha256=parsed.sha256,
        defaults={
            "version": parsed.version,
            "document": parsed.document,
            "requested_scopes": list(parsed.permissions),
            "imported_at": since,
        },
    )
    asked_for = scopes.highest(scope for text in parsed.permissions if (scope := scopes.read(text)))
    approvable = []
    for code, level in asked_for.items():
        entry = known.get(code)
        if entry is not None:
            scope = Scope(code, level)
            covered: dict[str, object] = {"catalogue": known.version, "covers": scopes.to_json(entry.covers)}
            approvable.append(Approvable(scope, risk_of(known, scope), covered))
    return Version(kept.pk, kept.sha256, since, approvable)
