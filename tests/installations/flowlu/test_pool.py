"""The clock of a call: what is left for its next step."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError

from installations.flowlu.pool import CallClock, Guard, call_clock


def test_step_is_as_long_as_allowed_and_never_past_the_deadline() -> None:
    assert CallClock(deadline=time.monotonic() + 60, step=20).left() == 20
    assert 9 < CallClock(deadline=time.monotonic() + 10, step=20).left() <= 10


def test_no_step_begins_after_the_deadline() -> None:
    with pytest.raises(TimeoutError, match="deadline passed"):
        CallClock(deadline=time.monotonic(), step=20).left()


def test_name_that_takes_all_the_time_to_resolve_leaves_none_to_connect() -> None:
    def slowly(host: str, port: int) -> list[Any]:
        time.sleep(0.05)
        return socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)

    guard = Guard(allow_private=True, connect_timeout=0.01, resolve=slowly)
    with call_clock_of(60), pytest.raises(ConnectTimeoutError):
        guard.connect(HTTPConnection("acme.flowlu.com", 443), "acme.flowlu.com", 443)


@contextmanager
def call_clock_of(seconds: float) -> Iterator[None]:
    token = call_clock.set(CallClock(deadline=time.monotonic() + seconds, step=seconds))
    try:
        yield
    finally:
        call_clock.reset(token)
