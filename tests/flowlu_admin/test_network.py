"""Who is at the other end: only a trusted peer may speak for others, and only the nearest stranger counts."""

from ipaddress import ip_network

import pytest

from flowlu_admin.network import client_address, is_trusted, parse_networks

TRUSTED = ("10.0.0.0/8", "192.168.1.5", "2001:db8::/32")


def test_addresses_and_networks_of_both_families_are_read():
    assert parse_networks((*TRUSTED, "unix")) == (
        ip_network("10.0.0.0/8"),
        ip_network("192.168.1.5/32"),
        ip_network("2001:db8::/32"),
    )


def test_host_bits_in_a_network_are_no_obstacle():
    assert parse_networks(("10.1.2.3/8",)) == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize("text", ["proxy", "10.0.0.0/33", "", "*", "10.0.0"])
def test_what_is_neither_is_an_error_that_names_it(text):
    with pytest.raises(ValueError, match=f"^{text!r} is neither".replace("*", r"\*")):
        parse_networks(("10.0.0.1", text))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("192.168.1.5", True),
        ("192.168.1.6", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("", False),
        ("unix", False),
        ("proxy", False),
        ("10.0.0.1, 10.0.0.2", False),
    ],
)
def test_peer_is_trusted_by_its_address(address, expected):
    assert is_trusted(address, TRUSTED) is expected


@pytest.mark.parametrize(("trusted", "expected"), [(("unix",), True), (("10.0.0.0/8",), False), ((), False)])
def test_peer_without_an_address_is_trusted_only_as_a_unix_socket(trusted, expected):
    assert is_trusted("", trusted) is expected


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1,203.0.113.7 , 10.0.0.3,10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7:5678", "10.0.0.1"),
        ("10.0.0.1", ",,203.0.113.7,,", "203.0.113.7"),
        ("10.0.0.1", "2001:db9::7", "2001:db9::7"),
    ],
)
def test_nearest_address_that_no_trusted_proxy_vouches_for(peer, forwarded, expected):
    assert client_address(peer, forwarded, TRUSTED) == expected


def test_proxy_behind_a_unix_socket_is_believed_when_named():
    assert client_address("", "203.0.113.7", ("unix",)) == "203.0.113.7"
    assert client_address("", "203.0.113.7", TRUSTED) == ""
