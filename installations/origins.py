"""Origins of frontends: what an operator may write into an application's allow-list. Pure.

A browser names the origin of a page in one spelling (RFC 6454 §6.2), and that is compared whole. So what is kept is
that spelling: anything that no browser would send is refused here instead of never matching there.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from installations.said import said

MAX_ORIGINS: Final = 30

_DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"https": 443, "http": 80})
_SHAPE: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[^\]]*\]|[^:/?#@\[\]]*)(?::(?P<port>[^/?#]*))?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
# A browser reads a host that ends in a number as an IPv4 address, whatever stands before it.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_HOST: Final = 253
_LONGEST: Final = len("https://") + _LONGEST_HOST + len(":65535")


class OriginError(ValueError):
    """The text is no origin that may be allowed; the message says what to write instead."""


def normalise_origin(text: str, *, local: bool) -> str:
    """Return the origin as a browser sends it: lower case, and without the port that its scheme implies.

    Only https and a domain name, so that nobody on the way can be that page. `local` also takes this machine
    (localhost, *.localhost, 127.0.0.1, [::1]), over http too. Nothing else is repaired. Raises OriginError.
    """
    if not text:
        raise OriginError(said("is empty"))
    if len(text) > _LONGEST:
        raise OriginError(said("is too long to be an origin"))
    if not text.isascii():
        # Before it is lower-cased: that turns some of it into ASCII (the Kelvin sign becomes k).
        raise OriginError(said("must be ASCII: write a domain in another script as browsers send it, xn--…"))
    lowered = text.lower()
    if lowered == "null":
        raise OriginError(said("null is the origin of every sandboxed page and file, so it is never allowed"))
    if "*" in lowered:
        raise OriginError(said("must be one origin: a wildcard is never allowed"))
    if not lowered.isprintable() or " " in lowered:
        raise OriginError(said("must not have spaces or control characters"))
    if "@" in lowered:
        raise OriginError(said("must not have a name or password before the host"))
    shape = _SHAPE.match(lowered)
    if shape is None:
        raise OriginError(said("must be like https://app.example.com, with https:// at its beginning"))
    if lowered[shape.end() :]:
        raise OriginError(said("must end after the host and port: leave out the path, also a slash at the end"))
    scheme, host = shape["scheme"], shape["host"]
    _check_place(scheme, host, local=local)
    port = _port(shape["port"])
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def normalise_origins(texts: Iterable[str], *, local: bool) -> tuple[list[str], dict[str, str]]:
    """Return the origins in order and each once, and what is wrong by the text that it is wrong with."""
    found, wrong = set(), {}
    for text in texts:
        try:
            found.add(normalise_origin(text, local=local))
        except OriginError as error:
            wrong[text[:100]] = str(error)
    return sorted(found), wrong


def _is_local(host: str) -> bool:
    """Return whether a host is this machine in every browser."""
    return host in ("localhost", "127.0.0.1", "[::1]") or host.endswith(".localhost")


def _check_place(scheme: str, host: str, *, local: bool) -> None:
    if scheme not in _DEFAULT_PORTS:
        raise OriginError(said("must begin with https://"))
    if host == "[::1]" or host == "127.0.0.1":
        labels = []
    else:
        if host.startswith("[") or _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise OriginError(said("must be a domain name: an address can be anybody's tomorrow"))
        labels = host.split(".")
    if len(host) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise OriginError(said("must have a domain name after ://, like app.example.com, without a dot at its end"))
    if _is_local(host):
        if not local:
            raise OriginError(said("names the machine of whoever looks at it, which is allowed only with DEBUG=1"))
        return
    if scheme != "https":
        raise OriginError(said("must begin with https://: over http anybody on the way can be that page"))
    if len(labels) < 2:
        raise OriginError(said("must be a whole domain name, like app.example.com"))


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise OriginError(said("must have a port from 1 to 65535 after the colon, or no colon"))
    return int(text)
