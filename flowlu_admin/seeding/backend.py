"""Backend use: purposes, service clients, API keys and the calls that were made for a purpose."""

import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from random import Random
from typing import Final

from django.conf import settings

from flowlu_admin.seeding.decisions import ApprovedScope
from flowlu_admin.seeding.moments import Clock
from flowlu_admin.seeding.places import Place
from flowlu_admin.seeding.writing import Tables
from installations import editions, scopes
from tokens import vault
from tokens.models import ApiKey, Purpose, ServiceCall, ServiceClient

_PURPOSES: Final = (
    ("trial-account-sync", "Keep the accounts in step with the warehouse.", "user", ("crm.accounts.full",)),
    ("trial-reminders", "Send reminders for invoices that are due.", "system", ("fin.read",)),
    ("trial-nightly-report", "Make the report of the day.", "system", ("crm.read", "task.read")),
    ("trial-import", "Take over old tasks. Was used once.", "user", ("task.full",)),
)
_CLIENTS: Final = ("trial-warehouse", "trial-mailer", "trial-reports")
_CALLS: Final = ("crm/account/list", "crm/account/get", "fin/invoice/list", "task/tasks/list", "crm/account/update")
_OUTCOMES: Final = ("ok", "insufficient_scope", "token_stale", "flowlu_denied", "rate_limited", "flowlu_unavailable")


class Backend:
    def __init__(self, tables: Tables, clock: Clock, rng: Random) -> None:
        self._tables, self._clock, self._rng = tables, clock, rng
        self._purposes = [self._purpose(*declared) for declared in _PURPOSES]
        self._clients = [self._client(name) for name in _CLIENTS]

    def _purpose(self, code: str, description: str, acts_as: str, named: Sequence[str]) -> Purpose:
        known = editions.in_force().coverage
        wanted = [scopes.parse(text) for text in named]
        found, _ = Purpose.objects.get_or_create(
            code=code,
            defaults={
                "description": description,
                "acts_as": acts_as,
                "scopes": [str(scope) for scope in wanted],
                "covers": {scope.code: scopes.to_json(known.get(scope.code, ())) for scope in wanted},
                "owner": "Integrations",
                "created_at": self._clock.at(0),
            },
        )
        return found

    def _client(self, name: str) -> ServiceClient:
        """Make a client that is switched off, under a key that nobody has."""
        key_hash = sha256(secrets.token_bytes(32)).hexdigest()
        found, _ = ServiceClient.objects.get_or_create(
            name=name, defaults={"key_hash": key_hash, "created_at": self._clock.at(0)}
        )
        return found

    def add(self, place: Place, approved: Sequence[ApprovedScope], active: Sequence[int], user_id: int | None) -> None:
        if place.is_gone or not approved:
            return
        if self._rng.random() < 0.02:
            self._api_key(place, approved[0])
        if self._rng.random() < 0.35:
            self._calls(place, approved[0], active, user_id)

    def _calls(self, place: Place, scope: ApprovedScope, active: Sequence[int], user_id: int | None) -> None:
        rng, table = self._rng, self._tables[ServiceCall]
        kept = timedelta(days=settings.SERVICE_CALL_DAYS - 1)
        since = max(place.first_seen, self._clock.now - kept)
        for _number in range(rng.choices((1, 2, 5), (70, 20, 10))[0]):
            purpose = rng.choice(self._purposes)
            as_user = purpose.acts_as == "user" and user_id is not None and bool(active)
            table.add(
                {
                    "id": table.next_number(),
                    "at": since + (self._clock.now - since) * rng.random(),
                    "service_client_id": rng.choice(self._clients).pk,
                    "purpose_id": purpose.pk,
                    "acts_as": purpose.acts_as,
                    "installation_id": place.id,
                    "portal_user_id": user_id if as_user else None,
                    "oauth_token_id": active[0] if as_user else None,
                    "call": rng.choice(_CALLS),
                    "code": scope.code,
                    "level": scope.level.value,
                    "outcome": rng.choices(_OUTCOMES, (90, 3, 3, 1, 1, 2))[0],
                    "milliseconds": int(rng.lognormvariate(5, 0.7)),
                }
            )

    def _api_key(self, place: Place, scope: ApprovedScope) -> None:
        row = ApiKey(uuid=uuid.uuid4())
        vault.seal_api_key_into(row, secrets.token_urlsafe(32))
        known = editions.in_force().coverage
        created = max(place.first_seen, place.last_seen - timedelta(days=30))
        over = self._rng.random() < 0.2
        self._tables[ApiKey].add(
            {
                "id": self._tables[ApiKey].next_number(),
                "uuid": row.uuid,
                "installation_id": place.id,
                "label": self._rng.choice(("Nightly", "Warehouse", "Reports")),
                "sealed_key": None if over else row.sealed_key,
                "fingerprint": row.fingerprint,
                "fingerprint_key_id": row.fingerprint_key_id,
                "seal_key_id": "" if over else row.seal_key_id,
                "scopes": [f"{scope.code}.{scope.level.value}"],
                "covers": {scope.code: scopes.to_json(known.get(scope.code, ()))},
                "expires_at": self._clock.now + timedelta(days=self._rng.randrange(5, 300)),
                "state": (ApiKey.State.REVOKED if over else ApiKey.State.ACTIVE).value,
                "added_by": "trial-ada",
                "created_at": created,
                "revoked_at": self._clock.now if over else None,
                "ending": ApiKey.Ending.REPLACED.value if over else "",
            }
        )
