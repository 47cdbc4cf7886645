"""Which network addresses a portal may have.

Whoever owns a name under an allowed suffix decides what it resolves to. Without this check a call could be
turned against the service's own network, with the answer handed back to the caller.
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

# What socket.getaddrinfo returns: family, type, protocol, canonical name, socket address.
AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
Resolver: TypeAlias = Callable[[str, int], Sequence[AddressInfo]]

_IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Left out, or not in every supported patch release, of what the standard library calls not global.
_ALSO_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # RFC 6890 protocol assignments
        "192.88.99.0/24",  # RFC 7526, former 6to4 relays
        "fec0::/10",  # RFC 3879, former site-local
        "64:ff9b:1::/48",  # RFC 8215, local translation prefix
        "2001::/23",  # RFC 2928 protocol assignments, with Teredo
        "3fff::/20",  # RFC 9637 documentation
        "5f00::/16",  # RFC 9602 segment routing
        "::/96",  # RFC 4291 §2.5.5.1, former IPv4-compatible
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")  # RFC 2765, IPv4-translated


def is_public(text: str) -> bool:
    """Say whether an address belongs to a host on the public internet; what is no address is not public.

    An IPv6 address that carries an IPv4 address is as public as that one.
    """
    try:
        address: _IPAddress = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return _is_public(inner)
    return _is_public(address)


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64 or address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_public(address: _IPAddress) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not any(address.version == network.version and address in network for network in _ALSO_REFUSED)
    )
