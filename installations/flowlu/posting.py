"""One POST to an address that whoever runs the service has set: under one deadline, no redirect, no proxy, sent once.

Nothing of the answer but its status is read, and no text that was caught, which names the address, is kept.
"""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from installations.flowlu.addresses import Resolver
from installations.flowlu.pool import AddressRefused, CallClock, Guard, GuardedPoolManager, call_clock, system_resolver


@dataclass(frozen=True, slots=True)
class PostLimits:
    """How long one POST may take, in seconds."""

    connect: float = 5.0
    step: float = 10.0
    total: float = 20.0


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of it: the status that was answered, or in a word of ours why there is none."""

    status: int = 0
    failure: str = ""  # scheme, address, refused_address, tls, timeout, no_connection

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300


def is_post_address(url: str, *, allow_http: bool) -> bool:
    """Return whether an address may be posted to: https, of a host, without a user name in it."""
    return _fault_of(url, allow_http) == ""


def post_once(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool,
    allow_http: bool,
    limits: PostLimits | None = None,
    ca_file: str | None = None,
    resolve: Resolver = system_resolver,
) -> Posted:
    """Send the body once and return what came of it; never raises for what the other side does."""
    if fault := _fault_of(url, allow_http):
        return Posted(failure=fault)
    limits = limits or PostLimits()
    guard = Guard(allow_private=allow_private, connect_timeout=limits.connect, resolve=resolve)
    clock = call_clock.set(CallClock(deadline=time.monotonic() + limits.total, step=limits.step))
    try:
        response = GuardedPoolManager(guard, ca_file=ca_file).urlopen(
            "POST",
            url,
            body=body,
            headers={"Content-Type": "application/json", "Connection": "close", **headers},
            redirect=False,
            retries=False,
            preload_content=False,
        )
        status = response.status
        response.close()
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        return Posted(failure=_failure(error))
    finally:
        call_clock.reset(clock)
    return Posted(status)


def _fault_of(url: str, allow_http: bool) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "address"
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        return "scheme"
    return "" if parts.hostname and parts.username is None and parts.password is None else "address"


def _failure(error: Exception) -> str:
    chain = (error, *(part for part in error.args if isinstance(part, Exception)))
    if any(isinstance(part, AddressRefused) for part in chain):
        return "refused_address"
    if any(isinstance(part, TimeoutError) or "Timeout" in type(part).__name__ for part in chain):
        return "timeout"
    if any(isinstance(part, ssl.SSLError) for part in chain):
        return "tls"
    return "no_connection"
