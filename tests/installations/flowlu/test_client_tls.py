"""TLS is always verified: the right name under the right authority, and nothing less."""

import socket
import time
from pathlib import Path

import pytest

from installations.errors import FlowluTimeout, FlowluUnavailable
from installations.flowlu.addresses import AddressInfo
from installations.flowlu.calls import build_call
from installations.flowlu.client import FlowluClient, Limits

from .conftest import RawPortal, drip, write_certificate

SHORT = Limits(connect=1.5, read=1.5, total=2.0, body=100_000)  # room for a busy machine
LIST = build_call("crm", "lead", "list")
TOKEN = "canary-token-5cb1"


def _client(portal: RawPortal, ca_file: Path | None) -> FlowluClient:
    def resolve(host: str, port: int) -> list[AddressInfo]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    return FlowluClient(
        lambda name: f"https://{name}:{portal.port}",
        allow_private=True,
        allow_http=False,
        ca_file=None if ca_file is None else str(ca_file),
        limits=SHORT,
        resolve=resolve,
    )


@pytest.mark.parametrize("name", ["acme.flowlu.test", "my-company.flowlu.test", "my_company.flowlu.test"])
def test_a_portal_under_the_wildcard_is_accepted(tls_portal: RawPortal, certificate: Path, name: str) -> None:
    client = _client(tls_portal, certificate)
    for _ in range(2):
        assert client.call(name, LIST, TOKEN).response == 1
    assert tls_portal.connections == 1


@pytest.mark.parametrize("name", ["acme.evil.test", "my_company.evil.test", "a.b.flowlu.test", "a_b.c.flowlu.test"])
def test_another_name_is_refused_before_the_token_is_sent(tls_portal: RawPortal, certificate: Path, name: str) -> None:
    client = _client(tls_portal, certificate)
    assert client.call("my_company.flowlu.test", LIST, TOKEN).response == 1
    with pytest.raises(FlowluUnavailable):
        client.call(name, LIST, TOKEN)
    assert len(tls_portal.requests) == 1


@pytest.mark.parametrize("name", ["acme.flowlu.test", "my_company.flowlu.test"])
def test_an_unknown_authority_is_refused(tls_portal: RawPortal, tmp_path: Path, name: str) -> None:
    for ca_file in (None, write_certificate(tmp_path, "other")):
        with pytest.raises(FlowluUnavailable):
            _client(tls_portal, ca_file).call(name, LIST, TOKEN)
    assert tls_portal.requests == []


def test_a_drip_inside_tls_ends_at_the_deadline(tls_portal: RawPortal, certificate: Path) -> None:
    tls_portal.script = drip(b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.05)
    started = time.monotonic()
    with pytest.raises(FlowluTimeout):
        _client(tls_portal, certificate).call("acme.flowlu.test", LIST, TOKEN)
    assert time.monotonic() - started < SHORT.total + 20  # it would never end


def test_a_handshake_that_never_ends_is_unavailable(certificate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        portal = RawPortal()
        portal.port = silent.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(FlowluUnavailable):
            _client(portal, certificate).call("acme.flowlu.test", LIST, TOKEN)
        assert time.monotonic() - started < SHORT.connect + 20  # it would never end
        portal.close()
