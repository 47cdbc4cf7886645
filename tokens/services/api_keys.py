"""Verbs on API keys: add, replace, revoke, wipe what expired, record that one is deleted at Flowlu.

A key belongs to one installation and is stored once. It is never shown again, and Flowlu is not asked about it: no
documented call tells whether a key works without doing something with it.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from installations import audit, editions, scopes
from installations.actors import Actor, clean_reason, secret_faults, system_actor
from installations.errors import InvalidRequest, StateConflict
from installations.models import Installation
from installations.said import said
from installations.scopes import Scope, ScopeSyntaxError
from tokens import selectors, vault
from tokens.backend_access import outside, read_scopes
from tokens.models import ApiKey, OAuthToken, Purpose

LABEL_MAX = 100
LONGEST_OVERLAP = timedelta(days=7)
_BATCH = 500

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class KeyText:
    """An API key on its way into the vault. Never printed, logged or kept."""

    value: str = field(repr=False)

    def __repr__(self) -> str:
        return "<KeyText>"


def add_api_key(
    *,
    installation_id: int,
    label: str,
    key: KeyText,
    scope_texts: Sequence[str],
    purposes: Iterable[Purpose],
    expires_at: datetime | None,
    actor: Actor,
    reason: str,
    dry_run: bool = False,
) -> ApiKey:
    """Seal an API key for an installation, for some purposes and a part of what is approved.

    A dry run does all of it and takes it back: the row that it returns is none.

    Raises NotPermitted, ReasonRequired, InvalidRequest naming each field, StateConflict when the installation is gone
    or the key is known already.
    """
    actor.require("tokens.manage_apikey")
    why = clean_reason(reason)
    fields = _label_faults(label, key) | _value_faults(key) | _expiry_faults(expires_at)
    wanted, scope_faults = parse_scopes(scope_texts)
    found = list(purposes)
    fields |= scope_faults | _purpose_faults(found)
    if fields:
        raise InvalidRequest(fields=fields)
    with _refusing_twins(), transaction.atomic(durable=True):
        installation = _locked_live(installation_id)
        if beyond := outside(wanted, _approved(installation)):
            names = ", ".join(str(scope) for scope in beyond)
            raise InvalidRequest(fields={"scopes": said("not approved for this installation: %(names)s", names=names)})
        _refuse_known(key)
        row = _new_row(installation, label, key, wanted, coverage_of(wanted), expires_at, actor)
        row.save()
        row.purposes.set(found)
        audit.append(
            actor,
            audit.Event(
                "api_key.added",
                "apikey",
                str(row.pk),
                installation.pk,
                why,
                {"scopes": row.scopes, "purposes": sorted(p.code for p in found), **_public(row)},
            ),
        )
        if dry_run:
            transaction.set_rollback(True)
    return row


def replace_api_key(
    *, api_key_id: int, key: KeyText, overlap: timedelta, expires_at: datetime | None, actor: Actor, reason: str
) -> ApiKey:
    """Store a new key in the place of one, with its label, scopes and purposes.

    Calls go out with the new one from now on. The old one stays for `overlap`, for calls that are under way elsewhere,
    and is wiped by then; without an overlap it is wiped at once.

    Raises NotPermitted, ReasonRequired, InvalidRequest, StateConflict when the key was revoked or replaced meanwhile.
    """
    actor.require("tokens.manage_apikey")
    why = clean_reason(reason)
    fields = _value_faults(key) | _expiry_faults(expires_at)
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        fields["overlap"] = said("must be between 0 and %(days)s days", days=LONGEST_OVERLAP.days)
    if fields:
        raise InvalidRequest(fields=fields)
    with _refusing_twins(), transaction.atomic(durable=True):
        old = _locked(api_key_id)
        if old.state != ApiKey.State.ACTIVE or old.replaced_by_id is not None:
            raise StateConflict(said("This key was revoked or replaced already. Look at the installation again."))
        _live(old.installation)
        _refuse_known(key)
        row = _new_row(old.installation, old.label, key, read_scopes(old.scopes), old.covers, expires_at, actor)
        row.save()
        row.purposes.set(old.purposes.all())
        now = timezone.now()
        old.replaced_by = row
        if overlap:
            until = now + overlap
            old.expires_at = min(old.expires_at, until) if old.expires_at else until
            old.save(update_fields=["replaced_by", "expires_at"])
        else:
            old.save(update_fields=["replaced_by"])
            _wipe([old.pk], ApiKey.Ending.REPLACED, now)
        audit.append(
            actor,
            audit.Event(
                "api_key.replaced",
                "apikey",
                str(old.pk),
                old.installation_id,
                why,
                {"by": row.pk, "overlap_seconds": int(overlap.total_seconds()), **_public(row)},
            ),
        )
    return row


def revoke_api_key(*, api_key_id: int, actor: Actor, reason: str) -> bool:
    """Wipe a key at once, for good: no call starts with it from the commit on. Returns whether it was still there.

    It stays valid at Flowlu until an administrator of the portal deletes it there.

    Raises NotPermitted, ReasonRequired, StateConflict when there is no such key.
    """
    actor.require("tokens.revoke_apikey")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _locked(api_key_id)
        if row.state == ApiKey.State.REVOKED:
            return False
        _wipe([row.pk], ApiKey.Ending.REVOKED, timezone.now())
        event = audit.Event("api_key.revoked", "apikey", str(row.pk), row.installation_id, why, _public(row))
        audit.append(actor, event)
    return True


def confirm_key_deletion(*, api_key_id: int, actor: Actor, reason: str) -> bool:
    """Record that somebody stated that the key is deleted at Flowlu. Returns whether that is news.

    Raises NotPermitted, ReasonRequired, StateConflict for a key that is still in use here.
    """
    actor.require("tokens.revoke_apikey")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _locked(api_key_id)
        if row.state != ApiKey.State.REVOKED:
            raise StateConflict(said("This key is still in use here. Revoke it first."))
        if row.deletion_confirmed_at is not None:
            return False
        row.deletion_confirmed_at = timezone.now()
        row.deletion_confirmed_by = (actor.name or actor.id)[:250]
        row.save(update_fields=["deletion_confirmed_at", "deletion_confirmed_by"])
        audit.append(
            actor,
            audit.Event("api_key.deletion_confirmed", "apikey", str(row.pk), row.installation_id, why, _public(row)),
        )
    return True


def revoke_api_keys_locked(installation: Installation, reason: str) -> list[audit.Event]:
    """Wipe every key of an installation that is gone; returns the events, for the caller to append.

    A step of the uninstallation: assumes that the caller holds the installation's lock.
    """
    rows = list(ApiKey.objects.active().filter(installation=installation).select_for_update(no_key=True).order_by("pk"))
    _wipe([row.pk for row in rows], ApiKey.Ending.UNINSTALLED, timezone.now())
    return [
        audit.Event("api_key.revoked", "apikey", str(row.pk), installation.pk, reason, _public(row)) for row in rows
    ]


def wipe_expired_api_keys() -> int:
    """Wipe keys whose time is over, a replaced one's overlap included; returns how many.

    Calls with them are refused already, by the clock. Safe to run twice and beside every other verb.
    """
    wiped = 0
    while found := list(ApiKey.objects.expired().order_by("pk").values_list("pk", "installation_id")[:_BATCH]):
        with transaction.atomic(durable=True):
            installations = sorted({installation_id for _pk, installation_id in found})
            list(
                Installation.objects.filter(pk__in=installations)
                .select_for_update(no_key=True)
                .order_by("pk")
                .values("pk")
            )
            still = ApiKey.objects.expired().filter(pk__in=[pk for pk, _installation in found])
            rows = list(still.select_for_update(no_key=True).order_by("pk"))
            now = timezone.now()
            _wipe([row.pk for row in rows if row.replaced_by_id], ApiKey.Ending.REPLACED, now)
            _wipe([row.pk for row in rows if not row.replaced_by_id], ApiKey.Ending.EXPIRED, now)
            audit.append(
                system_actor(),
                *(
                    audit.Event("api_key.expired", "apikey", str(row.pk), row.installation_id, details=_public(row))
                    for row in rows
                ),
            )
        wiped += len(rows)
    return wiped


def note_undecryptable_key(*, api_key_id: int, reason: str, key_id: str | None) -> None:
    """Alert operators. The row stays as it is, for whoever mends the keys; each call meets it anew."""
    logger.error("API key #%d does not unseal: %s, key id %s", api_key_id, reason, key_id)


def parse_scopes(texts: Sequence[str]) -> tuple[list[Scope], dict[str, str]]:
    """Return the scopes that are in the catalogue, and what is wrong with the others, by field."""
    wanted: list[Scope] = []
    wrong: list[str] = []
    known = editions.in_force()
    for text in texts:
        try:
            scope = scopes.parse(text)
        except ScopeSyntaxError:
            wrong.append(text)
            continue
        if known.get(scope.code):
            wanted.append(scope)
        else:
            wrong.append(text)
    if wrong:
        return wanted, {
            "scopes": said("not in the catalogue: %(wrong)s", wrong=", ".join(text[:100] for text in wrong))
        }
    return wanted, {} if wanted else {"scopes": said("at least one is needed")}


def coverage_of(named: Iterable[Scope]) -> dict[str, object]:
    """Return what the catalogue says now of each scope, to be kept with whoever names it in this transaction."""
    known = editions.held_in_force().coverage
    return {scope.code: scopes.to_json(known.get(scope.code, ())) for scope in named}


def _label_faults(label: str, key: KeyText) -> dict[str, str]:
    if not label.strip() or len(label) > LABEL_MAX or not label.isprintable():
        return {"label": said("must be 1 to %(label_max)s visible characters", label_max=LABEL_MAX)}
    if key.value and key.value in label:  # a short one may look like any word
        return {"label": said("must not hold the key: it is shown in clear")}
    return secret_faults(label=label)


def _value_faults(key: KeyText) -> dict[str, str]:
    # Never says what was sent.
    return {} if vault.is_token_text(key.value) else {"key": said("must be visible ASCII characters without spaces")}


def _expiry_faults(expires_at: datetime | None) -> dict[str, str]:
    over = expires_at is not None and expires_at <= timezone.now()
    return {"expires_at": said("must be in the future")} if over else {}


def _purpose_faults(purposes: Sequence[Purpose]) -> dict[str, str]:
    if not purposes:
        return {"purposes": said("at least one is needed: a key is used for declared purposes only")}
    wrong = [purpose.code for purpose in purposes if purpose.acts_as != Purpose.ActsAs.SYSTEM]
    return {"purposes": said("act as a user, not as the system: %(wrong)s", wrong=", ".join(wrong))} if wrong else {}


def _approved(installation: Installation) -> list[Scope]:
    return [row.as_approval().scope for row in installation.approved_permissions.in_force()]


def _refuse_known(key: KeyText) -> None:
    digests = vault.digests_of(key.value)
    known = ApiKey.objects.filter(fingerprint__in=digests).first()
    if known is not None and known.state == ApiKey.State.REVOKED:
        raise StateConflict(
            said("This key was revoked here (API key #%(known)s). Create a new one at Flowlu.", known=known.pk)
        )
    if known is not None:
        raise StateConflict(
            said(
                "This key is stored already (API key #%(known)s). Create one key for each use at Flowlu.",
                known=known.pk,
            )
        )
    if selectors.is_revoked(key.value) or OAuthToken.objects.filter(access_fingerprint__in=digests).exists():
        raise StateConflict(
            said("This is a user's token, not an API key. An API key is made in the portal's settings.")
        )


class _refusing_twins:  # noqa: N801 - reads as what it does
    """Turn the database's refusal of a second row for the same key into words, without the key's fingerprint."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, IntegrityError):
            raise StateConflict(said("This key is stored already. Create one key for each use at Flowlu.")) from None


def _new_row(
    installation: Installation,
    label: str,
    key: KeyText,
    named: Iterable[Scope],
    covers: dict[str, object],
    expires_at: datetime | None,
    actor: Actor,
) -> ApiKey:
    row = ApiKey(
        installation=installation,
        label=label.strip(),
        scopes=sorted({str(scope) for scope in named}),
        covers=covers,
        expires_at=expires_at,
        added_by=(actor.name or actor.id)[:250],
    )
    vault.seal_api_key_into(row, key.value)
    return row


def _wipe(ids: Sequence[int], ending: ApiKey.Ending, now: datetime) -> None:
    ApiKey.objects.filter(pk__in=ids, state=ApiKey.State.ACTIVE).update(
        state=ApiKey.State.REVOKED, sealed_key=None, seal_key_id="", revoked_at=now, ending=ending
    )


def _locked_live(installation_id: int) -> Installation:
    installation = Installation.objects.select_for_update(no_key=True).filter(pk=installation_id).first()
    if installation is None:
        raise StateConflict(said("There is no such installation."))
    _live(installation)
    return installation


def _live(installation: Installation) -> None:
    if installation.status == Installation.Status.UNINSTALLED:
        raise StateConflict(
            said("This installation is gone. A new launch makes the next one, which needs a key of its own.")
        )


def _locked(api_key_id: int) -> ApiKey:
    found = ApiKey.objects.filter(pk=api_key_id).values_list("installation_id", flat=True).first()
    if found is None:
        raise StateConflict(said("There is no such API key."))
    installation = Installation.objects.select_for_update(no_key=True).get(pk=found)
    row = ApiKey.objects.select_for_update(no_key=True).get(pk=api_key_id)
    row.installation = installation
    return row


def _public(row: ApiKey) -> dict[str, object]:
    return {"fingerprint": row.fingerprint[:8], "scopes": [str(scope) for scope in read_scopes(row.scopes)]}
