"""Rate limits of the current-user API: how often one address may open sessions on a portal, and how often one session
may call.

A portal's or a session's limit never holds back anybody else.
"""

from django.conf import settings

from tokens.rates import take

# An office full of users shares one address; a guesser should not have more than that.
ADDRESS_FACTOR = 10


def limit_address(address: str) -> None:
    """Count one handshake of `address` on whatever portal; asked before the body is read, which costs the most.

    Portal names cost nothing to make up, so an address gets the tenfold of its rate over all of them.
    """
    take(settings.HANDSHAKE_RATE, "handshakes", address, times=ADDRESS_FACTOR)


def limit_handshake(address: str, portal: str) -> None:
    """Count one handshake of `address` on `portal`."""
    take(settings.HANDSHAKE_RATE, "handshake", address, portal)


def limit_calls(session_id: int) -> None:
    """Count one request of a session."""
    take(settings.CALL_RATE, "call", str(session_id))
