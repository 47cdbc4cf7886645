"""Requests to the company's provider: all of one sign-in under one deadline, small answers only, no redirect, no proxy.

The provider is set by whoever runs the service, so that it may be in a private network. Nothing that it answers and no
address gets into an exception. Pure.
"""

import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from installations.flowlu.client import USER_AGENT
from installations.flowlu.oauth_endpoint import OURS, ClientCredentials
from installations.flowlu.pool import CallClock, Guard, GuardedPoolManager, call_clock, system_resolver
from installations.flowlu.posting import is_post_address
from installations.strict_json import StrictJSONError, loads

MAX_BODY = 256 * 1024
_CONNECT = 3.0  # seconds
# What the endpoint may say of an error (RFC 6749 §5.2): such a word is good for the log.
_NAMED = OURS | {"invalid_grant"}


class FetchFailed(Exception):
    """A request that brought nothing usable. `code` is one of ours, or an error that the standard names."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Fetcher:
    """Speaks to the provider for one sign-in, `seconds` in all."""

    def __init__(self, *, seconds: float, allow_http: bool, ca_file: str | None = None) -> None:
        self._allow_http = allow_http
        self._clock = CallClock(deadline=time.monotonic() + seconds, step=seconds)
        guard = Guard(allow_private=True, connect_timeout=_CONNECT, resolve=system_resolver)
        self._manager = GuardedPoolManager(guard, ca_file=ca_file)

    def get(self, url: str) -> dict[str, Any]:
        """Return the JSON object at an address; raises FetchFailed."""
        return self._fetch("GET", url, None, {})

    def post(self, url: str, form: Mapping[str, str], *, client: ClientCredentials) -> dict[str, Any]:
        """Return the JSON object that is answered to a form of the client, which names itself; raises FetchFailed."""
        body, headers = client.sign(form)
        return self._fetch("POST", url, body, headers)

    def _fetch(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> dict[str, Any]:
        if not is_post_address(url, allow_http=self._allow_http):
            raise FetchFailed("address")
        previous = call_clock.set(self._clock)
        try:
            response = self._manager.urlopen(
                method,
                url,
                body=body,
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                    "User-Agent": USER_AGENT,
                    **headers,
                },
                redirect=False,
                retries=False,
                timeout=Timeout(connect=_CONNECT, read=self._clock.step),
                preload_content=False,
                decode_content=False,
            )
            try:
                return _read(response)
            finally:
                response.close()
        except (HTTPError, HTTPException, OSError) as error:
            is_late = isinstance(error, TimeoutError) or "Timeout" in type(error).__name__
            raise FetchFailed("timeout" if is_late else "no_connection") from None
        finally:
            call_clock.reset(previous)


def _read(response: BaseHTTPResponse) -> dict[str, Any]:
    parts, size = [], 0
    while part := response.read(MAX_BODY, decode_content=False):
        size += len(part)
        if size > MAX_BODY:
            raise FetchFailed("too_large")
        parts.append(part)
    try:
        answer = loads(b"".join(parts), max_bytes=MAX_BODY, max_values=20_000)
    except StrictJSONError:
        answer = None
    if response.status != 200:
        error = answer.get("error") if isinstance(answer, dict) else None
        raise FetchFailed(error if isinstance(error, str) and error in _NAMED else f"status_{response.status}")
    if not isinstance(answer, dict):
        raise FetchFailed("malformed")
    return answer
