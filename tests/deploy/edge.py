"""nginx with deploy/nginx.conf.template, before whatever listens on a port, with a certificate made for the while."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from pathlib import Path

from tests.bench.load import free_port, make_certificate

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "deploy/nginx.conf.template"
NAME = "desk.example.com"
NAMES = frozenset(re.findall(r"\$\{(EDGE_[A-Z_]+)\}", TEMPLATE.read_text(encoding="utf-8")))
MISSING = [tool for tool in ("nginx", "envsubst", "openssl") if shutil.which(tool) is None]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes


@dataclass(frozen=True, slots=True)
class Edge:
    """A running nginx: its ports, and the folder with all that it writes."""

    http: int
    https: int
    folder: Path

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        plain: bool = False,
        name: str = NAME,
    ) -> Answer:
        """Ask on this machine, in the name of the host."""
        link = HTTPConnection("127.0.0.1", self.http, timeout=30) if plain else _Named(self.https)
        try:
            link.request(method, path, body, {"Host": name, **(headers or {})})
            response = link.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            link.close()

    def shake_hands(self, version: ssl.TLSVersion, name: str = NAME) -> str | None:
        """Return the version that was agreed on; raises ssl.SSLError where none is."""
        context = _trusting()
        context.set_ciphers("DEFAULT@SECLEVEL=0")  # OpenSSL itself would offer nothing old
        context.minimum_version = context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", self.https), 10) as plain,
            context.wrap_socket(plain, server_hostname=name) as link,
        ):
            return link.version()

    @contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        """Give a connection on which to send whatever one likes."""
        plain = socket.create_connection(("127.0.0.1", self.https), 10)
        with _trusting().wrap_socket(plain, server_hostname=NAME) as link:
            yield link

    def send(self, raw: bytes) -> bytes:
        """Send bytes that no client would, and return what comes back until the connection is closed."""
        found = b""
        with suppress(OSError), self.connected() as link:
            link.sendall(raw)
            link.settimeout(0.3)  # nginx keeps the connection for more
            while part := link.recv(65536):
                found += part
        return found

    def passed_on(self) -> list[str]:
        """Return the requests of the access log that the service was asked, or was tried to be asked."""
        log = (self.folder / "access.log").read_text(errors="replace")
        return re.findall(r'^\S+ \S+ "([A-Z]+ [^"]+)" \d{3} \d+ \S+ (?!- )', log, re.MULTILINE)

    def written(self) -> str:
        """Return all that nginx wrote, to its logs and to standard error."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


class _Named(HTTPSConnection):
    """Connects to this machine, and says the host's name in the handshake."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=30)

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = _trusting().wrap_socket(plain, server_hostname=NAME)


def _trusting() -> ssl.SSLContext:
    # The certificate is of nobody and for a moment; which one nginx shows is not what is tested.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def before(service: int, folder: Path) -> Iterator[Edge]:
    """Run nginx before the port until the block ends."""
    certificate, key = make_certificate(folder)
    edge = Edge(free_port(), free_port(), folder)
    filled = {
        "EDGE_NAME": NAME,
        "EDGE_HTTP": f"127.0.0.1:{edge.http}",
        "EDGE_HTTPS": f"127.0.0.1:{edge.https}",
        "EDGE_SERVICE": f"127.0.0.1:{service}",
        "EDGE_CERTIFICATE": str(certificate),
        "EDGE_CERTIFICATE_KEY": str(key),
        "EDGE_ACCESS_LOG": str(folder / "access.log"),
        "EDGE_RUN": str(folder),
    }
    assert filled.keys() == NAMES
    configured = folder / "nginx.conf"
    with TEMPLATE.open("rb") as template, configured.open("wb") as written:
        names = " ".join(f"${{{name}}}" for name in filled)
        subprocess.run(["envsubst", names], stdin=template, stdout=written, env=os.environ | filled, check=True)
    command = ["nginx", "-c", str(configured), "-g", "daemon off;"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with running(command, edge.https, folder / "nginx-stderr.log"):
        yield edge


@contextmanager
def running(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[None]:
    """Run a command until the block ends. Ready means that the port takes connections."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while not _is_open(port):
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
