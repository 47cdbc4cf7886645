"""What a revocation is aimed at, and the pin of the set that somebody looked at before confirming it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Self

from installations.said import said
from tokens.errors import NoPin, NoTarget

# What people see of a token is the first eight digits of its fingerprint: that much names it, as a rule.
SHORTEST_FINGERPRINT: Final = 8
MOST_FINGERPRINTS: Final = 1000
_HEX: Final = frozenset("0123456789abcdef")
_DIGEST: Final = 24  # hex digits of a pin: 96 bits, which nobody has a reason to forge


class Kind(StrEnum):
    """What names the tokens. The values are those of `Revocation.scope`."""

    TOKEN = "token"  # noqa: S105 - the name of a kind
    PORTAL_USER = "portal_user"
    INSTALLATION = "installation"
    PORTAL = "portal"
    APPLICATION = "application"
    STORED_BEFORE = "stored_before"
    FINGERPRINTS = "fingerprints"


@dataclass(frozen=True, slots=True)
class RevocationTarget:
    """The tokens of one thing. Made by one of the class methods below, which name what belongs together."""

    kind: Kind
    id: int = 0
    installation_id: int | None = None  # narrows a user's tokens to one installation
    portal_id: int | None = None  # narrows what was stored before a time
    application_id: int | None = None  # likewise
    before: datetime | None = None
    fingerprints: tuple[str, ...] = ()

    @classmethod
    def of_token(cls, token_id: int) -> Self:
        return cls(Kind.TOKEN, token_id)

    @classmethod
    def of_portal_user(cls, user_id: int, *, installation_id: int | None = None) -> Self:
        """Return all tokens of a portal user: of one installation, or wherever on the portal they have one."""
        return cls(Kind.PORTAL_USER, user_id, installation_id=installation_id)

    @classmethod
    def of_installation(cls, installation_id: int) -> Self:
        return cls(Kind.INSTALLATION, installation_id)

    @classmethod
    def of_portal(cls, portal_id: int) -> Self:
        return cls(Kind.PORTAL, portal_id)

    @classmethod
    def of_application(cls, application_id: int) -> Self:
        return cls(Kind.APPLICATION, application_id)

    @classmethod
    def stored_before(
        cls, moment: datetime, *, portal_id: int | None = None, application_id: int | None = None
    ) -> Self:
        """Return what was stored before a time: everywhere, or on one portal, of one application, or both."""
        return cls(
            Kind.STORED_BEFORE, before=moment.astimezone(UTC), portal_id=portal_id, application_id=application_id
        )

    @classmethod
    def of_fingerprints(cls, fingerprints: Iterable[str]) -> Self:
        """Return the tokens with these fingerprints: whole ones, or their first eight digits or more.

        Raises NoTarget with the place of each that is none.
        """
        lines = [text.strip().lower() for text in fingerprints]
        wrong = [
            number
            for number, text in enumerate(lines, 1)
            if text and not (SHORTEST_FINGERPRINT <= len(text) <= 64 and _HEX.issuperset(text))
        ]
        if wrong:
            # By their place: what was pasted may be a token.
            shown = ", ".join(str(number) for number in wrong[:10])
            raise NoTarget(said("A fingerprint is 8 to 64 hexadecimal digits. Look at line %(shown)s.", shown=shown))
        found = tuple(sorted({text for text in lines if text}))
        if not found:
            raise NoTarget(said("Name at least one fingerprint."))
        if len(found) > MOST_FINGERPRINTS:
            raise NoTarget(
                said(
                    "At most %(most_fingerprints)s fingerprints at once; these are %(count)s.",
                    most_fingerprints=f"{MOST_FINGERPRINTS:,}",
                    count=f"{len(found):,}",
                )
            )
        return cls(Kind.FINGERPRINTS, fingerprints=found)

    def to_json(self) -> dict[str, Any]:
        """Return what the ledger keeps, so that a run that was interrupted goes on with the same target."""
        values = {
            "kind": self.kind.value,
            "id": self.id,
            "installation_id": self.installation_id,
            "portal_id": self.portal_id,
            "application_id": self.application_id,
            "before": self.before.isoformat() if self.before else None,
            "fingerprints": list(self.fingerprints),
        }
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        before = stored.get("before")
        return cls(
            Kind(stored["kind"]),
            stored.get("id", 0),
            stored.get("installation_id"),
            stored.get("portal_id"),
            stored.get("application_id"),
            datetime.fromisoformat(before) if before else None,
            tuple(stored.get("fingerprints", ())),
        )


@dataclass(frozen=True, slots=True)
class Pin:
    """Exactly which tokens somebody looked at, and when. A pair that took the place of another is of the same token.

    As text it can be typed: `tokens.newest.microseconds.digest`.
    """

    tokens: int
    newest: int  # the highest number among them
    at: datetime
    digest: str

    def __str__(self) -> str:
        return f"{self.tokens}.{self.newest}.{int(self.at.timestamp() * 1_000_000)}.{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the pin that was written so; raises NoPin."""
        parts = text.strip().split(".")
        try:
            tokens, newest, at = (int(part) for part in parts[:3])
            (digest,) = parts[3:]
            moment = datetime.fromtimestamp(at / 1_000_000, UTC)
        except (ValueError, OverflowError, OSError):
            raise NoPin from None
        if len(digest) != _DIGEST or not _HEX.issuperset(digest):
            raise NoPin
        return cls(tokens, newest, moment, digest)

    @classmethod
    def over(cls, target: RevocationTarget, numbers: Iterable[int], at: datetime) -> Self:
        """Return the pin over the number of each token, in their order.

        They are read once and none is kept: the cost is one pass, the memory does not grow with them.
        """
        digest = sha256(repr(sorted(target.to_json().items())).encode())
        tokens = newest = 0
        for pk in numbers:
            digest.update(b"%d;" % pk)
            tokens += 1
            newest = pk
        return cls(tokens, newest, at, digest.hexdigest()[:_DIGEST])

    def holds_for(self, other: "Pin") -> bool:
        """Return whether both are over the same tokens."""
        return (self.tokens, self.digest) == (other.tokens, other.digest)
