"""PostgreSQL and Redis of a test's own, which it starts, stops and starts again, and a way to a portal with TLS."""

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.bench.load import free_port

PATIENCE = 90.0  # seconds that a busy machine may take for what is over at once on an idle one


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Return when the condition holds; fail when it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


class Postgres:
    """A cluster in a folder of its own: no password, this machine only, gone with its folder."""

    def __init__(self) -> None:
        # Not pytest's folder: PostgreSQL refuses to run as root, and nobody else gets there.
        self._folder = Path(tempfile.mkdtemp(prefix="chaos-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        made = [self._tool("initdb"), "-D", "data", "-A", "trust", "-U", "root", "--no-sync", "-E", "UTF8"]
        subprocess.run(made, cwd=self._folder, check=True, stdout=subprocess.DEVNULL, **self._as)

    @property
    def url(self) -> str:
        return f"postgres://root@127.0.0.1:{self.port}/postgres"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        command = [
            self._tool("postgres"), "-D", "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={self._folder}", "-c", "log_min_duration_statement=-1",
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, **self._as)
        wait_for(self._answers, "PostgreSQL answers")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts what is under way, SIGQUIT does not even write down what it has."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        asked = [self._tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    @staticmethod
    def _tool(name: str) -> str:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        return str(found[-1]) if found else name


class Redis:
    """A server that keeps nothing."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        kept = ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), *kept], stdout=subprocess.DEVNULL
        )
        wait_for(lambda: is_open(self.port), "Redis answers")

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()


class TlsWay:
    """Takes TLS on an address of this machine and carries what is in it to a port, until it is closed.

    Without a context it takes the connection and says nothing. Once closed, nobody listens there.
    """

    def __init__(self, host: str, port: int, to: int, context: ssl.SSLContext | None) -> None:
        self._to, self._context = to, context
        self._listener = socket.create_server((host, port))
        self.taken = 0
        self._open: list[socket.socket] = []
        self._taking = threading.Thread(target=self._take, daemon=True)
        self._taking.start()

    def close(self) -> None:
        """Return when nobody listens, and every connection is cut."""
        # Shut down here and closed by the thread that has it: the number of what is closed is at once another socket's.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._taking.join()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _take(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                self.taken += 1
                if self._context is None:
                    self._open.append(near)
                else:
                    threading.Thread(target=self._serve, args=(near, self._context), daemon=True).start()

    def _serve(self, near: socket.socket, context: ssl.SSLContext) -> None:
        with suppress(OSError), context.wrap_socket(near, server_side=True) as safe:
            self._open.append(safe)
            with socket.create_connection(("127.0.0.1", self._to)) as far:
                back = threading.Thread(target=_carry, args=(far, safe), daemon=True)
                back.start()
                _carry(safe, far)
                back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        source.shutdown(socket.SHUT_RDWR)
