"""The sealed columns of rows: which context each has, and the key rings of this service."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from installations.keys import KeyRing, parse_key_ring
from tokens.errors import UnsealFailed
from tokens.models import ApiKey, OAuthToken
from tokens.sealing import Context, Fingerprint, fingerprint, fingerprints, key_id_of, seal, unseal

ACCESS = "sealed_access_token"
REFRESH = "sealed_refresh_token"
API_KEY = "sealed_key"

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_EXPIRY_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ")


def token_keys() -> KeyRing:
    return parse_key_ring(settings.TOKEN_KEYS)


def fingerprint_keys() -> KeyRing:
    return parse_key_ring(settings.FINGERPRINT_KEY)


def is_token_text(value: str) -> bool:
    """Return whether the text can be a token in a header: 1 to 4096 visible ASCII characters, no spaces."""
    return _TOKEN.fullmatch(value) is not None


def parse_expiry(text: str) -> datetime:
    """Return the UTC time of an `expires_at`.

    The SDK writes `YYYY-MM-DD HH:MM:SS` without a zone, taken as one of FLOWLU_EXPIRY_ZONE (flowlu-platform §10.5); ISO
    8601 with Z is taken as well. Raises ValueError for anything else.
    """
    for form in _EXPIRY_FORMATS:
        # Of an hour that the zone's clocks show twice it is the first one: a token is refreshed early, and never late.
        zone = UTC if form.endswith("Z") else ZoneInfo(settings.FLOWLU_EXPIRY_ZONE)
        try:
            return datetime.strptime(text, form).replace(tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    raise ValueError("not a time like 2026-04-01 10:15:20")


def seal_into(row: OAuthToken, access_token: str, refresh_token: str | None) -> None:
    """Set the sealed columns, fingerprints and key ids of an unsaved change to `row`."""
    access = fingerprint_of(access_token)
    row.sealed_access_token = seal(access_token, _context(row, ACCESS), token_keys())
    row.sealed_refresh_token = seal(refresh_token, _context(row, REFRESH), token_keys()) if refresh_token else None
    row.access_fingerprint, row.fingerprint_key_id = access.digest, access.key_id
    row.refresh_fingerprint = fingerprint_of(refresh_token).digest if refresh_token else ""
    row.seal_key_id = key_id_of(row.sealed_access_token)


def sealed_for(row: OAuthToken, access_token: str, refresh_token: str | None) -> tuple[bytes, bytes | None]:
    """Return a pair sealed for this row, and leave the row alone."""
    sealed = seal(access_token, _context(row, ACCESS), token_keys())
    return sealed, seal(refresh_token, _context(row, REFRESH), token_keys()) if refresh_token else None


def newest_key_id() -> str:
    """Return the id of the key that seals now."""
    return token_keys().newest.id


def unseal_access_token(row_uuid: str, sealed: bytes | memoryview) -> str:
    """Return the access token of the row with this uuid; raises UnsealFailed."""
    return unseal(sealed, Context("tokens.OAuthToken", row_uuid, ACCESS), token_keys())


def unseal_refresh_token(row_uuid: str, sealed: bytes | memoryview) -> str:
    """Return the refresh token of the row with this uuid; raises UnsealFailed."""
    return unseal(sealed, Context("tokens.OAuthToken", row_uuid, REFRESH), token_keys())


def seal_api_key_into(row: ApiKey, value: str) -> None:
    """Set the sealed column, fingerprint and key ids of an unsaved API key."""
    found = fingerprint_of(value)
    row.sealed_key = seal(value, Context("tokens.ApiKey", str(row.uuid), API_KEY), token_keys())
    row.fingerprint, row.fingerprint_key_id = found.digest, found.key_id
    row.seal_key_id = key_id_of(row.sealed_key)


def unseal_api_key(row_uuid: str, sealed: bytes | memoryview) -> str:
    """Return the API key of the row with this uuid; raises UnsealFailed."""
    return unseal(sealed, Context("tokens.ApiKey", row_uuid, API_KEY), token_keys())


def fingerprint_of(value: str) -> Fingerprint:
    return fingerprint(value, fingerprint_keys())


def fingerprints_of(value: str) -> list[Fingerprint]:
    """Return the fingerprint of the value under every key of the ring."""
    return fingerprints(value, fingerprint_keys())


def digests_of(*values: str | None) -> list[str]:
    """Return the fingerprints of the values that are there, under every key of the ring."""
    return [found.digest for value in values if value for found in fingerprints_of(value)]


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """The secret columns of a token's row, as a revocation reads them."""

    uuid: str
    sealed_access_token: bytes | memoryview | None
    sealed_refresh_token: bytes | memoryview | None
    access_fingerprint: str
    refresh_fingerprint: str
    fingerprint_key_id: str


def fingerprints_to_deny(row: StoredSecrets) -> list[Fingerprint]:
    """Return every fingerprint that the row's secrets may be met under.

    Those in the row, and those of what can be unsealed under every key of the ring: while keys are rotated, another row
    may hold the same token under another one.
    """
    found = {
        digest: Fingerprint(row.fingerprint_key_id, digest)
        for digest in (row.access_fingerprint, row.refresh_fingerprint)
        if digest
    }
    ring = fingerprint_keys()
    for column, sealed in ((ACCESS, row.sealed_access_token), (REFRESH, row.sealed_refresh_token)):
        if sealed is None:
            continue
        try:
            value = unseal(sealed, Context("tokens.OAuthToken", row.uuid, column), token_keys())
        except UnsealFailed:
            continue  # what is in the row is all that is left of it
        found |= {other.digest: other for other in fingerprints(value, ring)}
    return list(found.values())


def _context(row: OAuthToken, column: str) -> Context:
    return Context("tokens.OAuthToken", str(row.uuid), column)
