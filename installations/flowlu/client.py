"""Sending one call to a portal and turning whatever comes back into a result or a domain error.

A portal's answer is untrusted: it may be slow, endless, compressed, malformed or none at all. Nothing that
the portal said, no address and no token gets into an exception, and a call is sent once at most, since a GET
may be a delete.
"""

import json
import math
import os
import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import HTTPException, RemoteDisconnected
from typing import Final, Literal, NoReturn

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, IncompleteRead, ProtocolError, ReadTimeoutError

from installations.errors import (
    DomainError,
    FlowluDenied,
    FlowluError,
    FlowluInvalid,
    FlowluTimeout,
    FlowluUnavailable,
    InvalidToken,
    NotFound,
    RateLimited,
    TokenStale,
)
from installations.flowlu.addresses import Resolver
from installations.flowlu.breaker import PortalBreaker
from installations.flowlu.calls import FlowluCall, build_call
from installations.flowlu.pool import (
    AddressRefused,
    CallClock,
    Guard,
    GuardedPoolManager,
    call_clock,
    system_resolver,
)
from installations.flowlu.slots import PortalSlots
from installations.flowlu.wire import Meaning, Wire
from installations.strict_json import JSONValue

USER_AGENT = "flowlu-admin"
MAX_TOKEN_LENGTH = 4096
MAX_USER_NAME_LENGTH = 200
MAX_RETRY_AFTER = 3600
MAX_ANSWER_DEPTH = 64
MAX_FIELDS = 50

_CHUNK = 64 * 1024
# So many connections to a portal are kept, or as many as calls may be under way there: one more would begin TLS anew.
_KEPT: Final = 32
_TOKEN = re.compile(r"[\x21-\x7e]+")
_USER_ID = re.compile(r"[1-9][0-9]{0,19}")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]-]{0,63}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_EPOCH = re.compile(r"[0-9]{10}")
_RATE_HEADER = re.compile(r"(?i:x-)?(?i:rate-?limit|retry)[A-Za-z-]{0,40}")
_SHORT_NUMBER = re.compile(r"[0-9]{1,12}")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FIELD_TEXT = "Flowlu does not accept this value."

_BY_MEANING: Mapping[Meaning, type[DomainError]] = {
    "stale": TokenStale,
    "not_found": NotFound,
    "denied": FlowluDenied,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take, in seconds, how much it may bring back, in bytes, and how many a portal may have.

    After `failures` connections in a row that failed, a portal is asked once in `pause` seconds until it is reached.
    """

    connect: float = 3.0
    read: float = 20.0
    total: float = 30.0
    body: int = 10 * 1024 * 1024
    at_once: int = 0  # calls under way to one portal; 0 = any number
    failures: int = 0  # 0 = a portal is always asked
    pause: float = 10.0


@dataclass(frozen=True, slots=True)
class FlowluResult:
    """What stood in the answer's `response`."""

    response: JSONValue


@dataclass(frozen=True, slots=True)
class FlowluUser:
    """Who Flowlu says the token's user is."""

    id: str
    name: str
    is_portal_admin: bool


class FlowluClient:
    """Calls portals over one pool of connections per process.

    `base_url_for` maps a portal to the address that its calls go to. `allow_private` belongs to an address
    that was configured explicitly, never to one made from a portal's name; `allow_http` to development.
    """

    def __init__(
        self,
        base_url_for: Callable[[str], str],
        *,
        allow_private: bool,
        allow_http: bool,
        ca_file: str | None = None,
        limits: Limits | None = None,
        wire: Wire | None = None,
        resolve: Resolver = system_resolver,
    ) -> None:
        self._base_url_for = base_url_for
        self._allow_private = allow_private
        self._allow_http = allow_http
        self._ca_file = ca_file
        self._limits = limits or Limits()
        self._wire = wire or Wire()
        self._resolve = resolve
        self._slots = PortalSlots(self._limits.at_once)
        self._breaker = PortalBreaker(self._limits.failures, self._limits.pause)
        self._manager_of_process: tuple[int, GuardedPoolManager] | None = None

    def call(self, portal: str, call: FlowluCall, access_token: str) -> FlowluResult:
        """Send the call as the token's user and return Flowlu's `response`.

        Raises InvalidToken for a token that cannot be sent, RateLimited when the portal has as many calls under way
        as it may, PortalUnreached while it is not asked, and what design.md §7 names for Flowlu's errors.
        """
        return FlowluResult(_result_of(self._answer_to(portal, call, access_token, self._wire), self._wire))

    def observe(self, portal: str, call: FlowluCall, access_token: str, wire: Wire) -> "Observation":
        """Send the call as the token's user, written in the given way, and return what can be told of the answer.

        Raises InvalidToken, RateLimited, PortalUnreached and what means that no answer came that could be read.
        """
        return _observed(self._answer_to(portal, call, access_token, wire), wire)

    def _answer_to(self, portal: str, call: FlowluCall, access_token: str, wire: Wire) -> "_Answer":
        if len(access_token) > MAX_TOKEN_LENGTH or not _TOKEN.fullmatch(access_token):
            raise InvalidToken
        with self._slots.hold(portal):
            return self._exchange(portal, call, wire, wire.credential(access_token))

    def call_as_system(self, portal: str, call: FlowluCall, api_key: str) -> FlowluResult:
        """Send the call with an API key of the portal, as nobody, and return Flowlu's `response`.

        Flowlu takes a key as a parameter only. It goes into the body of a POST, whatever the call's own method, so that
        no address with it ever exists: addresses get into logs, exceptions and proxies (docs/adr/0020).

        Raises as `call` does; TokenStale means that Flowlu does not take the key for this call.
        """
        return FlowluResult(_result_of(self._answer_to_system(portal, call, api_key, self._wire), self._wire))

    def observe_as_system(self, portal: str, call: FlowluCall, api_key: str, wire: Wire) -> "Observation":
        """Do as `observe` with an API key of the portal, sent as `call_as_system` does."""
        return _observed(self._answer_to_system(portal, call, api_key, wire), wire)

    def _answer_to_system(self, portal: str, call: FlowluCall, api_key: str, wire: Wire) -> "_Answer":
        if len(api_key) > MAX_TOKEN_LENGTH or not _TOKEN.fullmatch(api_key):
            raise InvalidToken
        with self._slots.hold(portal):
            return self._exchange(portal, call, wire, {}, secret_params=(("api_key", api_key),))

    def place(self, portal: str) -> AbstractContextManager[None]:
        """Hold one of the portal's places for what makes a call wait outside of `call`; RateLimited when none is free.

        Not around `call`, which takes a place of its own. Raises PortalUnreached while the portal is not asked.
        """
        self._breaker.check(portal)
        return self._slots.hold(portal)

    def current_user(self, portal: str, access_token: str) -> FlowluUser:
        """Ask the portal who the token's user is: the only source of identity there is."""
        result = self.call(portal, build_call("core", "user", "get"), access_token)
        return user_of(result.response)

    def _exchange(
        self,
        portal: str,
        call: FlowluCall,
        wire: Wire,
        credential: Mapping[str, str],
        *,
        secret_params: tuple[tuple[str, str], ...] = (),
    ) -> "_Answer":
        base_url = self._base_url_for(portal)
        scheme = base_url.partition("://")[0]
        if scheme != "https" and not (scheme == "http" and self._allow_http):
            raise FlowluUnavailable(reason="scheme")
        is_get = wire.method_of(call) == "GET" and not secret_params
        url = base_url.rstrip("/") + call.path
        if is_get and call.params:
            url += "?" + call.encoded_params
        headers = {
            **credential,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        body = None
        if not is_get:
            body, headers["Content-Type"] = wire.encoded((*call.params, *secret_params))
        self._breaker.admit(portal)
        clock = CallClock(
            deadline=time.monotonic() + self._limits.total,
            step=self._limits.read,
            on_connect=partial(self._breaker.reached, portal),
        )
        previous = call_clock.set(clock)
        try:
            response = self._manager().urlopen(
                "GET" if is_get else "POST",
                url,
                redirect=False,
                retries=False,
                body=body,
                headers=headers,
                timeout=Timeout(connect=self._limits.connect, read=self._limits.read),
                preload_content=False,
                decode_content=False,
            )
            self._breaker.reached(portal)
            return self._read(response)
        except (HTTPError, OSError, HTTPException) as exc:
            failure = _failure_of(exc)
            # A connection of the pool may have been dead: what was sent on it says nothing. Nor does what we refuse.
            if not clock.sent and not clock.connected and not isinstance(exc, AddressRefused):
                self._breaker.failed(portal)
        finally:
            call_clock.reset(previous)
        # Raised outside of the handler: what was caught names the address in its text and must not be
        # chained.
        raise failure

    def _manager(self) -> GuardedPoolManager:
        """Return this process's pool: connections that a fork inherits would mix up the answers."""
        pid = os.getpid()
        if self._manager_of_process is None or self._manager_of_process[0] != pid:
            guard = Guard(
                allow_private=self._allow_private, connect_timeout=self._limits.connect, resolve=self._resolve
            )
            self._manager_of_process = (
                pid,
                GuardedPoolManager(
                    guard, ca_file=self._ca_file, num_pools=200, maxsize=max(self._limits.at_once, _KEPT)
                ),
            )
        return self._manager_of_process[1]

    def _read(self, response: BaseHTTPResponse) -> "_Answer":
        """Read the whole body within the limits; the connection is kept only if it was read to its end."""
        finished = False
        try:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise FlowluError(reason="compressed")
            parts: list[bytes] = []
            size = 0
            while part := response.read(_CHUNK, decode_content=False):
                size += len(part)
                if size > self._limits.body:
                    raise FlowluError(reason="too_large")
                parts.append(part)
            finished = True
            return _Answer(response.status, response.headers, b"".join(parts))
        finally:
            if finished:
                response.release_conn()
            else:
                response.close()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)  # found in any case
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """What can be told of an answer: numbers and names of headers, and nothing else that the portal wrote."""

    status: int
    error: DomainError | None  # what the adapter takes it for; None is a result
    shape: Literal["response", "code", "named", "other"]
    error_code: int | None
    at: datetime | None  # by the portal's clock
    rate_headers: Mapping[str, str]  # those about rates that say a number
    response: JSONValue = field(repr=False)


def _failure_of(exc: Exception) -> DomainError:
    """Name the class of failure; the exception's text holds the address and is not used."""
    kind = type(exc).__name__
    if isinstance(exc, ConnectTimeoutError):
        return FlowluUnavailable(reason=kind)
    cause = exc.args[1] if isinstance(exc, ProtocolError) and len(exc.args) > 1 else exc
    if isinstance(exc, ReadTimeoutError) or isinstance(cause, TimeoutError):
        return FlowluTimeout(reason=kind)
    if isinstance(cause, HTTPException) and not isinstance(cause, (RemoteDisconnected, IncompleteRead)):
        return FlowluError(reason=type(cause).__name__)
    return FlowluUnavailable(reason=kind)


def _observed(answer: _Answer, wire: Wire) -> Observation:
    error, response = None, None
    try:
        response = _result_of(answer, wire)
    except DomainError as refusal:
        error = refusal
    body = _parsed(answer.body)
    written = body.get("error") if isinstance(body, dict) else None
    code = _error_code(written.get("error_code")) if isinstance(written, dict) else None
    shape: Literal["response", "code", "named", "other"] = "other"
    if error is None:
        shape = "response"
    elif code is not None:
        shape = "code"
    elif isinstance(written, str):
        shape = "named"
    rates = {
        name: value
        for name, value in answer.headers.items()
        if _RATE_HEADER.fullmatch(name) and _SHORT_NUMBER.fullmatch(value)
    }
    return Observation(answer.status, error, shape, code, _date_of(answer.headers.get("Date")), rates, response)


def _date_of(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text or "")
        return at.replace(tzinfo=at.tzinfo or UTC)
    except (ValueError, OverflowError):
        return None


def _result_of(answer: _Answer, wire: Wire) -> JSONValue:
    """Return the envelope's content, or raise what the status and the body mean together.

    Flowlu reports most errors in the body of a 200, so the body is read first. Statuses that come from in
    front of the application (429, redirects, 5xx) and a plain 401 count whatever stands in the body.
    """
    status = answer.status
    if status == 429:
        raise RateLimited(retry_after=read_retry_after(answer.headers.get(wire.retry_header)))
    if status < 200 or 300 <= status < 400 or status >= 500:
        raise FlowluError(reason="status", upstream_status=status)
    if status == 401:
        raise TokenStale(upstream_status=status)
    body = _parsed(answer.body)
    if isinstance(body, dict) and body.get("error"):
        _raise_envelope(body, status, wire)
    if status == 403:
        raise FlowluDenied(upstream_status=status)
    if status >= 400:
        raise FlowluError(reason="status", upstream_status=status)
    if not isinstance(body, dict) or "response" not in body:
        raise FlowluError(reason="no_envelope")
    return body["response"]


def _raise_envelope(body: dict[str, JSONValue], status: int, wire: Wire) -> NoReturn:
    """Raise what an error envelope means, in either of its two forms."""
    error = body["error"]
    if error == "validation":
        raise FlowluInvalid(fields=_field_names(body.get("details")))
    code = _error_code(error.get("error_code")) if isinstance(error, dict) else None
    meaning = wire.meaning_of(code)
    if isinstance(error, dict) and meaning == "invalid":
        raise FlowluInvalid(fields=_field_names(error.get("error_details")), upstream_code=code)
    if meaning is not None and meaning in _BY_MEANING:
        raise _BY_MEANING[meaning](upstream_code=code)
    if status == 403:
        raise FlowluDenied(upstream_status=status, upstream_code=code)
    raise FlowluError(reason="error_envelope", upstream_status=status, upstream_code=code)


def _error_code(value: JSONValue) -> int | None:
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9 else None


def _field_names(details: JSONValue) -> dict[str, str]:
    """Keep the names that look like field names; Flowlu's texts are not passed on."""
    if not isinstance(details, dict):
        return {}
    names = [name for name in details if _FIELD_NAME.fullmatch(name)]
    return dict.fromkeys(names[:MAX_FIELDS], _FIELD_TEXT)


def _parsed(body: bytes) -> JSONValue:
    """Read JSON that can be written again; None stands for everything else, since no envelope is null."""
    try:
        value: JSONValue = json.loads(body.decode("utf-8-sig"), parse_constant=_not_a_number, parse_float=_finite_float)
    except (ValueError, RecursionError):
        return None
    if not _shallow(value):
        return None
    if _ESCAPED_SURROGATE.search(body):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return None
    return value


def _not_a_number(name: str) -> NoReturn:
    raise ValueError("not a number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _shallow(value: JSONValue) -> bool:
    """Say whether the value can be walked by recursive code, which serializers are."""
    level: list[JSONValue] = [value]
    for _ in range(MAX_ANSWER_DEPTH):
        below: list[JSONValue] = []
        for container in level:
            if isinstance(container, dict):
                below.extend(item for item in container.values() if isinstance(item, (dict, list)))
            elif isinstance(container, list):
                below.extend(item for item in container if isinstance(item, (dict, list)))
        if not below:
            return True
        level = below
    return False


def read_retry_after(text: str | None) -> int | None:
    """Read seconds or an HTTP date (RFC 9110 §10.2.3), or a Unix time, kept between a second and an hour."""
    if not text:
        return None
    text = text.strip()
    if _SECONDS.fullmatch(text):
        seconds = int(text)
    elif _EPOCH.fullmatch(text):
        seconds = math.ceil(int(text) - time.time())
    else:
        try:
            at = parsedate_to_datetime(text)
            seconds = math.ceil((at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 1), MAX_RETRY_AFTER)


def user_of(record: JSONValue) -> FlowluUser:
    """Read the record of the current user; raises FlowluError when it does not say who that is."""
    if not isinstance(record, dict):
        raise FlowluError(reason="no_user")
    raw_id = record.get("id")
    if isinstance(raw_id, int) and not isinstance(raw_id, bool) and 0 < raw_id < 10**20:
        raw_id = str(raw_id)
    # No leading zero: "7" and "07" would be two people here and one at Flowlu.
    if not isinstance(raw_id, str) or not _USER_ID.fullmatch(raw_id):
        raise FlowluError(reason="no_user_id")
    admin = record.get("role_admin")
    return FlowluUser(id=raw_id, name=_user_name(record), is_portal_admin=admin is True or admin in (1, "1"))


def _user_name(record: dict[str, JSONValue]) -> str:
    both = f"{_clean(record.get('first_name'))} {_clean(record.get('last_name'))}".strip()
    return (_clean(record.get("name")) or _clean(record.get("username")) or both)[:MAX_USER_NAME_LENGTH].strip()


def _clean(value: JSONValue) -> str:
    """Return text on one line without characters that control a terminal or turn the direction of reading."""
    if not isinstance(value, str):
        return ""
    spaced = "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in value[:1000])
    return " ".join("".join(char for char in spaced if char not in _BIDI).split())
