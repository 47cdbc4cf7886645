"""Pooled connections that connect only to an address which was checked, and that stop reading at a deadline.

The address that is checked is the one that is connected to: there is no second look-up between the two.
Server name indication, certificate check and Host header keep the portal's name.
"""

import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from installations.flowlu.addresses import Resolver, is_public


@dataclass(slots=True)
class CallClock:
    """How long this thread's call may still take: until a point on time.monotonic(), and for one step.

    `sent` tells afterwards whether any byte of the request went out: until then nobody can have acted on it.
    `connected` tells whether a connection was made for it, which is safe where it has to be; `on_connect` is told then.
    """

    deadline: float
    step: float
    sent: bool = False
    connected: bool = False
    on_connect: Callable[[], None] | None = None

    def left(self) -> float:
        """Return the seconds that the next step may take; raises TimeoutError when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline passed")
        return min(self.step, left)

    def left_to_send(self) -> float:
        """Return the same for a step that sends, and remember that it was begun."""
        left = self.left()
        self.sent = True
        return left

    def note_connected(self) -> None:
        """Note that a connection was made."""
        self.connected = True
        if self.on_connect is not None:
            self.on_connect()


# Sockets outlive calls, so they look the clock up instead of keeping it.
call_clock: ContextVar[CallClock] = ContextVar("flowlu_call_clock")


class AddressRefused(HTTPError):
    """The host has an address that is not on the public internet; nothing was connected."""


def system_resolver(host: str, port: int) -> list[tuple[int, int, int, str, tuple[Any, ...]]]:
    """Ask the system's resolver for stream addresses."""
    return [
        (int(family), int(kind), protocol, name, address)
        for family, kind, protocol, name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]


class _Socket(socket.socket):
    """A plain connection whose every step is timed by the call: timed alone, a drip would never end.

    http.client reads through `recv_into`.
    """

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(call_clock.get().left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(call_clock.get().left_to_send())
        super().sendall(*args, **kwargs)


class _TLSSocket(ssl.SSLSocket):
    """The same for an encrypted connection; `sendall` is built on `send` here."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(call_clock.get().left())
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(call_clock.get().left_to_send())
        return super().send(*args, **kwargs)


class NameNotResolved(NewConnectionError):
    """No address was found under the name."""


class Guard:
    """How connections of one pool manager find their addresses."""

    def __init__(self, *, allow_private: bool, connect_timeout: float, resolve: Resolver) -> None:
        self.allow_private = allow_private
        self.connect_timeout = connect_timeout
        self.resolve = resolve

    def connect(self, connection: HTTPConnection, host: str, port: int) -> socket.socket:
        """Resolve once, refuse the host if any address is not public, and connect to the first that answers.

        All addresses together get the connect timeout.
        """
        give_up_at = time.monotonic() + self.connect_timeout
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError):
            raise NameNotResolved(connection, "name not resolved") from None
        if not self.allow_private and not all(is_public(str(info[4][0])) for info in found):
            raise AddressRefused("address not public")
        for family, kind, protocol, _, address in found:
            left = min(give_up_at, call_clock.get().deadline) - time.monotonic()
            if left <= 0:
                raise ConnectTimeoutError(connection, "connect timed out")
            sock = _Socket(family, kind, protocol)
            try:
                sock.settimeout(left)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect(address)
            except OSError:
                sock.close()
            else:
                # The TLS handshake that may follow is timed by this, too.
                sock.settimeout(max(give_up_at - time.monotonic(), 0.001))
                return sock
        raise NewConnectionError(connection, "no address answered")


class _GuardedHTTPConnection(HTTPConnection):
    guard: Guard

    def _new_conn(self) -> socket.socket:
        return self.guard.connect(self, self.host, self.port)

    def connect(self) -> None:
        super().connect()
        call_clock.get().note_connected()


class _GuardedHTTPSConnection(HTTPSConnection):
    guard: Guard

    def _new_conn(self) -> socket.socket:
        return self.guard.connect(self, self.host, self.port)

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError:
            raise ConnectTimeoutError(self, "TLS handshake timed out") from None
        call_clock.get().note_connected()


class _GuardedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection
    guard: Guard

    def _new_conn(self) -> Any:
        connection = cast(_GuardedHTTPConnection, super()._new_conn())
        connection.guard = self.guard
        return connection


class _GuardedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection
    guard: Guard

    def _new_conn(self) -> Any:
        connection = cast(_GuardedHTTPSConnection, super()._new_conn())
        connection.guard = self.guard
        return connection


@lru_cache(maxsize=8)
def _tls_context(ca_file: str | None, *, compares_names: bool) -> ssl.SSLContext:
    """Return the one context of its kind in this process: to read all trusted authorities takes some 30 ms each time.

    A file of authorities that was exchanged is read when the process starts anew.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED, ssl_minimum_version=ssl.TLSVersion.TLSv1_2)
    context.sslsocket_class = _TLSSocket
    context.check_hostname = compares_names
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=ca_file)
    return context


class GuardedPoolManager(urllib3.PoolManager):
    """A pool manager whose every connection goes through the guard, never through a proxy."""

    def __init__(self, guard: Guard, *, ca_file: str | None = None, **options: Any) -> None:
        super().__init__(ssl_context=_tls_context(ca_file, compares_names=True), **options)
        self.guard = guard
        # OpenSSL lets a wildcard stand for letters, digits and hyphens only, while a portal's name may have
        # an underscore. For such a host urllib3 compares the name with the verified certificate in OpenSSL's
        # place, with a context of its own, in which OpenSSL's comparison is off.
        self._underscore_context = _tls_context(ca_file, compares_names=False)
        self.pool_classes_by_scheme = {"http": _GuardedHTTPPool, "https": _GuardedHTTPSPool}

    def _new_pool(
        self, scheme: str, host: str, port: int, request_context: dict[str, Any] | None = None
    ) -> HTTPConnectionPool:
        options = dict(self.connection_pool_kw if request_context is None else request_context)
        if scheme == "https" and "_" in host:
            options |= {"ssl_context": self._underscore_context, "assert_hostname": host}
        pool = super()._new_pool(scheme, host, port, options)
        cast(_GuardedHTTPPool, pool).guard = self.guard
        return pool
