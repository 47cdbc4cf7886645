"""What the sandbox remembers: tokens, approvals, switches, faults and requests. Its methods are the control API.

Every method may be called from any thread. Token values leave only through the pair that a method returns.
"""

import json
import os
import secrets
import string
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from flowlu_admin.sandbox import variants
from flowlu_admin.sandbox.book import OAuthBook, SandboxError
from flowlu_admin.sandbox.data import DEFAULT_SCOPES, SEEDS, PortalSeed, Record, User, records_of

FaultKind: TypeAlias = Literal[
    "delay",
    "drip",
    "reset",
    "oversized",
    "malformed",
    "wrong_types",
    "html",
    "redirect",
    "status_401",
    "status_403",
    "status_429",
    "status_500",
    "status_503",
    "error_200",
    "validation_200",
    "no_envelope",
    "empty",
    "close_before_body",
    "expire_token",
]
FAULT_KINDS: tuple[str, ...] = get_args(FaultKind)
AuthFailure: TypeAlias = Literal["status_401", "error_11"]
ScopeRefusal: TypeAlias = Literal["status_403", "error_22"]

DEFAULT_LIFETIME = 3600
_LOG_LENGTH = 10_000
_MAX_PAIRS = 20_000
_FORGET_AFTER = timedelta(days=7)
_KEY_ALPHABET = string.ascii_letters + string.digits
_KEY_LENGTH = 51


@dataclass(frozen=True, slots=True)
class Pair:
    """An access and a refresh token, bound to one user of one portal and one application."""

    portal: str
    user_id: str
    app_id: str
    expires_at: int
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    family: str = ""  # the pairs that came from one another by refreshing

    @property
    def expires_at_text(self) -> str:
        """Give the expiry as it is assumed of the SDK: UTC, and nothing in the text says so."""
        return variants.expiry_text(self.expires_at, "utc")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a REST call acts as: a user by token, or the system by the portal's key."""

    user: User | None
    app_id: str | None


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong on a portal; `times` counts down, None lasts until it is cleared."""

    kind: str
    times: int | None = None
    path: str = ""
    delay_seconds: float | None = None
    error_code: int = 22
    size: int = 11 * 1024 * 1024
    retry_after: str | None = "7"
    location: str = ""
    over: bool = False  # switched off: whoever still waits because of it waits no longer

    def matches(self, path: str) -> bool:
        """Say whether the fault is meant for `module/model/action[/id]`; a fault's path is a prefix of whole parts."""
        return not self.path or f"{path}/".startswith(f"{self.path}/")


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One REST request: enough to test who called what, and never a token, key or parameter value."""

    portal: str
    method: str
    path: str
    status: int
    user_id: str | None
    auth: str
    fault: str | None
    parameters: tuple[str, ...]
    at: str


@dataclass(slots=True)
class Settings:
    """How a portal behaves where Flowlu's documentation allows more than one behaviour."""

    access_lifetime: int = DEFAULT_LIFETIME
    auth_failure: AuthFailure = "status_401"
    scope_refusal: ScopeRefusal = "status_403"
    rate_limit: int | None = None


class Portal:
    """One portal at work. Its attributes are guarded by the state's lock."""

    def __init__(self, seed: PortalSeed) -> None:
        self.seed = seed
        self.domain = seed.domain
        self.users = {user.id: user for user in seed.users}
        self.tables: dict[tuple[str, str], dict[int, Record]] = records_of(seed)
        self.next_ids = {key: max(records, default=0) + 1 for key, records in self.tables.items()}
        self.settings = Settings()
        self.variants = variants.assumed()
        self.approved: tuple[str, ...] | None = None
        self.is_installed = True
        self.api_keys: set[str] = set()
        self.faults: list[Fault] = []
        self.second = 0
        self.hits = 0


class SandboxState:
    """All portals and everything that can be done to them from outside."""

    def __init__(
        self,
        *,
        app_id: str = "com.example.desk",
        app_version: str = "1.0.0",
        requested_scopes: Iterable[str] = DEFAULT_SCOPES,
        state_file: Path | None = None,
    ) -> None:
        self.app_id = app_id
        self.app_version = app_version
        self.requested_scopes = tuple(requested_scopes)
        self.lock = threading.RLock()
        self.oauth = OAuthBook()
        self._state_file = state_file
        self._start_anew()
        if state_file is not None and state_file.exists():
            self._load(state_file)

    def _start_anew(self) -> None:
        self.portals = {seed.domain: Portal(seed) for seed in SEEDS}
        self._by_access: dict[str, Pair] = {}
        self._by_refresh: dict[str, Pair] = {}
        self.oauth.start_anew()
        self._log: deque[LoggedRequest] = deque(maxlen=_LOG_LENGTH)
        self._counters: Counter[str] = Counter()

    # Portals and users

    def portal(self, name: str) -> Portal:
        """Return the portal by its domain or by the first label of it."""
        found = self.portals.get(name) or self.portals.get(f"{name}.flowlu.com")
        if found is None:
            raise SandboxError(f"There is no portal {name!r} here. There are: {', '.join(self.portals)}.", 404)
        return found

    def user(self, portal: str, user_id: str) -> User:
        """Return the portal's user."""
        found = self.portal(portal)
        if user_id not in found.users:
            raise SandboxError(f"{found.domain} has no user {user_id!r}. It has: {', '.join(found.users)}.", 404)
        return found.users[user_id]

    def configure(
        self,
        portal: str,
        *,
        access_lifetime: int | None = None,
        auth_failure: AuthFailure | None = None,
        scope_refusal: ScopeRefusal | None = None,
        rate_limit: int | None = None,
    ) -> Settings:
        """Change what is given; `rate_limit` is in requests per second, 0 switches it off."""
        with self.lock:
            settings = self.portal(portal).settings
            if access_lifetime is not None:
                settings.access_lifetime = _whole(access_lifetime, "access_lifetime", minimum=0)
            if auth_failure is not None:
                if auth_failure not in get_args(AuthFailure):
                    raise SandboxError("auth_failure is status_401 or error_11.")
                settings.auth_failure = auth_failure
            if scope_refusal is not None:
                if scope_refusal not in get_args(ScopeRefusal):
                    raise SandboxError("scope_refusal is status_403 or error_22.")
                settings.scope_refusal = scope_refusal
            if rate_limit is not None:
                settings.rate_limit = _whole(rate_limit, "rate_limit", minimum=0) or None
            return replace(settings)

    def choose(self, portal: str, choices: Mapping[str, object]) -> dict[str, str]:
        """Let the portal differ in the points that are named, and return how each point is now."""
        for name, choice in choices.items():
            if name not in variants.VARIANTS:
                raise SandboxError(f"There is no variant {name!r}. There are: {', '.join(variants.VARIANTS)}.")
            if choice not in variants.VARIANTS[name]:
                raise SandboxError(f"{name} is one of {', '.join(variants.VARIANTS[name])}.")
        with self.lock:
            found = self.portal(portal)
            found.variants |= {name: str(choice) for name, choice in choices.items()}
            return dict(found.variants)

    def clear_variants(self, portal: str | None = None) -> None:
        """Go back to what is assumed, on one portal or on all."""
        with self.lock:
            for found in self.portals.values() if portal is None else [self.portal(portal)]:
                found.variants = variants.assumed()

    # Tokens and keys

    def as_sdk(self, pair: Pair) -> dict[str, str]:
        """Give the pair under the SDK's names."""
        form = self.portals[pair.portal].variants["expiry"]
        return {
            "access_token": pair.access_token,
            "refresh_token": pair.refresh_token,
            "expires_at": variants.expiry_text(pair.expires_at, form),
        }

    def issue_tokens(
        self, portal: str, user_id: str, *, app_id: str | None = None, expires_in: int | None = None
    ) -> Pair:
        """Start a new pair for the user; earlier pairs of the same user live on until they expire."""
        with self.lock:
            found = self.portal(portal)
            user = self.user(portal, user_id)
            if not found.is_installed:
                raise SandboxError(f"The application is not installed on {found.domain}.", 409)
            lifetime = found.settings.access_lifetime if expires_in is None else _whole(expires_in, "expires_in")
            pair = _new_pair(found.domain, user.id, app_id or self.app_id, self._now() + lifetime)
            self._keep(pair)
            self._save()
            return pair

    def refresh(self, refresh_token: str) -> Pair:
        """Replace a pair: the refresh token is used up and the old access token dies at once.

        A refresh token that comes a second time takes its whole family with it (RFC 9700 §4.14.2).
        """
        with self.lock:
            old = self._by_refresh.get(refresh_token)
            if old is None:
                self._punish(refresh_token)
                raise SandboxError("This refresh token is unknown, used up or withdrawn.", 400)
            self._drop(old)
            self.oauth.note_redeemed(refresh_token, old.family)
            return self._successor(old)

    def renew_access(self, refresh_token: str) -> Pair:
        """Give a new access token and keep the refresh token as it is, which RFC 6749 §6 allows."""
        with self.lock:
            old = self._by_refresh.get(refresh_token)
            if old is None:
                self._punish(refresh_token)
                raise SandboxError("This refresh token is unknown, used up or withdrawn.", 400)
            self._drop(old)
            self.oauth.note_renewed(old.family)
            return self._successor(old, refresh_token=refresh_token)

    def withdraw(self, token: str) -> bool:
        """Revoke as RFC 7009 has it: a refresh token with all of its family, an access token alone."""
        with self.lock:
            pair = self._by_refresh.get(token)
            if pair is not None:
                self._drop_family(pair.family)
            else:
                pair = self._by_access.pop(token, None)
            self._save()
            return pair is not None

    def is_live(self, token: str) -> bool:
        """Say whether the sandbox still takes the access or refresh token."""
        with self.lock:
            found = self._by_access.get(token)
            return token in self._by_refresh or (found is not None and found.expires_at > self._now())

    def _successor(self, old: Pair, *, refresh_token: str | None = None) -> Pair:
        lifetime = self.portals[old.portal].settings.access_lifetime
        pair = _new_pair(old.portal, old.user_id, old.app_id, self._now() + lifetime, old.family)
        if refresh_token is not None:
            pair = replace(pair, refresh_token=refresh_token)
        self._keep(pair)
        self._save()
        return pair

    def _punish(self, refresh_token: str) -> None:
        family = self.oauth.family_of_spent(refresh_token)
        if family is not None:
            self.oauth.note_redeemed_twice(family)
            self._drop_family(family)
            self._save()

    def _drop_family(self, family: str) -> None:
        for pair in [pair for pair in self._by_refresh.values() if pair.family == family]:
            self._drop(pair)

    def expire_token(self, access_token: str) -> None:
        """Let the access token be expired from now on; its refresh token keeps working."""
        with self.lock:
            old = self._by_access.get(access_token)
            if old is None:
                raise SandboxError("This access token is unknown here.", 404)
            self._keep(replace(old, expires_at=self._now() - 1))
            self._save()

    def remove_application(self, portal: str) -> int:
        """Remove the application as a portal administrator would: all its tokens die and nobody is told."""
        with self.lock:
            found = self.portal(portal)
            found.is_installed = False
            dead = [pair for pair in self._by_access.values() if pair.portal == found.domain]
            for pair in dead:
                self._drop(pair)
            self._save()
            return len(dead)

    def install_application(self, portal: str) -> None:
        """Install the application (again), with everything approved that it asks for."""
        with self.lock:
            found = self.portal(portal)
            found.is_installed = True
            found.approved = None
            self._save()

    def create_api_key(self, portal: str) -> str:
        """Create a key of the portal, which stands for the system and for no user."""
        with self.lock:
            key = "".join(secrets.choice(_KEY_ALPHABET) for _ in range(_KEY_LENGTH))
            self.portal(portal).api_keys.add(key)
            self._save()
            return key

    def delete_api_key(self, portal: str, api_key: str) -> None:
        """Delete a key: Flowlu's only documented way to revoke one."""
        with self.lock:
            self.portal(portal).api_keys.discard(api_key)
            self._save()

    def caller_by_token(self, portal: Portal, access_token: str) -> Caller | None:
        """Return who the token stands for on this portal; None when it is unknown, expired or another portal's."""
        pair = self._by_access.get(access_token)
        if pair is None or pair.portal != portal.domain or pair.expires_at <= self._now():
            return None
        return Caller(user=portal.users.get(pair.user_id), app_id=pair.app_id)

    def live_pairs(self, portal: str) -> int:
        """Count the pairs of a portal whose access token has not expired."""
        with self.lock:
            domain, now = self.portal(portal).domain, self._now()
            return sum(pair.portal == domain and pair.expires_at > now for pair in self._by_access.values())

    # Scopes

    def approve(self, portal: str, scopes: Iterable[str] | None) -> tuple[str, ...]:
        """Set what the portal administrator approved; None stands for everything that the application asks for."""
        with self.lock:
            found = self.portal(portal)
            if isinstance(scopes, str):
                raise SandboxError("scopes is a list of scopes, or null.")
            chosen = None if scopes is None else tuple(scopes)
            if chosen is not None:
                unasked = [scope for scope in chosen if scope not in self.requested_scopes]
                if unasked:
                    raise SandboxError(
                        f"The application does not ask for {', '.join(map(str, unasked))}. "
                        f"It asks for: {', '.join(self.requested_scopes)}."
                    )
            found.approved = chosen
            self._save()
            return self.approved_scopes(found)

    def approved_scopes(self, portal: Portal) -> tuple[str, ...]:
        """Give what is approved on the portal, which no documented channel tells the application."""
        return self.requested_scopes if portal.approved is None else portal.approved

    # Faults

    def add_fault(
        self,
        portal: str,
        fault: str,
        *,
        times: int | None = None,
        path: str = "",
        delay_seconds: float | None = None,
        error_code: int = 22,
        size: int = 11 * 1024 * 1024,
        retry_after: str | None = "7",
        location: str = "",
    ) -> Fault:
        """Switch a fault on for REST calls; the first one that matches a call is used.

        `path` is `module[/model[/action]]`, empty for any. `times` None lasts until the faults are cleared.
        """
        if fault not in FAULT_KINDS:
            raise SandboxError(f"There is no fault {fault!r}. There are: {', '.join(FAULT_KINDS)}.")
        new = Fault(
            kind=fault,
            times=None if times is None else _whole(times, "times", minimum=1),
            path=path.strip("/"),
            delay_seconds=None if delay_seconds is None else _seconds(delay_seconds),
            error_code=_whole(error_code, "error_code"),
            size=_whole(size, "size", minimum=1),
            retry_after=retry_after,
            location=location,
        )
        with self.lock:
            self.portal(portal).faults.append(new)
        return new

    def clear_faults(self, portal: str | None = None) -> None:
        """Switch all faults off, on one portal or on all. Calls that one of them holds back are let go."""
        with self.lock:
            for found in self.portals.values() if portal is None else [self.portal(portal)]:
                for fault in found.faults:
                    fault.over = True
                found.faults.clear()
            if portal is None:
                self.oauth.clear_faults()

    def take_fault(self, portal: Portal, path: str) -> Fault | None:
        """Return the fault for this call, and count it down."""
        if not portal.faults:
            return None
        with self.lock:
            for fault in portal.faults:
                if fault.matches(path):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            portal.faults.remove(fault)
                    return fault
        return None

    def within_rate_limit(self, portal: Portal) -> bool:
        """Count the request and say whether the portal still takes it in this second."""
        limit = portal.settings.rate_limit
        if limit is None:
            return True
        with self.lock:
            second = self._now()
            if second != portal.second:
                portal.second, portal.hits = second, 0
            portal.hits += 1
            return portal.hits <= limit

    # Requests

    def log(self, entry: LoggedRequest) -> None:
        """Keep what a REST request was, for tests and people."""
        with self.lock:
            self._log.append(entry)
            self._counters["total"] += 1
            self._counters[f"portal:{entry.portal}"] += 1
            self._counters[f"status:{entry.status}"] += 1
            self._counters[f"path:{entry.path}"] += 1

    def count(self, what: str) -> None:
        """Count something that is not a REST request."""
        with self.lock:
            self._counters[what] += 1

    def requests(self, portal: str | None = None) -> list[LoggedRequest]:
        """Return the REST requests since the last reset, oldest first."""
        with self.lock:
            domain = None if portal is None else self.portal(portal).domain
            return [entry for entry in self._log if domain in (None, entry.portal)]

    def counters(self) -> dict[str, int]:
        """Return how often what was asked for: `total`, `portal:…`, `status:…`, `path:…`, `redirect_followed`."""
        with self.lock:
            return dict(self._counters)

    def clear_requests(self) -> None:
        """Forget the requests so far, and nothing else."""
        with self.lock:
            self._log.clear()
            self._counters.clear()

    def reset(self) -> None:
        """Go back to the first start: tokens, keys, approvals, switches, faults, records and requests."""
        with self.lock:
            self._start_anew()
            self._save()

    # Pairs

    def _now(self) -> int:
        return int(datetime.now(UTC).timestamp())

    def _keep(self, pair: Pair) -> None:
        self._by_access[pair.access_token] = pair
        self._by_refresh[pair.refresh_token] = pair
        if len(self._by_access) > _MAX_PAIRS:
            self._drop(next(iter(self._by_access.values())))

    def _drop(self, pair: Pair) -> None:
        self._by_access.pop(pair.access_token, None)
        self._by_refresh.pop(pair.refresh_token, None)

    # The state file

    def _save(self) -> None:
        if self._state_file is None:
            return
        oldest = self._now() - int(_FORGET_AFTER.total_seconds())
        kept = {
            "format": 1,
            "pairs": [asdict(pair) for pair in self._by_access.values() if pair.expires_at > oldest],
            "portals": {
                portal.domain: {
                    "approved": portal.approved,
                    "is_installed": portal.is_installed,
                    "api_keys": sorted(portal.api_keys),
                    "settings": asdict(portal.settings),
                }
                for portal in self.portals.values()
            },
        }
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        # A new file in place of the old one: no moment with half a file, or with one that others may read.
        descriptor, name = tempfile.mkstemp(prefix=".sandbox-", dir=self._state_file.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.replace(name, self._state_file)

    def _load(self, path: Path) -> None:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            pairs = [Pair(**pair) for pair in kept["pairs"]]
            portals: Mapping[str, Mapping[str, Any]] = kept["portals"]
            for domain, values in portals.items():
                if (portal := self.portals.get(domain)) is None:
                    continue
                approved = values["approved"]
                # What is no longer asked for is no longer approved either.
                portal.approved = None if approved is None else tuple(s for s in approved if s in self.requested_scopes)
                portal.is_installed = bool(values["is_installed"])
                portal.api_keys = set(values["api_keys"])
                portal.settings = Settings(**values["settings"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise SandboxError(
                f"{path} is not a state file of the sandbox ({type(exc).__name__}). Move it away or delete it."
            ) from None
        for pair in pairs:
            if pair.portal in self.portals:
                self._keep(pair)


def _new_pair(portal: str, user_id: str, app_id: str, expires_at: int, family: str = "") -> Pair:
    return Pair(
        family=family or secrets.token_hex(8),
        portal=portal,
        user_id=user_id,
        app_id=app_id,
        expires_at=expires_at,
        access_token=secrets.token_urlsafe(32),
        refresh_token=secrets.token_urlsafe(32),
    )


def _whole(value: object, name: str, *, minimum: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (minimum is not None and value < minimum):
        at_least = "" if minimum is None else f" of at least {minimum}"
        raise SandboxError(f"{name} must be a whole number{at_least}.")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 600:
        raise SandboxError("delay_seconds must be a number between 0 and 600.")
    return float(value)
