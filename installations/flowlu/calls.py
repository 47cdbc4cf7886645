"""The grammar of a Flowlu call: every part is matched whole and the path is built anew from the parts.

Nothing that a caller sends reaches the wire unseen, and no parameter can take the place of the token, of a
path part or of the HTTP method.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal
from urllib.parse import urlencode

from installations import scopes
from installations.errors import InvalidRequest
from installations.said import said

MAX_NAME_LENGTH = 64
MAX_ID_LENGTH = 20
MAX_PARAMETERS = 1000
MAX_PARAMETER_NAME_LENGTH = 200
MAX_VALUE_LENGTH = 256 * 1024
MAX_TOTAL_LENGTH = 1024 * 1024
# Web servers commonly refuse a request line beyond 8 KiB, with a page that says nothing useful.
MAX_QUERY_LENGTH = 7000
MAX_BODY_DEPTH = 8

FORBIDDEN_PARAMETERS = frozenset({"api_key", "access_token", "module", "model", "action", "id", "_method"})
READ_ACTIONS = scopes.READ_ACTIONS
GET_ACTIONS = READ_ACTIONS | {"delete"}

_TOO_MANY = said("must be at most %(max_parameters)s", max_parameters=MAX_PARAMETERS)
_TOO_MUCH = said("must have at most %(max_total_length)s characters together", max_total_length=MAX_TOTAL_LENGTH)

_NAME = re.compile(r"[a-z0-9_]+")
_ID = re.compile(r"[0-9]+")
_PARAMETER = re.compile(r"[a-z_][a-z0-9_]*(?:\[[a-z0-9_]*\])*")
_KEY = re.compile(r"[a-z0-9_]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FlowluCall:
    """One call that may be sent; made by `build_call` only. Parameters are left out of its `repr`."""

    module: str
    model: str
    action: str
    id: str | None
    params: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def http_method(self) -> Literal["GET", "POST"]:
        """Give the method that Flowlu wants for the action."""
        return "GET" if self.action in GET_ACTIONS else "POST"

    @property
    def path(self) -> str:
        """Give the path on the portal, without parameters."""
        path = f"/api/v1/module/{self.module}/{self.model}/{self.action}"
        return path if self.id is None else f"{path}/{self.id}"

    @property
    def encoded_params(self) -> str:
        """Give the parameters as a query string or form body."""
        return urlencode(self.params)

    @property
    def scope_call(self) -> scopes.Call:
        """Give the call as the scope algebra sees it."""
        return scopes.Call(self.module, self.model, self.action, self.id)


def build_call(
    module: str, model: str, action: str, id: str | None = None, params: Sequence[tuple[str, str]] = ()
) -> FlowluCall:
    """Check every part and return the call; raises InvalidRequest with all wrong parts in `fields`."""
    fields: dict[str, str] = {}
    for place, text in (("module", module), ("model", model), ("action", action)):
        if not _NAME.fullmatch(text) or len(text) > MAX_NAME_LENGTH:
            fields[place] = said(
                "must be 1 to %(max_name_length)s lower-case letters, digits and underscores",
                max_name_length=MAX_NAME_LENGTH,
            )
    if id is not None and (not _ID.fullmatch(id) or len(id) > MAX_ID_LENGTH):
        fields["id"] = said("must be 1 to %(max_id_length)s digits", max_id_length=MAX_ID_LENGTH)
    fields.update(_parameter_faults(params))
    if fields:
        raise InvalidRequest(fields=fields)
    call = FlowluCall(module, model, action, id, tuple(params))
    if call.http_method == "GET" and len(call.encoded_params) > MAX_QUERY_LENGTH:
        raise InvalidRequest(fields={"parameters": said("are too long for a call that Flowlu takes as GET")})
    return call


def build_call_at(path: str, params: Sequence[tuple[str, str]]) -> FlowluCall:
    """Take `module/model/action[/id]` apart and return the call; raises InvalidRequest."""
    parts = path.split("/")
    if len(parts) not in (3, 4):
        raise InvalidRequest(fields={"path": said("must be module/model/action or module/model/action/id")})
    return build_call(parts[0], parts[1], parts[2], parts[3] if len(parts) == 4 else None, params)


def encode_json_body(body: Mapping[str, object]) -> list[tuple[str, str]]:
    """Turn a JSON object into the form pairs that Flowlu's API takes.

    Lists become `key[]`, or `key[0][name]` where their items are objects or lists, since `key[][name]` would
    tear the items apart. Booleans are 1 and 0; null and an empty list or object are an empty text, which
    clears a field. Raises InvalidRequest for names outside the parameter grammar, numbers that are none, deep
    nesting, and more than one call may send, which is found out before much of it is written.
    """
    pairs: list[tuple[str, str]] = []
    total = 0
    for name, value in body.items():
        if not _PARAMETER.fullmatch(name):
            raise InvalidRequest(fields={_shown(name): said("is not a parameter name")})
        for pair in _pairs(name, value, 1):
            pairs.append(pair)
            if len(pairs) > MAX_PARAMETERS:
                raise InvalidRequest(fields={"parameters": _TOO_MANY})
            total += len(pair[0]) + len(pair[1])
            if total > MAX_TOTAL_LENGTH:
                raise InvalidRequest(fields={"parameters": _TOO_MUCH})
    return pairs


def _pairs(name: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MAX_BODY_DEPTH:
        raise InvalidRequest(
            fields={
                _shown(name): said("is nested deeper than %(max_body_depth)s levels", max_body_depth=MAX_BODY_DEPTH)
            }
        )
    # A name is written anew for each value below it: a long one would take a thousand times its room.
    if len(name) > MAX_PARAMETER_NAME_LENGTH:
        raise InvalidRequest(fields={_shown(name): said("is not a parameter name")})
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise InvalidRequest(fields={_shown(f"{name}[{key}]"): said("is not a parameter name")})
            yield from _pairs(f"{name}[{key}]", item, depth + 1)
    elif isinstance(value, list) and value:
        composite = any(isinstance(item, (dict, list)) for item in value)
        for index, item in enumerate(value):
            yield from _pairs(f"{name}[{index}]" if composite else f"{name}[]", item, depth + 1)
    else:
        yield name, _scalar(name, value)


def _scalar(name: str, value: object) -> str:
    match value:
        case None | [] | {}:
            return ""
        case bool():
            return "1" if value else "0"
        case str():
            return value
        case int() if abs(value) < 10**100:
            return str(value)
        case float() if math.isfinite(value):
            return f"{Decimal(repr(value)):f}"
        case _:
            raise InvalidRequest(fields={_shown(name): said("is not a value that can be sent")})


def _parameter_faults(params: Sequence[tuple[str, str]]) -> dict[str, str]:
    if len(params) > MAX_PARAMETERS:
        return {"parameters": _TOO_MANY}
    faults: dict[str, str] = {}
    total = 0
    for name, value in params:
        total += len(name) + len(value)
        fault = _parameter_fault(name, value)
        if fault is not None:
            faults[_shown(name)] = fault
    if total > MAX_TOTAL_LENGTH:
        faults["parameters"] = _TOO_MUCH
    return faults


def _parameter_fault(name: str, value: str) -> str | None:
    if name.partition("[")[0].lower() in FORBIDDEN_PARAMETERS:
        return said("is set by the service and must not be sent")
    if len(name) > MAX_PARAMETER_NAME_LENGTH or not _PARAMETER.fullmatch(name):
        return said("is not a parameter name")
    if len(value) > MAX_VALUE_LENGTH:
        return said("must have at most %(max_value_length)s characters", max_value_length=MAX_VALUE_LENGTH)
    if "\0" in value or _SURROGATE.search(value):
        return said("must not contain NUL or broken characters")
    return None


def _shown(name: str) -> str:
    """Return a name that can stand in an answer: the caller's own, unless it is long or not plain text."""
    presentable = 0 < len(name) <= MAX_NAME_LENGTH and name.isascii() and name.isprintable()
    return name if presentable else "parameters"
