"""Processes that a load is put on, each on its cores, and the load: wrk, whose words are read into figures."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.bench.figures import ROOT

# Ten accounts, as a page of a list brings them.
ANSWER = json.dumps(
    {
        "response": {
            "total_result": 10,
            "page": 1,
            "count": 10,
            "items": [
                {"id": number, "name": f"Account {number} of the bench", "active": 1, "owner_id": 2, "type": 1}
                for number in range(10)
            ],
        }
    }
).encode()

_TICKS = os.sysconf("SC_CLK_TCK")
_MULTIPLES = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a while of load was answered with."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int  # other statuses than 2xx, and broken connections
    cpu_percent: float  # of one core, of the process and those that it started
    memory_mib: float  # of the same, resident, at the end


@dataclass(frozen=True, slots=True)
class Served:
    """A process that answers on a port of this machine."""

    port: int
    pid: int


def missing_tools() -> list[str]:
    return [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(
    command: Sequence[str], port: int, cores: str, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Run a command on these cores until the block ends. Ready means that the port takes connections."""
    log = Path(os.environ["BENCH_LOGS"]) / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            _wait_for(port, process, log)
            yield Served(port, process.pid)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


@contextmanager
def kept_to(cores: set[int], pids: Sequence[int]) -> Iterator[None]:
    """Keep processes of this machine, and those that they start, to these cores until the block ends."""
    before = {each: os.sched_getaffinity(each) for pid in pids for each in _family(pid)}
    for each in before:
        os.sched_setaffinity(each, cores)
    try:
        yield
    finally:
        for each, had in before.items():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(each, had)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"{log.name} did not come up:\n{log.read_text(errors='replace')[-3000:]}")


def load(served: Served, path: str, *, connections: int, seconds: int, script: Path, cores: str) -> Loaded:
    """Ask for a path over so many connections at once, for so long."""
    command = ["taskset", "-c", cores, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    began, used = time.monotonic(), _cpu_seconds(served.pid)
    said = subprocess.run(
        [*command, "--latency", "-s", str(script), f"http://127.0.0.1:{served.port}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cpu = (_cpu_seconds(served.pid) - used) / (time.monotonic() - began) * 100
    return read_wrk(said, cpu_percent=cpu, memory_mib=_memory_mib(served.pid))


def read_wrk(said: str, *, cpu_percent: float, memory_mib: float) -> Loaded:
    """Read what wrk prints; raises ValueError for what is no such text."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if rate is None:
        raise ValueError(f"wrk said:\n{said}")
    failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", said))
    for numbers in re.findall(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said):
        failed += sum(map(int, numbers))
    return Loaded(float(rate[1]), _ms(said, "50%"), _ms(said, "99%"), failed, cpu_percent, memory_mib)


def _ms(said: str, share: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s|m)\b", said)
    if found is None:
        raise ValueError(f"wrk said:\n{said}")
    return float(found[1]) * _MULTIPLES[found[2]]


def _family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    found = [pid]
    for each in found:
        for thread in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in thread.read_text().split()]
    return found


def _cpu_seconds(pid: int) -> float:
    total = 0
    for each in _family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _memory_mib(pid: int) -> float:
    """Return what is resident and their own, with shared pages divided among those who share them."""
    total = 0
    for each in _family(pid):
        rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1])  # type: ignore[index]  # it is in each
    return total / 1024


def make_certificate(folder: Path, names: Sequence[str] = ()) -> tuple[Path, Path]:
    """Write a certificate for this machine's loopback address and these names, which signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), *map(x509.DNSName, names)]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    where = folder / "certificate.pem", folder / "key.pem"
    where[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    where[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return where


_NGINX = """
daemon off; pid {folder}/nginx-{port}.pid; error_log stderr warn; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {body}
}}
"""
_STUB = """
  server {{
    listen 127.0.0.1:{port} ssl backlog=1024; ssl_certificate {certificate}; ssl_certificate_key {key};
    default_type application/json; location / {{ return 200 '{answer}'; }}
  }}
"""
_PROXY = """
  upstream portal {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ proxy_pass https://portal; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""


def nginx(folder: Path, port: int, body: str) -> list[str]:
    """Return the command of an nginx of its own, with this in its configuration."""
    written = folder / f"nginx-{port}.conf"
    written.write_text(_NGINX.format(folder=folder, port=port, body=body))
    return ["nginx", "-p", str(folder), "-c", str(written)]


def portal_that_answers_at_once(folder: Path, port: int, certificate: Path, key: Path) -> list[str]:
    return nginx(folder, port, _STUB.format(port=port, certificate=certificate, key=key, answer=ANSWER.decode()))


def plain_proxy(folder: Path, port: int, upstream: int) -> list[str]:
    return nginx(folder, port, _PROXY.format(port=port, upstream=upstream))
