"""Key rings: parse `id:base64,id:base64` settings into 32-byte keys, newest first, and refuse anything doubtful.

Pure. Used for sealing (TOKEN_KEYS), fingerprints (FINGERPRINT_KEY) and the audit trail (AUDIT_KEY).
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
# How much of a key's own fingerprint people see and compare.
FINGERPRINT_SHOWN = 8
# A setting that holds one bare key gives it this id, so that a later `2:…,1:…` can still name the old one.
SINGLE_KEY_ID = "1"
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class KeyRingError(ValueError):
    """The setting is not a usable key ring. The text says why and holds no part of any key."""


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    id: str
    material: bytes

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    def derive(self, info: str) -> bytes:
        """Return the 32-byte subkey for one use (HKDF-SHA256, RFC 5869), unrelated to every other use's."""
        return _derive(self.material, info)

    @property
    def fingerprint(self) -> str:
        """Return what tells this key from another of the same id: 64 hex digits, of which no way leads to the key."""
        return self.derive("fingerprint of the key itself").hex()


@lru_cache(maxsize=128)
def _derive(material: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(material)


class KeyRing:
    """Keys by id. The first is for new values, all are for reading old ones."""

    def __init__(self, keys: list[Key]) -> None:
        if not keys:
            raise KeyRingError("It is empty: at least one key is needed.")
        self._keys = {key.id: key for key in keys}
        if len(self._keys) != len(keys):
            raise KeyRingError("The same key id appears twice.")
        if len({key.material for key in keys}) != len(keys):
            raise KeyRingError("Two ids carry the same key.")
        self.newest = keys[0]

    def __repr__(self) -> str:
        return f"<KeyRing {', '.join(self._keys)}>"

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def get(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)


@lru_cache(maxsize=32)
def parse_key_ring(text: str) -> KeyRing:
    """Return the ring that a setting describes: `id:base64,…` newest first, or one bare base64 key.

    Standard and URL-safe base64 are both taken, with or without padding.

    Raises KeyRingError.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    keys = []
    for place, part in enumerate(parts, start=1):
        key_id, colon, encoded = part.partition(":")
        if not colon:
            if len(parts) > 1:
                raise KeyRingError(f"Key {place} has no id: write id:key when there is more than one.")
            key_id, encoded = SINGLE_KEY_ID, part
        if not _ID.fullmatch(key_id):
            raise KeyRingError(f"The id of key {place} must be 1 to 32 letters, digits, '-' or '_'.")
        keys.append(Key(key_id, _decode(encoded, place)))
    return KeyRing(keys)


def generate(key_id: str) -> tuple[Key, str]:
    """Return a new random key and how it is written in a setting: `id:base64`. Raises KeyRingError for a bad id."""
    if not _ID.fullmatch(key_id):
        raise KeyRingError("A key's id must be 1 to 32 letters, digits, '-' or '_'.")
    while True:
        material = secrets.token_bytes(KEY_BYTES)
        text = f"{key_id}:{base64.b64encode(material).decode('ascii')}"
        try:
            return parse_key_ring(text).newest, text
        except KeyRingError:  # it repeats a few bytes: refused like anybody's
            continue


def _decode(encoded: str, place: int) -> bytes:
    plain = encoded.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        material = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KeyRingError(f"Key {place} is not base64.") from None
    if len(material) != KEY_BYTES:
        raise KeyRingError(f"Key {place} has {len(material)} bytes; it must have {KEY_BYTES}.")
    if len(set(material)) < 8:
        raise KeyRingError(f"Key {place} is not random: it repeats a few bytes.")
    return material
