"""Sealed tokens that nobody knows, the sessions on them, and what was revoked.

Secrets come from the operating system's randomness, never from the seed: whoever knows the seed knows no token. Each is
sealed with the configured keys and forgotten.
"""

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any, Final

from django.conf import settings

from flowlu_admin.seeding.moments import Clock, days
from flowlu_admin.seeding.places import Place
from flowlu_admin.seeding.trail import LONGEST, Trail
from flowlu_admin.seeding.writing import Row, Tables
from installations import audit
from installations.actors import Actor, portal_user_actor
from tokens import vault
from tokens.models import (
    EmbedSession,
    OAuthToken,
    RefreshAttempt,
    ReplacedFingerprint,
    Revocation,
    RevokedFingerprint,
)
from tokens.targets import RevocationTarget

State = OAuthToken.State
_LIFE: Final = timedelta(hours=24)  # of an access token, as these say
_WHY: Final = ("The phone was lost.", "Left the company.", "Сотрудник уволен.", "Asked for by the customer.")


class Credentials:
    def __init__(self, tables: Tables, clock: Clock, rng: Random, trail: Trail, operators: list[Actor]) -> None:
        self._tables, self._clock, self._rng, self._trail, self._operators = tables, clock, rng, trail, operators
        self._sealer = OAuthToken()  # one for all: to make a model's instance takes longer than to seal

    def add(self, place: Place, users: Sequence[tuple[int, str]], count: int) -> list[int]:
        """Add tokens of these users on one installation; returns the numbers of those that are active."""
        rows = [self._token(place, users[number % len(users)]) for number in range(count)]
        self._revoke_some(place, rows)
        for row in rows:
            self._tables[OAuthToken].add(row)
            self._sessions(row)
        return [row["id"] for row in rows if row["state"] == State.ACTIVE.value]

    def _token(self, place: Place, user: tuple[int, str]) -> Row:
        rng, clock = self._rng, self._clock
        number = self._tables[OAuthToken].next_number()
        created = clock.after(place.first_seen, min(days(rng, 3), timedelta(days=8)))
        stored = max(created, place.last_seen - days(rng, 3))
        row: Row = {
            "id": number,
            # Not from the seed either: the same world may be added twice.
            "uuid": uuid.uuid4(),
            "installation_id": place.id,
            "portal_user_id": user[0],
            "expires_at": stored + _LIFE if rng.random() < 0.9 else None,
            "generation": 1 + int(rng.expovariate(0.1)),
            "created_at": created,
            "stored_at": stored,
        }
        row |= self._sealed(row, with_refresh=place.app.stores_refresh_tokens, is_old=stored + _LIFE < clock.now)
        details = {"portal_user": user[0], "generation": 1, "with_refresh_token": bool(row["refresh_fingerprint"])}
        event = audit.Event("token.stored", "token", str(number), place.id, details=details)
        self._trail.add(created, portal_user_actor(place.domain, user[1]), event)
        return row

    def _sealed(self, row: Row, *, with_refresh: bool, is_old: bool) -> Row:
        """Return the columns of a pair: sealed and in use, or found stale and perhaps wiped since."""
        access = secrets.token_urlsafe(32)
        refresh = secrets.token_urlsafe(32) if with_refresh else None
        token = self._sealer
        token.uuid = row["uuid"]
        vault.seal_into(token, access, refresh)
        columns: Row = {
            "sealed_access_token": token.sealed_access_token,
            "sealed_refresh_token": token.sealed_refresh_token,
            "access_fingerprint": token.access_fingerprint,
            "refresh_fingerprint": token.refresh_fingerprint,
            "fingerprint_key_id": token.fingerprint_key_id,
            "seal_key_id": token.seal_key_id,
            "state": State.ACTIVE.value,
        }
        if is_old and self._rng.random() < 0.4:
            columns |= {"state": State.STALE.value, "stale_at": self._clock.after(row["stored_at"], _LIFE)}
            if self._rng.random() < 0.5:
                columns |= {"sealed_access_token": None, "sealed_refresh_token": None, "seal_key_id": ""}
        return columns

    # --- Sessions, and what came before the present pair ---

    def _sessions(self, row: Row) -> None:
        rng, clock = self._rng, self._clock
        opened = row["stored_at"]
        if clock.now - opened > timedelta(days=settings.SESSION_DAYS):
            return
        for _number in range(rng.choices((0, 1, 2), (45, 45, 10))[0]):
            used = clock.after(opened, timedelta(minutes=rng.randrange(1, 240)))
            until = opened + timedelta(seconds=settings.EMBED_SESSION_MAX)
            self._tables[EmbedSession].add(
                {
                    "id": self._tables[EmbedSession].next_number(),
                    "token_hash": sha256(secrets.token_bytes(32)).hexdigest(),
                    "oauth_token_id": row["id"],
                    "created_at": opened,
                    "last_used_at": used,
                    "expires_at": until,
                    "ended_at": used if rng.random() < 0.3 else None,
                }
            )
        if rng.random() < 0.05:
            self._replaced(row)

    def _replaced(self, row: Row) -> None:
        replaced_at = self._clock.after(row["stored_at"], timedelta(seconds=1))
        before = vault.fingerprint_of(secrets.token_urlsafe(32))
        self._tables[ReplacedFingerprint].add(
            {
                "id": self._tables[ReplacedFingerprint].next_number(),
                "oauth_token_id": row["id"],
                "fingerprint": before.digest,
                "fingerprint_key_id": before.key_id,
                "replaced_at": replaced_at,
            }
        )
        if row["refresh_fingerprint"]:
            self._tables[RefreshAttempt].add(
                {
                    "id": self._tables[RefreshAttempt].next_number(),
                    "oauth_token_id": row["id"],
                    "generation": row["generation"],
                    "refresh_fingerprint": vault.fingerprint_of(secrets.token_urlsafe(32)).digest,
                    "outcome": RefreshAttempt.Outcome.FRESH.value,
                    "started_at": row["stored_at"],
                    "finished_at": replaced_at,
                }
            )

    # --- Revocations ---

    def _revoke_some(self, place: Place, rows: Sequence[Row]) -> None:
        """Revoke all of what is gone, in one act, and a few others, one by one."""
        by = self._rng.choice(self._operators)
        if place.uninstalled_at is not None:
            if rows:
                target = RevocationTarget.of_installation(place.id)
                label = f"{place.app.app_id} on {place.domain} (generation {place.generation})"
                self._revoke(place, rows, target, ("installation", str(place.id), label), by, place.uninstalled_at)
            self._gone(place, by)
            return
        for row in rows:
            if self._rng.random() < 0.02:
                row |= {"stored_at": row["created_at"], "expires_at": row["created_at"] + _LIFE, "stale_at": None}
                at = self._clock.after(row["created_at"], min(days(self._rng, 2), LONGEST / 2))
                label = f"token #{row['id']} of a user of {place.domain}"
                target = RevocationTarget.of_token(row["id"])
                self._revoke(place, [row], target, ("token", str(row["id"]), label), by, at)

    def _revoke(
        self,
        place: Place,
        rows: Sequence[Row],
        target: RevocationTarget,
        names: tuple[str, str, str],
        by: Actor,
        at: datetime,
    ) -> None:
        number = self._tables[Revocation].next_number()
        kind, audit_id, label = names
        reason = self._rng.choice(_WHY)
        known = [row["expires_at"] for row in rows if row["expires_at"] is not None]
        self._tables[Revocation].add(
            {
                "id": number,
                "scope": target.kind.value,
                "target": target.to_json(),
                "target_id": audit_id,
                "target_label": label,
                "installation_id": place.id,
                "actor_name": by.name,
                "reason": reason,
                "state": Revocation.State.DONE.value,
                "cursor": rows[-1]["id"],
                "until": rows[-1]["id"],
                "tokens_expected": len(rows),
                "asked_at": at - timedelta(seconds=2),
                "cut_at": at,
                "tokens_cut": len(rows),
                "probe": Revocation.Probe.NO_SESSION.value,
                "probed_at": at,
                "possibly_alive_until": max(known) if len(known) == len(rows) else None,
                "without_expiry": len(rows) - len(known),
                **self._portal_step(at, by),
            }
        )
        for row in rows:
            self._deny(row, number, at)
            row |= {
                "state": State.REVOKED.value,
                "sealed_access_token": None,
                "sealed_refresh_token": None,
                "seal_key_id": "",
                "revoked_at": at,
                "revocation_id": number,
            }
        details = {"revocation": number, "scope": target.kind.value, "tokens_cut": len(rows)}
        event = audit.Event("tokens.revoked", kind, audit_id, place.id, reason, details)
        self._trail.add(at, by, event)

    def _portal_step(self, at: datetime, by: Actor) -> dict[str, Any]:
        step = Revocation.PortalStep
        if self._clock.now - at < timedelta(days=3):
            return {"portal_step": step.OPEN.value}
        if self._rng.random() < 0.7:
            return {"portal_step": step.NOT_ASKED.value}
        done = {"portal_step_at": self._clock.after(at, timedelta(days=1)), "portal_step_by": by.name}
        return {"portal_step": step.DONE.value, "portal_step_note": "Confirmed by telephone.", **done}

    def _deny(self, row: Row, revocation: int, at: datetime) -> None:
        table = self._tables[RevokedFingerprint]
        for digest in filter(None, (row["access_fingerprint"], row["refresh_fingerprint"])):
            table.add(
                {
                    "id": table.next_number(),
                    "fingerprint": digest,
                    "fingerprint_key_id": row["fingerprint_key_id"],
                    "revocation_id": revocation,
                    "revoked_at": at,
                }
            )

    def _gone(self, place: Place, by: Actor) -> None:
        assert place.uninstalled_at is not None  # noqa: S101 - asked for by the caller
        event = audit.Event(
            "installation.uninstalled", "installation", str(place.id), place.id, "Taken out by the customer.", {}
        )
        self._trail.add(place.uninstalled_at, by, event)
