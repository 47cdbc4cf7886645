"""What an ID token of the company's provider proves (OpenID Connect Core 1.0 §3.1.3.7), and what is kept of it. Pure.

The signature is always checked, also of a token that came straight from the token endpoint: what is compared there is
then the key of the provider, and not only the certificate of a host.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

# Only signatures that a published key can check: what the token's own head asks for is no choice.
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_LEEWAY = 60  # seconds by which the clocks of two machines may differ
_LONGEST_TOKEN = 64 * 1024
_LONGEST_SUBJECT = 255  # OpenID Connect Core §2: of ASCII characters
_MOST_GROUPS = 1000
_LONGEST_GROUP = 500
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


class NotProved(Exception):
    """The token proves nothing. `code` is a word of ours, never what the token says."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an account at the provider. Of all that it says, only the subject and mapped groups are ever stored."""

    issuer: str
    subject: str
    groups: frozenset[str]
    name: str = ""
    email: str = ""  # only one that the provider has verified


def verify_id_token(
    token: object, keys: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """Return the claims of a token that the issuer signed for this client and this request; raises NotProved."""
    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
        raise NotProved("no_id_token")
    try:
        head = jwt.get_unverified_header(token)
        algorithm = head.get("alg")
        if algorithm not in ALGORITHMS:
            raise NotProved("algorithm")
        claims: dict[str, Any] = jwt.decode(
            token,
            _key(keys, head.get("kid"), algorithm),
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            leeway=_LEEWAY,
            options={"require": _REQUIRED, "enforce_minimum_key_length": True},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise NotProved(type(error).__name__) from None
    _check_meant_for(claims, client_id)
    sent = claims.get("nonce")
    if not isinstance(sent, str) or not sent.isascii() or not hmac.compare_digest(sent, nonce):
        raise NotProved("nonce")
    return claims


def read_holder(claims: Mapping[str, Any], *, issuer: str, groups_claim: str) -> Holder:
    """Return who the claims are about; raises NotProved where that cannot be said.

    Without a `groups_claim` nobody asks for groups. None in the token means that there are none; what is no list of
    texts, or a hint that the list was too long for the token, says nothing of them.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not _is_plain(subject):
        raise NotProved("subject")
    groups = _groups(claims, groups_claim) if groups_claim else frozenset()
    name, email = claims.get("preferred_username"), claims.get("email")
    is_verified = claims.get("email_verified") is True
    return Holder(
        issuer,
        subject,
        groups,
        name if isinstance(name, str) else "",
        email if isinstance(email, str) and is_verified else "",
    )


def _key(keys: Mapping[str, Any], key_id: object, algorithm: str) -> jwt.PyJWK:
    """Return the one published key that the token can be signed with."""
    published = keys.get("keys")
    if not isinstance(published, list):
        raise NotProved("keys")
    usable = [
        key
        for key in published
        if isinstance(key, dict)
        and key.get("kty") in ("RSA", "EC", "OKP")
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (key_id is None or key.get("kid") == key_id)
    ]
    if len(usable) != 1:
        raise NotProved("key")
    return jwt.PyJWK(usable[0], algorithm=algorithm)


def _check_meant_for(claims: Mapping[str, Any], client_id: str) -> None:
    """Return unless the token is also, or rather, for another client."""
    audience, party = claims["aud"], claims.get("azp")
    is_shared = isinstance(audience, list) and len(audience) > 1
    if (party is not None or is_shared) and party != client_id:
        raise NotProved("audience")


def _groups(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, dict) and name in elsewhere:
        raise NotProved("groups_not_in_token")
    found = claims.get(name, [])
    if not isinstance(found, list) or len(found) > _MOST_GROUPS:
        raise NotProved("groups")
    if not all(isinstance(group, str) and len(group) <= _LONGEST_GROUP for group in found):
        raise NotProved("groups")
    return frozenset(found)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
