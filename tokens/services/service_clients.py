"""Verbs on service clients: create, change, give a new key, switch on and off."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason, secret_faults
from installations.errors import InvalidRequest, StateConflict
from installations.models import Application, Portal
from installations.said import said
from installations.seen import check_seen
from tokens import backend_reads
from tokens.models import Purpose, ServiceClient

NAME_MAX = 100


@dataclass(frozen=True, slots=True)
class NewKey:
    """A service client and the key that was just made for it: the only time that anybody sees it."""

    client: ServiceClient
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Allowed:
    """For what, in which applications and on which portals a client may act. An empty list allows none."""

    purposes: tuple[Purpose, ...]
    applications: tuple[Application, ...]
    portals: tuple[Portal, ...]

    @classmethod
    def of(
        cls, purposes: Iterable[Purpose], applications: Iterable[Application], portals: Iterable[Portal]
    ) -> "Allowed":
        return cls(tuple(purposes), tuple(applications), tuple(portals))

    def in_words(self) -> dict[str, list[str]]:
        return {
            "purposes": sorted(row.code for row in self.purposes),
            "applications": sorted(row.app_id for row in self.applications),
            "portals": sorted(row.domain for row in self.portals),
        }


def create_service_client(*, name: str, allowed: Allowed, actor: Actor, reason: str) -> NewKey:
    """Create a backend service's account, switched on. Its key is in the result and nowhere else.

    Raises NotPermitted, ReasonRequired, InvalidRequest, StateConflict when the name is taken.
    """
    actor.require("tokens.manage_serviceclient")
    why = clean_reason(reason)
    if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise InvalidRequest(fields={"name": said("must be 1 to %(name_max)s visible characters", name_max=NAME_MAX)})
    if faults := secret_faults(name=name):
        raise InvalidRequest(fields=faults)
    key = _new_key()
    try:
        with transaction.atomic(durable=True):
            row = ServiceClient.objects.create(
                name=name.strip(), key_hash=backend_reads.hash_service_key(key), enabled=True
            )
            _set(row, allowed)
            audit.append(actor, _event("service_client.created", row, why, allowed.in_words()))
    except IntegrityError:
        raise StateConflict(said("There is a service client of this name already.")) from None
    return NewKey(row, key)


def change_service_client(
    *, client_id: int, allowed: Allowed, actor: Actor, reason: str, seen: str | None = None
) -> bool:
    """Change for what, where and in which applications a client may act, from its next call on.

    Returns whether anything changed. Raises NotPermitted, ReasonRequired, StateConflict when there is no such client,
    or when it is not what was `seen` (a digest of `shown_of`) any more.
    """
    actor.require("tokens.manage_serviceclient")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _locked(client_id)
        now = allowed_of(row)
        before = now.in_words()
        if before == allowed.in_words():
            return False
        check_seen(seen, shown_of(row, now), said("What %(name)s may do", name=row.name))
        _set(row, allowed)
        details = {"before": before, "after": allowed.in_words()}
        audit.append(actor, _event("service_client.changed", row, why, details))
    return True


def renew_service_key(*, client_id: int, actor: Actor, reason: str) -> NewKey:
    """Make a new key; the one before stops at the commit. The new one is in the result and nowhere else.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such client.
    """
    actor.require("tokens.manage_serviceclient")
    why = clean_reason(reason)
    key = _new_key()
    with transaction.atomic(durable=True):
        row = _locked(client_id)
        row.key_hash, row.key_made_at = backend_reads.hash_service_key(key), timezone.now()
        row.save(update_fields=["key_hash", "key_made_at"])
        audit.append(actor, _event("service_client.key_renewed", row, why, {}))
    return NewKey(row, key)


def switch_service_client(*, client_id: int, on: bool, actor: Actor, reason: str) -> bool:
    """Switch a client on or off; off holds at the commit. Returns whether it changed.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such client.
    """
    actor.require("tokens.manage_serviceclient" if on else "tokens.switch_off_serviceclient")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _locked(client_id)
        if row.enabled is on:
            return False
        row.enabled = on
        row.save(update_fields=["enabled"])
        verb = "service_client.switched_on" if on else "service_client.switched_off"
        audit.append(actor, _event(verb, row, why, {}))
    return True


def allowed_of(row: ServiceClient) -> Allowed:
    """Return what a client is allowed now. Three statements."""
    return Allowed.of(row.purposes.all(), row.applications.all(), row.portals.all())


def shown_of(row: ServiceClient, allowed: Allowed) -> dict[str, object]:
    """Return what a page shows of a client that can be changed there."""
    return {"id": row.pk, **allowed.in_words()}


def _new_key() -> str:
    return backend_reads.KEY_PREFIX + secrets.token_urlsafe(backend_reads.KEY_BYTES)


def _set(row: ServiceClient, allowed: Allowed) -> None:
    row.purposes.set(allowed.purposes)
    row.applications.set(allowed.applications)
    row.portals.set(allowed.portals)


def _locked(client_id: int) -> ServiceClient:
    row = ServiceClient.objects.select_for_update(no_key=True).filter(pk=client_id).first()
    if row is None:
        raise StateConflict(said("There is no such service client."))
    return row


def _event(verb: str, row: ServiceClient, reason: str, details: Mapping[str, object]) -> audit.Event:
    return audit.Event(verb, "serviceclient", str(row.pk), reason=reason, details={"name": row.name, **details})
