"""Addresses of databases on a PostgreSQL server, as libpq and Django read them alike. Pure: nothing is connected to."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

import psycopg

_SCHEMES: Final = ("postgres://", "postgresql://")


class NoAddress(ValueError):
    """What is wrong with an address. The text repeats nothing of it: its password may be anywhere in it."""


def parameters(address: str) -> dict[str, str]:
    """Return what libpq reads in an address, by its keywords; raises NoAddress."""
    if not address.startswith(_SCHEMES):
        raise NoAddress("must begin with postgres://")
    try:
        read = psycopg.pq.Conninfo.parse(address.encode())
        query = urlsplit(address).query
    except (psycopg.Error, ValueError):
        raise NoAddress(
            "cannot be read; special characters of a password are percent-encoded, and libpq knows every parameter"
        ) from None
    if any(unquote(part.partition("=")[0]) == "dbname" for part in query.split("&")):
        raise NoAddress("must name its database in its path, and not as dbname=")
    found = {option.keyword.decode(): option.val.decode() for option in read if option.val}
    if not found.get("port", "0").isdecimal():
        raise NoAddress("must name one server, with a number as its port")
    return found


def parameters_of(database: Mapping[str, Any]) -> dict[str, str]:
    """Return what Django connects with, by libpq's keywords; what is for Django alone is left out."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    named = {name.lower(): str(database[name]) for name in ("USER", "PASSWORD", "HOST", "PORT") if database.get(name)}
    options = {name: str(value) for name, value in database.get("OPTIONS", {}).items() if name in known}
    return options | named


def address_of(name: str, server: Mapping[str, str]) -> str:
    """Return the address of the database `name` on the server that these parameters lead to."""
    given = {keyword: value for keyword, value in server.items() if keyword != "dbname"}
    # Of a host in its place dj_database_url takes the capitals away, which the folder of a socket may have.
    host = "" if given.get("host", "").startswith("/") else quote(given.pop("host", ""), safe="")
    user, password, port = (quote(given.pop(keyword, ""), safe="") for keyword in ("user", "password", "port"))
    account = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = urlencode(given, quote_via=quote)
    return f"postgres://{account}{host}{port and f':{port}'}/{quote(name, safe='')}{query and f'?{query}'}"
