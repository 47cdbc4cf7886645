"""The access log: one line for one request, whatever its path holds, and no query string."""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

PATH = b"/x%0a127.0.0.1%20%22GET%20/forged%22%20200%0d%1b[31m?access_token=a-secret"
REQUEST = b"GET " + PATH + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


def written_by_gunicorn(tmp_path: Path, project_root: Path, **settings: str) -> bytes:
    """Start the service, ask it once, and return everything that was written until it stopped."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    environment = {"DEBUG": "1", "VAR_DIR": str(tmp_path), "PORT": str(port), "PATH": "/usr/bin:/bin", **settings}
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
            answer = connection.recv(4096)
        while b"forged" not in log.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(timeout=20)
    written = log.read_bytes()
    request_id = re.search(rb"x-request-id: ([0-9a-f]{32})", answer, re.IGNORECASE)
    assert request_id is not None
    assert request_id[1] in written
    return written


def test_path_cannot_forge_a_line_and_the_query_is_not_written(tmp_path: Path, project_root: Path) -> None:
    written = written_by_gunicorn(tmp_path, project_root)

    assert b'"GET /x\\x0a127.0.0.1 \\x22GET /forged\\x22 200\\x0d\\x1b[31m" 404' in written
    assert not any(line.startswith(b'127.0.0.1 "GET /forged') for line in written.splitlines())
    assert b"a-secret" not in written


def test_every_line_is_json_where_that_is_asked_for(tmp_path: Path, project_root: Path) -> None:
    lines = written_by_gunicorn(tmp_path, project_root, LOG_FORMAT="json").splitlines()

    told = [json.loads(line) for line in lines]
    (access,) = [one for one in told if one["logger"] == "gunicorn.access"]
    assert access["message"].endswith(access["request_id"])
    assert b"a-secret" not in b"".join(lines)
    assert all("request_id" not in one for one in told if one["logger"] == "gunicorn.error")
