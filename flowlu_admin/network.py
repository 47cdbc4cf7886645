"""Who is at the other end of the connection, when a trusted proxy stands in between. Pure."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# A unix socket has no address: naming it as trusted means "whoever can open the socket is my proxy".
UNIX = "unix"


@lru_cache(maxsize=16)
def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks that `TRUSTED_PROXIES` names; raises ValueError naming the bad one."""
    networks = []
    for text in texts:
        if text == UNIX:
            continue
        try:
            networks.append(ip_network(text, strict=False))
        except ValueError:
            raise ValueError(f"{text!r} is neither an address nor a network nor 'unix'.") from None
    return tuple(networks)


def is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    """Return whether the peer at `address` may speak for others."""
    if not address:
        return UNIX in trusted
    parsed = _address(address)
    return parsed is not None and any(parsed in network for network in parse_networks(trusted))


def client_address(peer: str, forwarded_for: str, trusted: tuple[str, ...]) -> str:
    """Return the nearest address of X-Forwarded-For that no trusted proxy vouches for.

    Read from the right: whatever stands further left was written by the client itself.
    """
    current = peer
    for hop in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        if not is_trusted(current, trusted):
            break
        if _address(hop) is None:
            break
        current = hop
    return current


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
