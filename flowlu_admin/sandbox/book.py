"""What the sandbox's token and revocation endpoints remember: the client, families of pairs, and their faults.

The caller holds the state's lock.
"""

import secrets
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

OAuthFaultKind: TypeAlias = Literal[
    "delay_before",
    "delay_after",
    "reset_before",
    "reset_after",
    "close_after",
    "status_429",
    "status_500",
    "status_502",
    "status_503",
    "status_504",
    "malformed",
    "html",
    "oversized",
    "redirect",
    "no_expires_in",
    "no_refresh_token",
    "wrong_token_type",
    "wrong_user",
    "invalid_grant",
    "invalid_client",
    "unsupported_token_type",
]
OAUTH_FAULT_KINDS: tuple[str, ...] = get_args(OAuthFaultKind)
ENDPOINTS = ("token", "revoke")
_REMEMBERED = 100_000


class SandboxError(Exception):
    """A control call that cannot be carried out; the text is for the person at the other end."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(slots=True)
class OAuthFault:
    """One thing that goes wrong at an endpoint; `times` counts down, None lasts until it is cleared."""

    kind: str
    endpoint: str
    times: int | None = None
    delay_seconds: float = 5.0
    retry_after: str | None = "7"
    over: bool = False


class OAuthBook:
    """The client's credentials, which refresh tokens are spent, and how often a family was redeemed from."""

    def __init__(self) -> None:
        self.client_id = "sandbox-client"
        self.client_secret = secrets.token_urlsafe(32)
        self.start_anew()

    def start_anew(self) -> None:
        """Forget families and faults; the client stays who it is."""
        self.faults: list[OAuthFault] = []
        self.redeemed_twice: Counter[str] = Counter()
        self.redeemed: Counter[str] = Counter()
        self._spent: dict[str, str] = {}

    def note_redeemed(self, refresh_token: str, family: str) -> None:
        self.redeemed[family] += 1
        self._spent[refresh_token] = family
        if len(self._spent) > _REMEMBERED:
            del self._spent[next(iter(self._spent))]

    def note_renewed(self, family: str) -> None:
        self.redeemed[family] += 1

    def note_redeemed_twice(self, family: str) -> None:
        self.redeemed_twice[family] += 1

    def family_of_spent(self, refresh_token: str) -> str | None:
        return self._spent.get(refresh_token)

    def summary(self) -> dict[str, Any]:
        """Give the counts over all families; `killed` are the families that died of a double redemption."""
        return {
            "client_id": self.client_id,
            "families": len(self.redeemed),
            "redemptions": sum(self.redeemed.values()),
            "redeemed_twice": sum(self.redeemed_twice.values()),
            "killed": len(self.redeemed_twice),
            "faults": [asdict(fault) for fault in self.faults],
            "kinds": OAUTH_FAULT_KINDS,
        }

    def add_fault(
        self,
        fault: str,
        *,
        endpoint: str = "token",
        times: int | None = None,
        delay_seconds: float = 5.0,
        retry_after: str | None = "7",
    ) -> OAuthFault:
        """Switch a fault on for an endpoint; the first one there is used."""
        if fault not in OAUTH_FAULT_KINDS:
            raise SandboxError(f"There is no fault {fault!r}. There are: {', '.join(OAUTH_FAULT_KINDS)}.")
        if endpoint not in ENDPOINTS:
            raise SandboxError(f"endpoint is one of {', '.join(ENDPOINTS)}.")
        try:
            new = OAuthFault(fault, endpoint, times and int(times), float(delay_seconds), retry_after)
        except (TypeError, ValueError):
            raise SandboxError("times and delay_seconds must be numbers.") from None
        self.faults.append(new)
        return new

    def take_fault(self, endpoint: str) -> OAuthFault | None:
        for fault in self.faults:
            if fault.endpoint == endpoint:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.faults.remove(fault)
                return fault
        return None

    def clear_faults(self) -> None:
        for fault in self.faults:
            fault.over = True
        self.faults.clear()
