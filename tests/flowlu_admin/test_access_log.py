"""The access log: one line for one request, whatever its path holds, and no query string."""

import socket
import subprocess
import sys
import time
from pathlib import Path

PATH = b"/x%0a127.0.0.1%20%22GET%20/forged%22%20200%0d%1b[31m?access_token=a-secret"
REQUEST = b"GET " + PATH + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_path_cannot_forge_a_line_and_the_query_is_not_written(tmp_path: Path, project_root: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    environment = {"DEBUG": "1", "VAR_DIR": str(tmp_path), "PORT": str(port), "PATH": "/usr/bin:/bin"}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "deploy/gunicorn.conf.py",
        "flowlu_admin.wsgi:application",
    ]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=project_root, env=environment, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 30
        while b"Booting worker" not in log.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(REQUEST)
            connection.recv(100)
        while b"forged" not in log.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(timeout=20)
    written = log.read_bytes()

    assert b'"GET /x\\x0a127.0.0.1 \\x22GET /forged\\x22 200\\x0d\\x1b[31m" 404' in written
    assert not any(line.startswith(b'127.0.0.1 "GET /forged') for line in written.splitlines())
    assert b"a-secret" not in written
