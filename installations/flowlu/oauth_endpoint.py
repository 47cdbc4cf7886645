"""The token endpoint (RFC 6749 §6) and the revocation endpoint (RFC 7009), as an OAuth client sees them.

Whatever goes wrong is told apart by one question: can the refresh token have been redeemed? Only where that is certain
may it be sent again. No text of an answer and no token gets into an exception.
"""

import base64
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Literal, TypeGuard
from urllib.parse import quote_plus, urlencode, urlsplit

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from installations.flowlu.addresses import Resolver
from installations.flowlu.client import USER_AGENT, read_retry_after
from installations.flowlu.pool import CallClock, Guard, GuardedPoolManager, call_clock, system_resolver

MAX_BODY = 64 * 1024
MAX_LIFETIME = 10 * 365 * 24 * 3600
# Refusals of the client or the request: a mistake in our settings, and no word on the token.
OURS = frozenset(
    {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope"}
)
# A gateway that lost the answer: what stands behind it may have redeemed the token.
_LOST = frozenset({502, 504})
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")

Hint = Literal["refresh_token", "access_token"]


class EndpointFailure(Exception):
    """A request to an OAuth endpoint that did not do what it was sent for. `code` is one of ours, never theirs."""

    def __init__(self, code: str, *, retry_after: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after


class GrantRefused(EndpointFailure):
    """The refresh token is no longer good (`invalid_grant`): there is nothing to try again."""


class FailedForNow(EndpointFailure):
    """The token was certainly not redeemed. `is_ours`: the settings of this service are to blame."""

    @property
    def is_ours(self) -> bool:
        return self.code in OURS or self.code in ("redirected", "scheme")


class OutcomeUnknown(EndpointFailure):
    """The endpoint may have redeemed the token, and its answer did not arrive or cannot be used."""


class RevocationFailed(EndpointFailure):
    """The token was not confirmed to be revoked. `is_final`: asking again is of no use."""

    @property
    def is_final(self) -> bool:
        return self.code == "unsupported_token_type"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Who we are to the authorization server (RFC 6749 §2.3.1)."""

    client_id: str
    client_secret: str = field(repr=False)
    method: Literal["basic", "post"] = "basic"

    def sign(self, form: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Return a form as it is sent, body and headers, with who we are in the one or the other."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.method == "basic":
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            return urlencode(form), headers
        return urlencode({**form, "client_id": self.client_id, "client_secret": self.client_secret}), headers


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What came for a refresh token. `refresh_token` None: the old one stays good (RFC 6749 §6)."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in: int | None


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """How long one request may take, in seconds."""

    connect: float = 3.0
    read: float = 10.0
    total: float = 10.0


class OAuthEndpoint:
    """Speaks to both endpoints. Each request has a connection of its own, is sent once and follows no redirect.

    A pooled connection that the other end has just closed would make a request fail after it was sent, and an outcome
    unknown that was none. `{portal}` in an address stands for the portal's domain.
    """

    def __init__(
        self,
        credentials: ClientCredentials,
        *,
        token_url: str,
        revocation_url: str = "",
        allow_http: bool = False,
        allow_private: bool = True,
        ca_file: str | None = None,
        limits: EndpointLimits | None = None,
        resolve: Resolver = system_resolver,
    ) -> None:
        self._credentials = credentials
        self._token_url = token_url
        self._revocation_url = revocation_url
        self._allow_http = allow_http
        self._allow_private = allow_private
        self._ca_file = ca_file
        self._limits = limits or EndpointLimits()
        self._resolve = resolve
        self._manager_of_process: tuple[int, GuardedPoolManager] | None = None

    def redeem(self, portal: str, refresh_token: str) -> Redeemed:
        """Redeem a refresh token; raises GrantRefused, FailedForNow or OutcomeUnknown."""
        answer = self._post(
            self._token_url.replace("{portal}", portal),
            {"grant_type": "refresh_token", "refresh_token": refresh_token},
        )
        if answer.failure is not None:
            if answer.sent:
                raise OutcomeUnknown(answer.failure)
            raise FailedForNow(answer.failure)
        if answer.status == 200:
            return _redeemed(answer.body, refresh_token)
        raise _refusal(answer)

    def revoke(self, portal: str, token: str, hint: Hint) -> None:
        """Have a token revoked; a token that is unknown there counts as revoked (RFC 7009 §2.2).

        Raises RevocationFailed. Asking twice does no harm.
        """
        form = {"token": token, "token_type_hint": hint}
        answer = self._post(self._revocation_url.replace("{portal}", portal), form)
        if answer.failure is not None:
            raise RevocationFailed(answer.failure)
        if answer.status == 200:
            return
        error = _error_of(answer.body)
        known = error in OURS or error == "unsupported_token_type"
        raise RevocationFailed(error if known else f"status_{answer.status}", retry_after=answer.retry_after)

    def _post(self, url: str, form: dict[str, str]) -> "_Answer":
        scheme = urlsplit(url).scheme
        if scheme != "https" and not (scheme == "http" and self._allow_http):
            return _Answer(failure="scheme")
        body, signed = self._credentials.sign(form)
        clock = CallClock(deadline=time.monotonic() + self._limits.total, step=self._limits.read)
        previous = call_clock.set(clock)
        try:
            response = self._manager().urlopen(
                "POST",
                url,
                redirect=False,
                retries=False,
                body=body,
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                    "User-Agent": USER_AGENT,
                    **signed,
                },
                timeout=Timeout(connect=self._limits.connect, read=self._limits.read),
                preload_content=False,
                decode_content=False,
            )
            try:
                return _read(response)
            finally:
                response.close()
        except (HTTPError, OSError, HTTPException) as exc:
            # The text of what was caught names the address and is not kept.
            return _Answer(failure=_failure(exc), sent=clock.sent)
        finally:
            call_clock.reset(previous)

    def _manager(self) -> GuardedPoolManager:
        pid = os.getpid()
        if self._manager_of_process is None or self._manager_of_process[0] != pid:
            guard = Guard(
                allow_private=self._allow_private, connect_timeout=self._limits.connect, resolve=self._resolve
            )
            self._manager_of_process = (pid, GuardedPoolManager(guard, ca_file=self._ca_file, num_pools=8, maxsize=1))
        return self._manager_of_process[1]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int = 0
    body: bytes = field(default=b"", repr=False)
    retry_after: int | None = None
    failure: str | None = None
    sent: bool = False


def _read(response: BaseHTTPResponse) -> _Answer:
    parts, size = [], 0
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return _Answer(failure="compressed", sent=True)
    while part := response.read(MAX_BODY, decode_content=False):
        size += len(part)
        if size > MAX_BODY:
            return _Answer(failure="too_large", sent=True)
        parts.append(part)
    return _Answer(response.status, b"".join(parts), read_retry_after(response.headers.get("Retry-After")))


def _failure(exc: Exception) -> str:
    cause = exc.args[1] if isinstance(exc, HTTPError) and len(exc.args) > 1 else exc
    if "Timeout" in type(exc).__name__ or isinstance(cause, TimeoutError):
        return "timeout"
    return "refused_address" if type(exc).__name__ == "AddressRefused" else "no_connection"


def _redeemed(body: bytes, old: str) -> Redeemed:
    """Read a success strictly: what is not a bearer pair is no answer, and the old token may be spent."""
    answer = _object(body)
    if answer is None:
        raise OutcomeUnknown("malformed")
    kind, access, refresh = (answer.get(name) for name in ("token_type", "access_token", "refresh_token"))
    if not isinstance(kind, str) or kind.lower() != "bearer" or not _is_token(access):
        raise OutcomeUnknown("malformed")
    if refresh is not None and not _is_token(refresh):
        raise OutcomeUnknown("malformed")
    return Redeemed(access, None if refresh == old else refresh, _lifetime(answer.get("expires_in")))


def _lifetime(value: Any) -> int | None:
    """Return a lifetime that can be one; a pair is not thrown away for one that cannot."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_LIFETIME:
        return None
    return value


def _refusal(answer: _Answer) -> EndpointFailure:
    """Return what a refusal means. An error of RFC 6749 §5.2 says that nothing was redeemed."""
    status, error = answer.status, _error_of(answer.body)
    if 200 <= status < 300:
        return OutcomeUnknown("malformed")
    if 300 <= status < 400:
        return FailedForNow("redirected")
    if status in (400, 401, 403) and error == "invalid_grant":
        return GrantRefused("invalid_grant")
    if status in (400, 401, 403) and error in OURS:
        return FailedForNow(error)
    if status in _LOST or status < 200:
        return OutcomeUnknown(f"status_{status}")
    return FailedForNow(f"status_{status}", retry_after=answer.retry_after)


def _error_of(body: bytes) -> str:
    error = (_object(body) or {}).get("error")
    return error if isinstance(error, str) else ""


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_token(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None
