"""Who is calling and whether the call may start: the checks of the current-user API, in their order. Pure.

Order (the first that fails answers): origin, revoked, user locked, installation locked, suspended, scope, method,
stale.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from installations.catalogue import Catalogue
from installations.errors import (
    InstallationLocked,
    InstallationSuspended,
    InsufficientScope,
    MethodNotAllowed,
    OriginNotAllowed,
    TokenRevoked,
    TokenStale,
    UserLocked,
)
from installations.scopes import (
    Approval,
    Call,
    CoverageSource,
    Level,
    Scope,
    granting_scope,
    normalise,
    smallest_scope,
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Everything about a session's holder that decides a call, as one statement read it."""

    session_id: int
    session_used_seconds_ago: float
    token_id: int
    token_uuid: str
    token_state: str
    token_generation: int
    sealed_access_token: bytes | None = field(repr=False)
    installation_id: int
    installation_status: str
    installation_locked: bool  # the portal, the application or the installation itself
    portal: str
    portal_user_id: int
    flowlu_user_id: str
    user_locked: bool
    approvals: Sequence[Approval]
    catalogue: Catalogue  # in force when all of this was read
    refreshed_by: str = "frontend"
    token_expires_at: datetime | None = None
    has_refresh_token: bool = False
    token_needs_proof: bool = False
    revocation_id: int | None = None  # what cut the token, where it is cut
    allowed_origins: Collection[str] = ()  # of the application, beside our own

    def approved_scopes(self) -> list[str]:
        """Return what the approvals add up to, as `code.level`."""
        effective = normalise(approval.scope for approval in self.approvals)
        return [str(Scope(code, level)) for code, level in effective.items()]


class Refreshable(Protocol):
    """What of a stored pair says whether it is to be refreshed here. Callers have it, and tokens of backend code."""

    @property
    def portal(self) -> str: ...
    @property
    def token_id(self) -> int: ...
    @property
    def token_generation(self) -> int: ...
    @property
    def token_state(self) -> str: ...
    @property
    def sealed_access_token(self) -> bytes | None: ...
    @property
    def refreshed_by(self) -> str: ...
    @property
    def token_expires_at(self) -> datetime | None: ...
    @property
    def has_refresh_token(self) -> bool: ...
    @property
    def token_needs_proof(self) -> bool: ...


class Need(Enum):
    """Whether a pair is to be refreshed here before it is used."""

    NONE = "none"
    SOON = "soon"  # the access token may still do: try, and use it if that fails
    MUST = "must"  # there is no access token that may be used


def refresh_need(pair: Refreshable, *, now: datetime, margin: timedelta) -> Need:
    """Return what the pair needs. The frontend's pairs need nothing from here, whatever state they are in.

    An expiry that has passed is no more than a hint: it came without its zone, and Flowlu's answer counts.
    """
    if pair.refreshed_by != "server" or pair.token_state == "revoked":
        return Need.NONE
    if pair.token_needs_proof:
        return Need.MUST
    if not pair.has_refresh_token:
        return Need.NONE
    if pair.token_state != "active" or pair.sealed_access_token is None:
        return Need.MUST
    expires = pair.token_expires_at
    return Need.SOON if expires is not None and expires - now <= margin else Need.NONE


def check_origin(allowed: Collection[str], origin: str | None) -> None:
    """Return when a page of that origin may use an application that allows these; raises OriginNotAllowed.

    None is a page of this service, or no page: the list is about pages of other origins.
    """
    if origin is not None and origin not in allowed:
        raise OriginNotAllowed


def check_usable(caller: Caller) -> None:
    """Return when the credential may be used at all; raises TokenRevoked, UserLocked, InstallationLocked or
    InstallationSuspended, in that order."""
    if caller.token_state == "revoked" or caller.installation_status == "uninstalled":
        raise TokenRevoked
    if caller.user_locked:
        raise UserLocked
    if caller.installation_locked:
        raise InstallationLocked
    if caller.installation_status == "suspended":
        raise InstallationSuspended


def check_scope(caller: Caller, call: Call, catalogue: CoverageSource) -> Scope:
    """Return the approved scope that covers the call; raises InsufficientScope naming the smallest that would.

    A pending installation has nothing approved and so is refused here.
    """
    approvals = caller.approvals if caller.installation_status == "active" else ()
    granted = granting_scope(approvals, catalogue, call)
    if granted is None:
        needed = smallest_scope(catalogue, call)
        raise InsufficientScope(required_scope=str(needed) if needed else None)
    return granted


def check_call(caller: Caller, call: Call, catalogue: CoverageSource, *, http_method: str) -> Scope:
    """Return the scope under which the call may start now. Raises the first refusal in the documented order."""
    granted = check_allowed(caller, call, catalogue, http_method=http_method)
    check_fresh(caller)
    return granted


def check_allowed(caller: Caller, call: Call, catalogue: CoverageSource, *, http_method: str) -> Scope:
    """Return the scope under which the call may start once there is a fresh token; raises as `check_call` does."""
    check_usable(caller)
    granted = check_scope(caller, call, catalogue)
    if call.level is Level.FULL and http_method != "POST":
        raise MethodNotAllowed
    return granted


def check_fresh(caller: Caller) -> None:
    """Return when there is an access token to use; raises TokenStale."""
    if caller.token_state != "active" or caller.sealed_access_token is None:
        raise TokenStale
