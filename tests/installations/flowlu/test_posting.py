"""One POST: over checked TLS, to a public address where that is asked for, once, and never for longer than allowed."""

import socket
import time
from pathlib import Path

import pytest

from installations.flowlu.addresses import AddressInfo
from installations.flowlu.posting import Posted, PostLimits, is_post_address, post_once

from .conftest import RawPortal, drip, http, write_certificate

SHORT = PostLimits(connect=1.5, step=1.0, total=1.5)


def resolve(host: str, port: int) -> list[AddressInfo]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def post(portal: RawPortal, *, scheme: str = "http", private: bool = True, ca_file: Path | None = None) -> Posted:
    return post_once(
        f"{scheme}://hooks.flowlu.test:{portal.port}/a?b=c",
        b'{"a": 1}',
        {"X-Id": "7"},
        allow_private=private,
        allow_http=scheme == "http",
        limits=SHORT,
        ca_file=str(ca_file) if ca_file else None,
        resolve=resolve,
    )


def test_body_and_headers_are_sent_once(portal: RawPortal) -> None:
    portal.answer_json(b"{}")

    assert post(portal) == Posted(status=200)
    (sent,) = portal.requests
    assert sent.startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert b"x-id: 7\r\n" in sent.lower()
    assert sent.endswith(b'\r\n\r\n{"a": 1}')


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "500 Internal Server Error"])
def test_refusal_is_its_status_and_no_redirect_is_followed(portal: RawPortal, status: str) -> None:
    portal.answer_json(b"{}", status, f"Location: http://127.0.0.1:{portal.port}/other\r\n")

    posted = post(portal)

    assert (posted, posted.is_taken) == (Posted(status=int(status[:3])), False)
    assert len(portal.requests) == 1


def test_private_address_is_refused_before_a_connection(portal: RawPortal) -> None:
    assert post(portal, private=False) == Posted(failure="refused_address")
    assert portal.connections == 0


def test_certificate_is_checked(tls_portal: RawPortal, certificate: Path, tmp_path: Path) -> None:
    assert post(tls_portal, scheme="https", ca_file=certificate).is_taken is True
    other = write_certificate(tmp_path, "other")
    assert post(tls_portal, scheme="https", ca_file=other) == Posted(failure="tls")
    assert len(tls_portal.requests) == 1


@pytest.mark.parametrize("prefix", [b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_answer_that_never_ends_is_given_up(portal: RawPortal, prefix: bytes) -> None:
    portal.script = drip(prefix, b"y", 0.05)
    began = time.monotonic()

    assert post(portal).failure in {"timeout", "no_connection"}
    assert time.monotonic() - began < SHORT.total + 20  # it would never end


def test_body_of_the_answer_is_not_waited_for(portal: RawPortal) -> None:
    portal.script = drip(http(b"", "200 OK").replace(b"Content-Length: 0", b"Content-Length: 99999"), b"y", 0.05)
    began = time.monotonic()

    assert post(portal).is_taken is True
    assert time.monotonic() - began < SHORT.total


def test_nobody_there_is_no_connection(portal: RawPortal) -> None:
    portal.port = 9
    assert post(portal) == Posted(failure="no_connection")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.example.com/a", True),
        ("http://hooks.example.com/a", False),
        ("https://ana:pw@hooks.example.com/a", False),
        ("https:///a", False),
        ("ftp://hooks.example.com", False),
        ("https://[::1", False),
    ],
)
def test_address_is_https_of_a_host_and_names_no_user(url: str, good: bool) -> None:
    assert is_post_address(url, allow_http=False) is good
    assert post_once(url, b"", {}, allow_private=True, allow_http=False, limits=SHORT).is_taken is False
