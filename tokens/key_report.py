"""Which keys rows need, which the rings hold, and what follows: reads for `key_status`, the console and `/readyz`."""

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum

from django.conf import settings
from django.db.models import Count

from installations import audit
from installations.audit_models import AuditEvent
from installations.keys import FINGERPRINT_SHOWN, Key, KeyRing, parse_key_ring
from tokens.models import KeyRecord, ReplacedFingerprint, RevokedFingerprint
from tokens.sealed_models import registered
from tokens.sealed_rows import Rings, distinct, rings

Ring = KeyRecord.Ring
_SAMPLES = 5


class Standing(StrEnum):
    """What is to be said of a key."""

    NEWEST = "newest"
    OLD = "old"
    UNUSED = "unused"  # in the ring, not the newest, and nothing needs it
    MISSING = "missing"  # rows need it and the ring lacks it
    WRONG = "wrong"  # the ring has another key under the id that rows name


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key id of one ring."""

    key_id: str
    fingerprint: str  # of the ring's key, in full; '' when the ring has none of this id
    recorded: Sequence[str]  # of the keys that rows were found under before
    standing: Standing
    moves: dict[str, int] = field(default_factory=dict)  # rows by kind; a rewrap takes those of an old key along
    stays: dict[str, int] = field(default_factory=dict)  # rows by kind that keep needing exactly this key

    @property
    def shown_fingerprint(self) -> str:
        return (self.fingerprint or next(iter(self.recorded), ""))[:FINGERPRINT_SHOWN]


@dataclass(frozen=True, slots=True)
class RingReport:
    ring: str
    keys: Sequence[KeyLine]


def ring_of(name: str) -> KeyRing:
    return parse_key_ring(getattr(settings, name))


def report() -> list[RingReport]:
    """Return every key of every ring and of every row. Reads all sealed rows, the deny list and the trail's index.

    Raises KeyRingError when a ring is not usable.
    """
    needs: dict[str, dict[str, tuple[dict[str, int], dict[str, int]]]] = {ring: {} for ring in Ring.values}

    def note(ring: str, place: int, kind: str, counts: Counter[str]) -> None:
        for key_id, rows in counts.items():
            needs[ring].setdefault(key_id, ({}, {}))[place][kind] = rows

    for rows in registered():
        note(Ring.TOKEN_KEYS, 0, rows.name, rows.rows_by_seal_key())
        moves, stays = rows.rows_by_fingerprint_key()
        note(Ring.FINGERPRINT_KEY, 0, rows.name, moves)
        note(Ring.FINGERPRINT_KEY, 1, f"{rows.name} whose secret is wiped", stays)
    note(Ring.FINGERPRINT_KEY, 1, "revoked fingerprints", _denied_by_key())
    note(Ring.AUDIT_KEY, 1, "audit events", _events_by_key())
    return [RingReport(ring, list(_counted(ring, needs[ring]))) for ring in Ring.values]


def standings() -> list[RingReport]:
    """Return every key as `report` does, but for how many rows need it: at a cost that does not grow with the rows.

    What is sealed under a key and would be made anew without it, such as a session, is no need here.
    Raises KeyRingError when a ring is not usable.
    """
    return [RingReport(ring, list(_lines(ring, keys_needed(ring)))) for ring in Ring.values]


def _counted(ring: str, needs: dict[str, tuple[dict[str, int], dict[str, int]]]) -> Iterator[KeyLine]:
    for line in _lines(ring, needs.keys()):
        moves, stays = needs.get(line.key_id, ({}, {}))
        if line.standing is not Standing.MISSING or _is_lost(moves, stays):
            yield replace(line, moves=moves, stays=stays)


def _lines(ring: str, needed: Set[str]) -> Iterator[KeyLine]:
    held = ring_of(ring)
    recorded = _recorded(ring)
    ids = [key.id for key in held]
    for key_id in [*ids, *sorted(needed - set(ids))]:
        key = held.get(key_id)
        known = recorded.get(key_id, [])
        standing = _standing(ring, key, key is held.newest, key_id in needed, known)
        yield KeyLine(key_id, key.fingerprint if key else "", known, standing)


def _is_lost(moves: dict[str, int], stays: dict[str, int]) -> bool:
    """Return whether anything is lost without the key: what only has to be made again is not."""
    remade = {rows.name for rows in registered() if not rows.needs_their_key}
    return bool(stays) or bool(moves.keys() - remade)


def _standing(ring: str, key: Key | None, is_newest: bool, is_needed: bool, known: Sequence[str]) -> Standing:
    if key is None:
        return Standing.MISSING
    if is_needed and key.fingerprint not in known and (known or proves(ring, key.id) is False):
        return Standing.WRONG
    if is_newest:
        return Standing.NEWEST
    return Standing.OLD if is_needed else Standing.UNUSED


def _recorded(ring: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key_id, digest in (
        KeyRecord.objects.filter(ring=ring).order_by("-recorded_at", "-pk").values_list("key_id", "fingerprint")
    ):
        found.setdefault(key_id, []).append(digest)
    return found


def proves(ring: str, key_id: str) -> bool | None:
    """Return whether the ring's key of this id is the one that rows were written with, by trying some of them.

    None when no row can tell: of a wiped secret nothing but its fingerprint is left.
    """
    if ring == Ring.AUDIT_KEY:
        key = ring_of(ring).get(key_id)
        events = list(AuditEvent.objects.filter(key_id=key_id).order_by("-sequence")[:_SAMPLES]) if key else []
        found = [audit.event_hash(event, key) == event.hash for event in events if key]
    else:
        keys = rings()
        asked = [
            rows.proves(keys, key_id) if ring == Ring.TOKEN_KEYS else rows.proves_fingerprint(keys, key_id)
            for rows in registered()
        ]
        found = [answer for answer in asked if answer is not None]
    return any(found) if found else None


def keys_needed(ring: str) -> set[str]:
    """Return the ids of the keys that rows need, at a cost that does not grow with the rows."""
    if ring == Ring.AUDIT_KEY:
        return distinct(AuditEvent.objects.order_by(), "key_id")
    needed = [rows for rows in registered() if rows.needs_their_key]
    if ring == Ring.TOKEN_KEYS:
        return {key for rows in needed for key in rows.seal_keys()}
    kept = (RevokedFingerprint.objects.all(), ReplacedFingerprint.objects.all())
    return {key for kind in kept for key in distinct(kind, "fingerprint_key_id")} | {
        key for rows in needed for key in rows.fingerprint_keys()
    }


def problems() -> list[str]:
    """Return what is wrong with the keys, a line each; cheap enough for /readyz. Raises KeyRingError."""
    found = []
    for ring in Ring.values:
        held = ring_of(ring)
        recorded: dict[str, list[str]] | None = None
        for key_id in sorted(keys_needed(ring)):
            key = held.get(key_id)
            recorded = _recorded(ring) if recorded is None else recorded
            known = recorded.get(key_id, [])
            if key is None:
                which = f" (fingerprint {known[0][:FINGERPRINT_SHOWN]})" if known else ""
                found.append(f"rows need the key {key_id!r}{which} of {ring}, which is missing")
            elif known and key.fingerprint not in known:
                found.append(
                    f"the key {key_id!r} of {ring} is not the one that rows were written with "
                    f"(fingerprint {key.fingerprint[:FINGERPRINT_SHOWN]}, needed {known[0][:FINGERPRINT_SHOWN]})"
                )
    return found


def outdated(keys: Rings) -> dict[str, int]:
    """Return how many rows of each kind a rewrap has still to do. Reads all sealed rows."""
    return {rows.name: count for rows in registered() if (count := rows.outdated(keys))}


def _denied_by_key() -> Counter[str]:
    rows = RevokedFingerprint.objects.order_by().values_list("fingerprint_key_id").annotate(rows=Count("pk"))
    return Counter(dict(rows))


def _events_by_key() -> Counter[str]:
    return Counter(dict(AuditEvent.objects.order_by().values_list("key_id").annotate(rows=Count("pk"))))
