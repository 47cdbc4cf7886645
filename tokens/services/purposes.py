"""Verbs on purposes: declare, change, switch on and off."""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason, secret_faults
from installations.errors import InvalidRequest, StateConflict
from installations.said import said
from installations.seen import check_seen
from tokens.backend_access import parse_purpose
from tokens.models import Purpose
from tokens.services.api_keys import coverage_of, parse_scopes

DESCRIPTION_MAX = 1000
OWNER_MAX = 150


def declare_purpose(
    *,
    code: str,
    description: str,
    scope_texts: Sequence[str],
    acts_as: str,
    owner: str,
    expires_at: datetime | None,
    enabled: bool,
    actor: Actor,
    reason: str,
) -> Purpose:
    """Declare for what backend code may act, and with which scopes at most. No client may use it yet.

    Raises NotPermitted, ReasonRequired, InvalidRequest naming each field, StateConflict when the code is taken.
    """
    actor.require("tokens.manage_purpose")
    why = clean_reason(reason)
    fields = _faults(description, owner, expires_at)
    try:
        parse_purpose(code)
    except InvalidRequest:
        fields["code"] = said("must be 1 to 100 letters, digits, dashes and underscores")
    fields = secret_faults(code=code) | fields
    if acts_as not in Purpose.ActsAs.values:
        fields["acts_as"] = said("must be user or system")
    wanted, scope_faults = parse_scopes(scope_texts)
    if fields | scope_faults:
        raise InvalidRequest(fields=fields | scope_faults)
    try:
        with transaction.atomic(durable=True):
            row = Purpose.objects.create(
                code=code,
                description=description,
                scopes=sorted({str(scope) for scope in wanted}),
                covers=coverage_of(wanted),
                acts_as=acts_as,
                owner=owner,
                enabled=enabled,
                expires_at=expires_at,
            )
            audit.append(actor, _event("purpose.declared", row, why, {"acts_as": acts_as, **_state(row)}))
    except IntegrityError:
        raise StateConflict(said("There is a purpose %(code)s already.", code=code)) from None
    return row


def change_purpose(
    *,
    purpose_id: int,
    description: str,
    scope_texts: Sequence[str],
    owner: str,
    expires_at: datetime | None,
    actor: Actor,
    reason: str,
    seen: str | None = None,
) -> bool:
    """Change what a purpose says and allows, from the next call on. Its code and kind stay: clients rely on them.

    Returns whether anything changed. Raises NotPermitted, ReasonRequired, InvalidRequest naming each field,
    StateConflict when it is not what was `seen` (a digest of `shown_of`) any more.
    """
    actor.require("tokens.manage_purpose")
    why = clean_reason(reason)
    wanted, fields = parse_scopes(scope_texts)
    with transaction.atomic(durable=True):
        row = _locked(purpose_id)
        # One that is over stays as it is, unless it is prolonged.
        fields |= _faults(description, owner, expires_at if expires_at != row.expires_at else None)
        if fields:
            raise InvalidRequest(fields=fields)
        before, shown, old_covers = {**_state(row), "described": row.description}, shown_of(row), row.covers
        row.description, row.owner, row.expires_at = description, owner, expires_at
        row.scopes = sorted({str(scope) for scope in wanted})
        row.covers = coverage_of(wanted)  # as the operator reads them today
        if before == {**_state(row), "described": row.description} and row.covers == old_covers:
            return False
        check_seen(seen, shown, said("The purpose %(code)s", code=row.code))
        row.save(update_fields=["description", "owner", "expires_at", "scopes", "covers"])
        before.pop("described")
        audit.append(actor, _event("purpose.changed", row, why, {"before": before, "after": _state(row)}))
    return True


def switch_purpose(*, purpose_id: int, on: bool, actor: Actor, reason: str) -> bool:
    """Switch a purpose on or off; off holds at the commit. Returns whether it changed.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such purpose.
    """
    actor.require("tokens.manage_purpose" if on else "tokens.switch_off_purpose")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _locked(purpose_id)
        if row.enabled is on:
            return False
        row.enabled = on
        row.save(update_fields=["enabled"])
        audit.append(actor, _event("purpose.switched_on" if on else "purpose.switched_off", row, why, {}))
    return True


def shown_of(row: Purpose) -> dict[str, object]:
    """Return what a page shows of a purpose that can be changed there."""
    until = row.expires_at.isoformat() if row.expires_at else None
    return {"id": row.pk, "description": row.description, "scopes": row.scopes, "owner": row.owner, "until": until}


def _faults(description: str, owner: str, expires_at: datetime | None) -> dict[str, str]:
    fields: dict[str, str] = {}
    if not description.strip() or len(description) > DESCRIPTION_MAX or "\x00" in description:
        fields["description"] = said(
            "must be 1 to %(description_max)s characters: what is done, and why", description_max=DESCRIPTION_MAX
        )
    if not owner.strip() or len(owner) > OWNER_MAX or not owner.isprintable():
        fields["owner"] = said("must be 1 to %(owner_max)s visible characters: who answers for it", owner_max=OWNER_MAX)
    if expires_at is not None and expires_at <= timezone.now():
        fields["expires_at"] = said("must be in the future")
    return secret_faults(description=description, owner=owner) | fields


def _locked(purpose_id: int) -> Purpose:
    row = Purpose.objects.select_for_update(no_key=True).filter(pk=purpose_id).first()
    if row is None:
        raise StateConflict(said("There is no such purpose."))
    return row


def _state(row: Purpose) -> dict[str, object]:
    until = row.expires_at.isoformat() if row.expires_at else None
    return {"scopes": row.scopes, "owner": row.owner, "expires_at": until, "enabled": row.enabled}


def _event(verb: str, row: Purpose, reason: str, details: dict[str, object]) -> audit.Event:
    return audit.Event(verb, "purpose", row.code, reason=reason, details=details)
