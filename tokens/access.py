"""Who is calling and whether the call may start: the checks of the current-user API, in their order. Pure.

Order (the first that fails answers): revoked, user locked, installation locked, suspended, scope, method, stale.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from installations.errors import (
    InstallationLocked,
    InstallationSuspended,
    InsufficientScope,
    MethodNotAllowed,
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

    def approved_scopes(self) -> list[str]:
        """Return what the approvals add up to, as `code.level`."""
        effective = normalise(approval.scope for approval in self.approvals)
        return [str(Scope(code, level)) for code, level in effective.items()]


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
    check_usable(caller)
    granted = check_scope(caller, call, catalogue)
    if call.level is Level.FULL and http_method != "POST":
        raise MethodNotAllowed
    if caller.token_state != "active" or caller.sealed_access_token is None:
        raise TokenStale
    return granted
