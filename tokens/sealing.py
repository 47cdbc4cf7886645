"""Seal and unseal secrets at rest. Pure: keys and context come in, a value or an exception comes out.

A sealed value is `version | length of key id | key id | FernetBytes output`. The MAC also covers version, key
id and the context (which row, which column), so that a ciphertext copied to another place does not unseal.
docs/adr/0002 tells why the package's own `encrypt()` field is not used.
"""

import hmac
import time
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from django.utils.encoding import force_bytes
from django_cryptography.core.signing import BadSignature, FernetSigner
from django_cryptography.utils.crypto import FernetBytes, InvalidToken

from installations.keys import Key, KeyRing
from tokens.errors import UnsealFailed

VERSION = 1
# version, key id length, at least one character of key id, then Fernet's own version, time, IV, block and MAC
_SHORTEST = 2 + 1 + 1 + 8 + 16 + 16 + 32


@dataclass(frozen=True, slots=True)
class Context:
    """Where a sealed value lives: it unseals nowhere else."""

    model: str
    row: str  # an immutable identifier of the row, such as its uuid
    column: str

    def encoded(self) -> bytes:
        """Return the three parts with their lengths, so that no two contexts share an encoding."""
        parts = (self.model.encode(), self.row.encode(), self.column.encode())
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class _ContextSigner(FernetSigner):
    """Fernet's MAC, computed over the envelope's head and the context as well as over the ciphertext."""

    def __init__(self, key: bytes, covered: bytes) -> None:
        super().__init__(key)
        self._covered = len(covered).to_bytes(4, "big") + covered

    def signature(self, value: bytes | str) -> bytes:
        return super().signature(self._covered + force_bytes(value))


def seal(value: str, context: Context, ring: KeyRing) -> bytes:
    """Return `value` sealed for `context` under the newest key of the ring."""
    key = ring.newest
    head = _head(key)
    sealed: bytes = _cipher(key, head, context).encrypt_at_time(value.encode(), int(time.time()))
    return head + sealed


def unseal(sealed: bytes | memoryview, context: Context, ring: KeyRing) -> str:
    """Return the value that was sealed for exactly this context.

    Raises UnsealFailed, whose `reason` is `malformed`, `unknown_version`, `unknown_key` or `tampered`: never
    a default, never the ciphertext, and nothing of the value in the exception.
    """
    data = bytes(sealed)
    if len(data) < _SHORTEST:
        raise UnsealFailed("malformed")
    key_id = key_id_of(data)
    key = ring.get(key_id)
    if key is None:
        raise UnsealFailed("unknown_key", key_id=key_id)
    head, body = data[: 2 + data[1]], data[2 + data[1] :]
    try:
        plain: bytes = _cipher(key, head, context).decrypt(body)
        return plain.decode()
    except (BadSignature, InvalidToken, UnsupportedAlgorithm, ValueError):
        # `from None`: the package puts the expected signature into its message.
        raise UnsealFailed("tampered", key_id=key_id) from None


def key_id_of(sealed: bytes | memoryview) -> str:
    """Return the id of the key a value was sealed under, read from its head without any key.

    Raises UnsealFailed for what has no such head: of a secret in clear nothing is taken for the id of a key.
    """
    data = bytes(sealed)
    if data[:1] != bytes((VERSION,)):
        raise UnsealFailed("unknown_version")
    try:
        key_id = data[2 : 2 + data[1]].decode("ascii")
    except (IndexError, UnicodeDecodeError):
        raise UnsealFailed("malformed") from None
    if not key_id or not key_id.isprintable():
        raise UnsealFailed("malformed")
    return key_id


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A keyed hash of a secret, and the id of the key that made it. Its first 8 hex digits are shown to people."""

    key_id: str
    digest: str


def fingerprint(value: str, ring: KeyRing) -> Fingerprint:
    """Return the fingerprint under the newest key (HMAC-SHA256, 64 hex digits)."""
    return _fingerprint(value, ring.newest)


def fingerprints(value: str, ring: KeyRing) -> list[Fingerprint]:
    """Return the fingerprint under every key of the ring: a row may have been written under an older one."""
    return [_fingerprint(value, key) for key in ring]


def _fingerprint(value: str, key: Key) -> Fingerprint:
    digest = hmac.new(key.derive("fingerprint"), value.encode(), sha256).hexdigest()
    return Fingerprint(key.id, digest)


def _head(key: Key) -> bytes:
    return bytes((VERSION, len(key.id))) + key.id.encode("ascii")


def _cipher(key: Key, head: bytes, context: Context) -> FernetBytes:
    # Both are always passed: the package falls back to SECRET_KEY for an empty key or a missing signer.
    cipher_key, mac_key = key.derive("seal cipher"), key.derive("seal mac")
    return FernetBytes(cipher_key, _ContextSigner(mac_key, head + context.encoded()))
