"""Backend use for a declared purpose: who is acted for, and whether a call may start. Pure.

Order (the first that fails answers). What the client itself was allowed comes first, so that nobody learns of
installations and users beyond it:

invalid_client, purpose_unknown, purpose_not_allowed, purpose_disabled, purpose_expired, acts_as_not_allowed,
application_not_allowed, portal_not_allowed (to the client, then for the application), scope_not_in_purpose,
method_not_allowed, installation_unknown, user_locked, installation_locked, installation_suspended, insufficient_scope,
then the credential: no_credential, token_stale or scope_not_in_key.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from installations import scopes
from installations.catalogue import Catalogue
from installations.errors import (
    InstallationLocked,
    InstallationSuspended,
    InsufficientScope,
    InvalidRequest,
    MethodNotAllowed,
    UserLocked,
)
from installations.scopes import Approval, Call, CoverageSource, Level, Scope, ScopeSyntaxError
from tokens.errors import (
    ActsAsNotAllowed,
    ApplicationNotAllowed,
    InstallationUnknown,
    InvalidClient,
    NoCredential,
    PortalNotAllowedToApplication,
    PortalNotAllowedToClient,
    PurposeDisabled,
    PurposeExpired,
    PurposeNotAllowed,
    PurposeUnknown,
    ScopeNotInKey,
    ScopeNotInPurpose,
    UserTokenStale,
)

USER, SYSTEM = "user", "system"

# Plain ASCII and no comma: a header that was sent twice arrives joined by one, and must not read as a single value.
_PURPOSE = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ACT_AS = re.compile(
    r"(?P<kind>user|system):(?P<app_id>[A-Za-z0-9._:~+-]{1,200})@(?P<portal>[a-z0-9_.-]{1,200})(?:/(?P<user>[1-9][0-9]{0,19}))?"
)


@dataclass(frozen=True, slots=True)
class ActAs:
    """Whom a call acts as: a portal user by Flowlu's id, or the system, in one application on one portal."""

    kind: str
    app_id: str
    portal: str
    user_id: str = ""


def parse_purpose(text: str) -> str:
    """Return the purpose's code; raises InvalidRequest for what cannot be one."""
    if not _PURPOSE.fullmatch(text):
        raise InvalidRequest(fields={"X-Purpose": "must be the code of one declared purpose, once"})
    return text


def parse_act_as(text: str) -> ActAs:
    """Read `user:<app id>@<portal>/<user id>` or `system:<app id>@<portal>`; raises InvalidRequest."""
    found = _ACT_AS.fullmatch(text)
    if found is None or (found["kind"] == USER) != (found["user"] is not None):
        raise InvalidRequest(
            fields={"X-Act-As": "must be user:<app id>@<portal>/<user id> or system:<app id>@<portal>, once"}
        )
    return ActAs(found["kind"], found["app_id"], found["portal"], found["user"] or "")


@dataclass(frozen=True, slots=True)
class PurposeFacts:
    id: int
    acts_as: str
    scopes: tuple[Approval, ...]
    enabled: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class UserToken:
    """A token of the user that is acted for: the newest active one, else the newest that can be refreshed here."""

    portal: str
    token_id: int
    token_uuid: str
    token_generation: int
    token_state: str
    token_needs_proof: bool
    token_expires_at: datetime | None
    has_refresh_token: bool
    refreshed_by: str
    sealed_access_token: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SystemKey:
    """An API key of the installation that is active, not expired, and declared for the purpose."""

    id: int
    uuid: str
    scopes: tuple[Approval, ...]
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BackendCall:
    """Everything about client, purpose and installation that decides a call, as one statement read it.

    `client_id` is None for code of this project, which holds no key and is bound by the purpose alone.
    """

    act_as: ActAs
    client_id: int | None
    client_enabled: bool  # and the key that it came with is still its key
    purpose: PurposeFacts | None
    purpose_allowed: bool
    application_allowed: bool
    portal_allowed: bool
    application_takes_portal: bool  # or names no portal at all
    installation_id: int | None
    installation_status: str
    installation_locked: bool  # the portal, the application or the installation itself
    portal_user_id: int | None
    user_locked: bool
    user_known_here: bool  # the user has, or had, a token in this very installation
    has_stale_token: bool
    token: UserToken | None
    keys: Sequence[SystemKey]
    approvals: Sequence[Approval]
    catalogue: Catalogue  # in force when all of this was read


@dataclass(frozen=True, slots=True)
class Granted:
    """The call may start: under which approved scope, and with what."""

    scope: Scope
    token: UserToken | None
    key: SystemKey | None


def check_call(found: BackendCall, call: Call, catalogue: CoverageSource, *, http_method: str) -> Granted:
    """Return what the call is made with. Raises the first refusal in the order that the module names."""
    if not found.client_enabled:
        raise InvalidClient  # switched off, or given a new key, since it came in: a refresh takes its time
    purpose = found.purpose
    if purpose is None:
        raise PurposeUnknown
    if not found.purpose_allowed:
        raise PurposeNotAllowed
    if not purpose.enabled:
        raise PurposeDisabled
    if purpose.expired:
        raise PurposeExpired
    if purpose.acts_as != found.act_as.kind:
        raise ActsAsNotAllowed
    if not found.application_allowed:
        raise ApplicationNotAllowed
    if not found.portal_allowed:
        raise PortalNotAllowedToClient
    if not found.application_takes_portal:
        raise PortalNotAllowedToApplication
    # These narrow like an approval: by today's catalogue and by what it said when they were named.
    if not scopes.granting_scope(purpose.scopes, catalogue, call):
        raise ScopeNotInPurpose(required_scope=_smallest(call, catalogue))
    if call.level is Level.FULL and http_method != "POST":
        raise MethodNotAllowed
    if found.installation_id is None:
        raise InstallationUnknown
    # Only where the user was seen: whether a portal has a user of that number is nobody's business otherwise.
    if found.user_locked and found.user_known_here:
        raise UserLocked("Nothing may be done in this user's name: they are locked. Ask an operator.")
    if found.installation_locked:
        raise InstallationLocked("The portal, the application or the installation is locked. Ask an operator.")
    if found.installation_status == "suspended":
        raise InstallationSuspended("The installation is suspended. Ask an operator to resume it.")
    approvals = found.approvals if found.installation_status == "active" else ()
    scope = scopes.granting_scope(approvals, catalogue, call)
    if scope is None:
        raise InsufficientScope(
            "No approved scope of the installation covers this call. Ask an operator to approve one.",
            required_scope=_smallest(call, catalogue),
        )
    if found.act_as.kind == USER:
        return Granted(scope, _token(found), None)
    return Granted(scope, None, _key(found, call, catalogue))


def _smallest(call: Call, catalogue: CoverageSource) -> str | None:
    needed = scopes.smallest_scope(catalogue, call)
    return str(needed) if needed else None


def read_named(texts: object, covers: object) -> tuple[Approval, ...]:
    """Read the stored scopes of a purpose or an API key, each with the copy of what it covered when it was named.

    One without a copy, or with a damaged one, reaches nothing, and takes no other one down with it.
    """
    copies = covers if isinstance(covers, dict) else {}
    return tuple(_named(scope, copies.get(scope.code)) for scope in read_scopes(texts))


def _named(scope: Scope, copy: object) -> Approval:
    try:
        return Approval(scope.code, scope.level, scopes.from_json(copy))
    except ValueError:
        return Approval(scope.code, scope.level, ())


def read_scopes(texts: object) -> tuple[Scope, ...]:
    """Read a stored list of scopes. What is none grants nothing and takes no other one down with it."""
    found = []
    for text in texts if isinstance(texts, list) else ():
        try:
            found.append(scopes.parse(text if isinstance(text, str) else ""))
        except ScopeSyntaxError:
            continue
    return tuple(found)


def outside(wanted: Iterable[Scope], allowed: Iterable[Scope]) -> list[Scope]:
    """Return the wanted scopes that the allowed ones do not reach: another code, or a higher level."""
    effective = scopes.normalise(allowed)
    missing = []
    for scope in wanted:
        level = effective.get(scopes.swallowed_by(scope.code, effective) or scope.code)
        if level is None or level < scope.level:
            missing.append(scope)
    return missing


def _token(found: BackendCall) -> UserToken:
    if found.token is not None:
        return found.token
    if found.has_stale_token:
        raise UserTokenStale
    raise NoCredential("No usable token of this user is stored for this application. They have to open it first.")


def _key(found: BackendCall, call: Call, catalogue: CoverageSource) -> SystemKey:
    if not found.keys:
        raise NoCredential("No API key of this installation is stored for this purpose. Ask an operator to add one.")
    # The newest: while a replaced key still works, calls go out with the one that took its place.
    for key in sorted(found.keys, key=lambda key: key.id, reverse=True):
        if scopes.granting_scope(key.scopes, catalogue, call):
            return key
    raise ScopeNotInKey
