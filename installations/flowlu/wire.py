"""How a call is written and an error is read, where Flowlu's documentation leaves it open. Pure.

The defaults are assumptions. Each is a setting of the deployment, so that a portal which differs needs no other code;
`manage.py doctor --portal` tries them (docs/adr/0043).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast, get_args
from urllib.parse import urlencode

from installations.flowlu.calls import FlowluCall

Meaning: TypeAlias = Literal["stale", "denied", "not_found", "invalid"]
Method: TypeAlias = Literal["GET", "POST"]
Body: TypeAlias = Literal["form", "json"]

PLACE: Final = "{token}"
TOKEN_HEADER: Final = "Authorization: Bearer {token}"  # noqa: S105 - where a token goes, and none itself
RETRY_HEADER: Final = "Retry-After"
# 10, 12, 13 and all others say nothing of use to a caller.
ERROR_CODES: Final = "11=stale,20=not_found,21=invalid,22=denied,30=not_found,31=not_found"

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_CODE = re.compile(r"[0-9]{1,9}")
# What the client says of itself and of the body, and what would send the token elsewhere or change the connection.
_TAKEN = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "cookie", "expect", "host", "te"}
    | {"trailer", "transfer-encoding", "upgrade", "user-agent"}
)


@dataclass(frozen=True, slots=True)
class Wire:
    """The open points of the wire, as they are set."""

    token_header: str = TOKEN_HEADER
    delete_method: Method = "GET"
    body: Body = "form"
    retry_header: str = RETRY_HEADER
    error_codes: tuple[tuple[int, Meaning], ...] = (
        (11, "stale"), (20, "not_found"), (21, "invalid"), (22, "denied"), (30, "not_found"), (31, "not_found"),
    )  # fmt: skip

    def credential(self, token: str) -> dict[str, str]:
        """Return the header that says whose call it is."""
        name, _, value = self.token_header.partition(":")
        return {name.strip(): value.strip().replace(PLACE, token)}

    def method_of(self, call: FlowluCall) -> Method:
        """Return the method that a call goes out with."""
        return self.delete_method if call.action == "delete" else call.http_method

    def encoded(self, params: Iterable[tuple[str, str]]) -> tuple[str, str]:
        """Return the body of a POST and its media type."""
        if self.body == "json":
            return json.dumps(nested(params)), "application/json"
        return urlencode(tuple(params)), "application/x-www-form-urlencoded"

    def meaning_of(self, code: int | None) -> Meaning | None:
        """Return what an error code tells a caller, if anything."""
        return None if code is None else dict(self.error_codes).get(code)


def nested(params: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return form pairs as the object that they write out: `a[]` is a list, `a[b]` an object. Values stay texts.

    Of two values in one place the later one counts, as in a form.
    """
    root: dict[str, Any] = {}
    for name, value in params:
        *way, last = name.replace("]", "").split("[")
        place = root
        for step in way:
            step = step or _next_in(place)
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                inner = place[step] = {}
            place = inner
        place[last or _next_in(place)] = value
    return {name: _listed(value) for name, value in root.items()}


def _next_in(place: dict[str, Any]) -> str:
    """Return the first number from the count on that is free: `a[1]` may stand before `a[]`."""
    number = len(place)
    while str(number) in place:
        number += 1
    return str(number)


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(item) for name, item in value.items()}
    return list(inner.values()) if list(inner) == [str(number) for number in range(len(inner))] else inner


def fault_of_token_header(template: str) -> str:
    """Say what is wrong with a header that is to carry a token; '' when nothing is."""
    name, colon, value = template.partition(":")
    if not colon or not is_header_name(name) or name.lower() in _TAKEN:
        return "must begin with the name of a header and a colon"
    if value.count(PLACE) != 1 or not value.isascii() or not value.isprintable():
        return f"must have {PLACE} once, where the token goes, and visible ASCII characters around it"
    return ""


def is_header_name(text: str) -> bool:
    return _HEADER.fullmatch(text) is not None


def read_error_codes(pairs: Mapping[str, str]) -> tuple[tuple[int, Meaning], ...]:
    """Return what each error code means; raises ValueError for what is none, and where none means stale."""
    for code, word in pairs.items():
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no error code")
        if word not in get_args(Meaning):
            raise ValueError(f"{word!r} must be one of {', '.join(get_args(Meaning))}")
    if "stale" not in pairs.values():
        raise ValueError("one code must mean stale, or a token that Flowlu refuses would go on to be used")
    return tuple((int(code), cast(Meaning, word)) for code, word in pairs.items())
