"""Requests whose end is ambiguous: a proxy in front may read their end elsewhere, so nothing behind it is answered.

RFC 9112 §6.3 and §11.2. Each is followed by a second request on the same connection, which must not be answered as one
where the first was not taken for what it says.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.flowlu_admin.test_wsgi import KEYS

ROOT = Path(__file__).resolve().parents[2]
CONFIGURED = "deploy/gunicorn.conf.py"
BEHIND = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"0\r\n\r\n"

AMBIGUOUS = {
    "both lengths": POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(CHUNKED) + CHUNKED,
    "both lengths, the other first": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + CHUNKED,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 43\r\n\r\n",
    "two lengths in one": POST + b"Content-Length: 0, 43\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +0\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "length in hexadecimal": POST + b"Content-Length: 0x0\r\n\r\n",
    "length with an underscore": POST + b"Content-Length: 0_0\r\n\r\n",
    "length of other digits": POST + "Content-Length: ٠\r\n\r\n".encode(),
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "coding behind chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED,
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "coding with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKED,
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED,
    "folded header": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED,
    "NUL in a header": POST + b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "bare CR in a header": POST + b"X-A: a\rContent-Length: 43\r\nContent-Length: 0\r\n\r\n",
    "chunk size with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "chunk size in hexadecimal": POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "chunk size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "chunk that is longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "header name with an underscore": POST + b"Content_Length: 43\r\nContent-Length: -0\r\n\r\n",
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("gunicorn")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**kept, **KEYS, "DEBUG": "1", "VAR_DIR": str(folder), "PORT": str(found)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", CONFIGURED, "flowlu_admin.wsgi:application"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
        deadline = time.monotonic() + 60
        while answers(found, BEHIND) != ["200"]:
            assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.1)
        yield found
        process.terminate()
        process.wait(60)


def answers(port: int, raw: bytes) -> list[str]:
    """Return the statuses of all that comes back until the connection is closed."""
    found = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            found += part
    return re.findall(r"HTTP/1\.1 (\d{3}) ", found.decode("latin-1"))


def test_two_requests_that_say_where_they_end_are_both_answered(port: int) -> None:
    for first in (b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"):
        assert answers(port, POST + first + BEHIND) == ["400", "200"]


@pytest.mark.parametrize("raw", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_nothing_behind_an_ambiguous_request_is_answered(port: int, raw: bytes) -> None:
    # Of a chunk that is none the service says so, and gunicorn once more before it closes.
    assert set(answers(port, raw + BEHIND)) <= {"400", "501"}
