"""The HTTP server of the sandbox: one thread for each connection, keep-alive, loopback only.

Requests are read by hand instead of by http.server's own handler, whose header parser costs more than the whole API
call behind it; the sandbox must not be what a measurement of the service measures.
"""

import http
import ipaddress
import logging
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from flowlu_admin.sandbox import control, faults, oauth, pages, rest
from flowlu_admin.sandbox.book import OAuthFault
from flowlu_admin.sandbox.data import DEFAULT_SCOPES
from flowlu_admin.sandbox.http_types import Request, Response, json_response
from flowlu_admin.sandbox.state import Fault, SandboxState

logger = logging.getLogger(__name__)

_MAX_LINE = 65_536
_MAX_HEADERS = 100
_MAX_BODY = 1024 * 1024
_IDLE_SECONDS = 120
_REST = re.compile(r"/(?P<portal>[A-Za-z0-9_.-]+)/api/v1/module/(?P<call>.*)")
_LOCAL_HOST = re.compile(r"(?:localhost|127\.0\.0\.1)(?::[0-9]{1,5})?", re.IGNORECASE)
_LOOK_UP = 0.02  # seconds between two looks at whether a fault that holds a call back was switched off
_REASONS = {status.value: status.phrase for status in http.HTTPStatus}


class NotLoopbackError(ValueError):
    """The address can be reached from other machines."""


class _BadRequestError(Exception):
    """The bytes on the connection are not a request that is understood here."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], sandbox: "SandboxServer") -> None:
        self.sandbox = sandbox
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # http.server asks the resolver for the host's full name here, which may take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End what keep-alive holds open: the handlers' threads outlive the accept loop otherwise."""
        with self._open_lock:
            still_open = list(self._open)
        for connection in still_open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.error("A sandbox request failed.", exc_info=sys.exc_info())


class _Handler(StreamRequestHandler):
    """One connection; also what a fault may act on (faults.Connection)."""

    server: _Server
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.keeps_alive = True
        try:
            while self.keeps_alive and not self.server.stopping.is_set():
                try:
                    request = self._read_request()
                except _BadRequestError as exc:
                    self.keeps_alive = False
                    self.send(json_response({"error": _REASONS[exc.status]}, exc.status))
                    return
                if request is None:
                    return
                self._respond(request)
        except (ConnectionError, TimeoutError):
            return  # The other end went away, or the sandbox stops.

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    # Reading

    def _read_request(self) -> Request | None:
        line = self.rfile.readline(_MAX_LINE + 1)
        if not line:
            return None
        parts = line.decode("latin-1").split()
        if len(line) > _MAX_LINE or len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise _BadRequestError(400)
        method, target, version = parts
        headers: dict[str, str] = {}
        for _ in range(_MAX_HEADERS + 1):
            header = self.rfile.readline(_MAX_LINE + 1)
            if header in (b"\r\n", b"\n"):
                break
            name, colon, value = header.decode("latin-1").partition(":")
            if not colon or len(header) > _MAX_LINE:
                raise _BadRequestError(400)
            headers[name.strip().lower()] = value.strip()
        else:
            raise _BadRequestError(431)
        if "transfer-encoding" in headers:
            raise _BadRequestError(411)
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,12}", length):
            raise _BadRequestError(400)
        if int(length) > _MAX_BODY:
            raise _BadRequestError(413)
        wanted = headers.get("connection", "").lower()
        self.keeps_alive = wanted != "close" and (version != "HTTP/1.0" or wanted == "keep-alive")
        body = self.rfile.read(int(length)) if length != "0" else b""
        path, _, query = target.partition("?")
        return Request(method, unquote(path), query, headers, body)

    # Answering

    def _respond(self, request: Request) -> None:
        sandbox = self.server.sandbox
        refusal = sandbox.refusal_of(request)
        if refusal is not None:
            self.send(refusal)
        elif (match := _REST.fullmatch(request.path)) is not None:
            self._respond_rest(request, match["portal"], match["call"])
        elif request.path in oauth.PATHS:
            oauth.respond(sandbox.state, self, request)
        elif request.path.startswith("/_sandbox/"):
            self.send(control.respond(sandbox.state, request))
        else:
            response = pages.respond(sandbox.site, request)
            if request.method == "HEAD":
                response = Response(response.status, b"", response.content_type, response.headers)
            self.send(response)

    def _respond_rest(self, request: Request, domain: str, path: str) -> None:
        """Answer a REST call and log it; limit and fault come first, as if something stood in front of the portal."""
        state = self.server.sandbox.state
        portal = state.portals.get(domain)
        exchange = rest.Exchange(state, request, portal, rest.parse_call(path))
        fault: Fault | None = None
        if portal is not None:
            if not state.within_rate_limit(portal):
                self._log_and_send(exchange, rest.too_many(form=portal.variants["retry"]))
                return
            fault = state.take_fault(portal, path)
        if fault is None:
            self._log_and_send(exchange, exchange.answer())
        elif fault.kind == "expire_token":
            exchange.expire_token()
            self._log_and_send(exchange, exchange.answer(), fault.kind)
        else:
            log = partial(self._log, exchange, fault=fault.kind)
            faults.carry_out(faults.Incident(fault, self, exchange.answer, log))

    def _log_and_send(self, exchange: rest.Exchange, response: Response, fault: str | None = None) -> None:
        # Logged before it is sent: whoever has the answer finds it in the log.
        self._log(exchange, response.status, fault)
        self.send(response)

    def _log(self, exchange: rest.Exchange, status: int, fault: str | None) -> None:
        entry = exchange.log_entry(status, fault)
        self.server.sandbox.state.log(entry)
        logger.info("%s %s %s %s", entry.method, entry.portal, entry.path, entry.status)

    # faults.Connection

    def send(self, response: Response) -> None:
        reason = _REASONS.get(response.status, "Unknown")
        lines = [f"HTTP/1.1 {response.status} {reason}", f"Content-Type: {response.content_type}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        lines.append(f"Content-Length: {len(response.body)}")
        if not self.keeps_alive:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "\r\n"]).encode("latin-1", "replace")
        self.connection.sendall(head + response.body)

    def send_bytes(self, data: bytes) -> None:
        self.connection.sendall(data)

    def wait(self, seconds: float, fault: Fault | OAuthFault) -> None:
        until = time.monotonic() + seconds
        while not fault.over and (left := until - time.monotonic()) > 0:
            if self.server.stopping.wait(min(left, _LOOK_UP)):
                raise ConnectionAbortedError("The sandbox stops.")

    def close(self) -> None:
        self.keeps_alive = False

    def reset(self) -> None:
        self.keeps_alive = False
        # Linger for no time at all: the kernel sends a reset in place of an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()


class SandboxServer:
    """A sandbox that runs in a thread: `with SandboxServer(embed_url=…, app_id=…) as sandbox: …`.

    Raises NotLoopbackError for an address that others can reach, OSError when the port is taken, and SandboxError for a
    state file that cannot be read.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        embed_url: str = "http://127.0.0.1:8000/embed/",
        app_id: str = "com.example.desk",
        app_version: str = "1.0.0",
        requested_scopes: Iterable[str] = DEFAULT_SCOPES,
        state_file: Path | None = None,
        client_secret: str = "",
    ) -> None:
        if not _is_loopback(host):
            raise NotLoopbackError(f"The sandbox answers on a loopback address only, and {host} is none.")
        self.state = SandboxState(
            app_id=app_id, app_version=app_version, requested_scopes=requested_scopes, state_file=state_file
        )
        if client_secret:
            self.state.oauth.client_secret = client_secret
        self.site = pages.Site(self.state, embed_url)
        self._server = _Server((host, port), self)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Give the port that it listens on, known also when it was chosen by the system."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Give the address to open: `localhost`, so that an application on 127.0.0.1 is cross-site."""
        return f"http://localhost:{self.port}"

    @property
    def portal_url_template(self) -> str:
        """Give what FLOWLU_PORTAL_URL is set to."""
        return self.url + "/{portal}"

    @property
    def token_url(self) -> str:
        """Give what FLOWLU_TOKEN_URL is set to."""
        return f"{self.url}/oauth/token"

    @property
    def revocation_url(self) -> str:
        """Give what FLOWLU_REVOCATION_URL is set to."""
        return f"{self.url}/oauth/revoke"

    @property
    def sdk_url(self) -> str:
        """Give what FLOWLU_SDK_URL is set to."""
        return f"{self.url}/sdk/miniapp-jssdk.js"

    @property
    def embed_url(self) -> str:
        """Give the address of the application's page; it may be set while the sandbox runs."""
        return self.site.embed_url

    @embed_url.setter
    def embed_url(self, value: str) -> None:
        self.site.embed_url = value

    def refusal_of(self, request: Request) -> Response | None:
        """Refuse what a page of another site could have sent.

        A foreign name in Host is DNS rebinding; a foreign Origin on anything but the REST API is a forged request.
        """
        host = request.headers.get("host", "")
        if not _LOCAL_HOST.fullmatch(host):
            return json_response({"error": "The sandbox answers to localhost and 127.0.0.1 only."}, 421)
        origin = request.headers.get("origin")
        if request.method not in ("GET", "HEAD") and origin is not None and origin != f"http://{host}":
            return json_response({"error": "The sandbox takes no requests from pages of other sites."}, 403)
        return None

    def start(self) -> None:
        """Start to answer, in a thread of its own."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, end all open connections and give the port back."""
        self._server.stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
