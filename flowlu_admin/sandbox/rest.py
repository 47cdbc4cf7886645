"""The REST API as Flowlu is documented to answer, quirks included: most errors are HTTP 200."""

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import parse_qsl

from flowlu_admin.sandbox import variants
from flowlu_admin.sandbox.book import SandboxError
from flowlu_admin.sandbox.data import MODELS, MODULES, Model, Record
from flowlu_admin.sandbox.http_types import Request, Response, json_response
from flowlu_admin.sandbox.rights import READ_ACTIONS, covers
from flowlu_admin.sandbox.state import Caller, LoggedRequest, Portal, SandboxState
from flowlu_admin.sandbox.variants import MAX_LIMITS

DEFAULT_LIMIT = 50

_CALL = re.compile(r"([a-z0-9_]+)/([a-z0-9_]+)/([a-z0-9_]+)(?:/([0-9]{1,19}))?")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,6})?")
_FILTER = re.compile(r"filter\[([a-z0-9_]+)\](?:\[\])?")
_ORDER = re.compile(r"order_by\[(asc|desc)\](?:\[[0-9]*\])?")
_MESSAGES = {
    10: "Unknown error",
    11: "Authorization failed",
    12: "Invalid request",
    13: "Internal server error",
    20: "Not found",
    21: "Validation error",
    22: "Access denied",
    30: "Unknown method",
    31: "Unknown module",
}


@dataclass(frozen=True, slots=True)
class Call:
    """The parts of a REST path."""

    module: str
    model: str
    action: str
    id: int | None

    @property
    def path(self) -> str:
        """Give the parts as one text, for the log and for choosing faults."""
        tail = "" if self.id is None else f"/{self.id}"
        return f"{self.module}/{self.model}/{self.action}{tail}"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What came in the query string and in the body, in order."""

    pairs: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """Return the last value of that name."""
        return next((value for key, value in reversed(self.pairs) if key == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names that came, sorted and each once: values may be secret, names are not."""
        return tuple(sorted({name for name, _ in self.pairs}))


@dataclass(slots=True)
class Exchange:
    """One REST request from arrival to log entry; what it learns on the way is what the log may tell."""

    state: SandboxState
    request: Request
    portal: Portal | None
    call: Call | None
    caller: Caller | None = None
    auth: Literal["none", "token", "api_key"] = "none"
    names: tuple[str, ...] = ()

    def answer(self) -> Response:
        """Answer as a portal does that nothing is wrong with, in the words that it has for it."""
        answered = self._answer()
        if self.portal is None:
            return answered
        chosen = self.portal.variants
        headers = {**answered.headers, "Date": variants.date_header(chosen["clock"])}
        return variants.reworded(replace(answered, headers=headers), chosen["errors"])

    def _answer(self) -> Response:
        if self.request.method not in ("GET", "POST"):
            return json_response({"error": "Method Not Allowed"}, 405, {"Allow": "GET, POST"})
        try:
            parameters = read_parameters(
                self.request, "either" if self.portal is None else self.portal.variants["body"]
            )
            self.names = parameters.names
            if self.request.headers.keys() & {"authorization", variants.OWN_HEADER}:
                self.auth = "token"
            elif parameters.get("api_key") is not None:
                self.auth = "api_key"
            if self.portal is None:
                return unauthorised(None)
            self.caller = authenticate(self.state, self.portal, self.request, parameters)
            if self.call is None:
                return error(30)
            return answer(self.state, self.portal, self.call, self.request.method, self.caller, parameters)
        except RefusedError as exc:
            return exc.response

    def expire_token(self) -> None:
        """Let the token that the request carries run out just before it is looked at."""
        form = self.portal.variants["token"] if self.portal else "bearer"
        token = variants.token_of(self.request.headers, form) or ""
        with contextlib.suppress(SandboxError):
            self.state.expire_token(token)

    def log_entry(self, status: int, fault: str | None) -> LoggedRequest:
        """Say what the request was, without anything that could be secret."""
        user = None if self.caller is None else self.caller.user
        return LoggedRequest(
            portal="(unknown)" if self.portal is None else self.portal.domain,
            method=self.request.method,
            # Only what is known to be a call: another path could hold anything, a token too.
            path="(other)" if self.call is None else self.call.path,
            status=status,
            user_id=None if user is None else user.id,
            auth=self.auth,
            fault=fault,
            parameters=self.names,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )


class RefusedError(Exception):
    """The call ends with this answer."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def parse_call(path: str) -> Call | None:
    """Take `module/model/action[/id]` apart; None when it has another form."""
    found = _CALL.fullmatch(path)
    if found is None:
        return None
    module, model, action, number = found.groups()
    return Call(module, model, action, None if number is None else int(number))


def read_parameters(request: Request, body: str = "either") -> Parameters:
    """Read query string and body; a body is a form or JSON, as the older documentation has it.

    A portal that takes one of them passes over the other. Raises RefusedError (code 12) for a body that is neither.
    """
    pairs = request.query_pairs
    is_json = request.content_type == "application/json"
    if request.body and body in ("either", "json" if is_json else "form"):
        try:
            if is_json:
                parsed = json.loads(request.body)
                if not isinstance(parsed, dict):
                    raise ValueError("not an object")
                pairs += [(str(name), _as_text(value)) for name, value in parsed.items()]
            else:
                pairs += parse_qsl(request.body.decode(), keep_blank_values=True)
        except (ValueError, RecursionError):
            raise RefusedError(error(12, "The body is neither a form nor a JSON object")) from None
    return Parameters(tuple(pairs))


def error(code: int, message: str = "", *, details: Any = None, status: int = 200) -> Response:
    """Answer with Flowlu's error envelope, with HTTP 200 unless said otherwise."""
    body: dict[str, Any] = {"error_code": code, "error_msg": message or _MESSAGES.get(code, "Unknown error")}
    if details is not None:
        body["error_details"] = details
    return json_response({"error": body}, status)


def validation(fields: dict[str, str]) -> Response:
    """Answer with the second error shape, HTTP 200 too."""
    payload = {"error": "validation", "description": "Some fields are not valid", "details": fields}
    return json_response(payload)


def unauthorised(portal: Portal | None) -> Response:
    """Refuse the credential in the way that the portal is set to."""
    if portal is not None and portal.settings.auth_failure == "error_11":
        return error(11)
    return error(11, status=401)


def too_many(retry_after: str | None = "1", form: str = "retry_after") -> Response:
    """Answer that the portal's limit per second is used up."""
    headers = variants.retry_headers(retry_after, form)
    payload = {"error": {"error_code": 10, "error_msg": "Too many requests"}}
    return json_response(payload, 429, headers)


def authenticate(state: SandboxState, portal: Portal, request: Request, parameters: Parameters) -> Caller:
    """Return who calls: the bearer token's user, else the system by the portal's key.

    Raises RefusedError for anything else. A key in the header or a token in a parameter is no credential.
    """
    token = variants.token_of(request.headers, portal.variants["token"])
    if token is not None or "authorization" in request.headers:
        caller = None if token is None else state.caller_by_token(portal, token)
    else:
        key = parameters.get("api_key")
        caller = Caller(user=None, app_id=None) if key is not None and key in portal.api_keys else None
    if caller is None:
        raise RefusedError(unauthorised(portal))
    return caller


def answer(
    state: SandboxState, portal: Portal, call: Call, method: str, caller: Caller, parameters: Parameters
) -> Response:
    """Carry out an authenticated call."""
    if call.module not in MODULES:
        return error(31)
    model = MODELS.get((call.module, call.model))
    if model is None or call.action not in model.actions:
        return error(30)
    # A key "is sent as the api_key parameter on every GET and POST request" (flowlu-platform §2.1): with one, POST does
    # for reads and deletes as well, so that it need not be in an address.
    methods = ("GET", "POST") if caller.user is None and portal.variants["key"] == "any" else ("GET",)
    is_get = call.action in READ_ACTIONS or (call.action == "delete" and portal.variants["delete"] == "get")
    if method not in (methods if is_get else ("POST",)):
        return error(30, f"{call.action} does not take {method}")
    try:
        own_profile = _is_own_profile(call)
        if own_profile and caller.user is None:
            return error(11, "A user is needed, a key has none", status=401)
        if not own_profile:
            _check_rights(state, portal, call, caller)
        with state.lock:
            return _ACTIONS[call.action](portal, call, model, caller, parameters)
    except RefusedError as exc:
        return exc.response


def _is_own_profile(call: Call) -> bool:
    return (call.module, call.model, call.action, call.id) == ("core", "user", "get", None)


def _check_rights(state: SandboxState, portal: Portal, call: Call, caller: Caller) -> None:
    """Hold the call against the approved scopes first, then against the user's own rights; a key has all."""
    if caller.user is None:
        return
    if not covers(state.approved_scopes(portal), call.module, call.model, call.action):
        status = 403 if portal.settings.scope_refusal == "status_403" else 200
        raise RefusedError(error(22, "The application has no approved scope for this", status=status))
    reads = call.action in READ_ACTIONS
    if call.module == "core":
        allowed = reads or caller.user.is_admin or str(call.id) == caller.user.id
    else:
        right = caller.user.right_in(call.module)
        allowed = right == "full" or (reads and right == "read")
    if not allowed:
        raise RefusedError(error(22))


def _list(portal: Portal, call: Call, model: Model, caller: Caller, parameters: Parameters) -> Response:
    everything = list(portal.tables[call.module, call.model].values())
    found = everything
    for name, value in parameters.pairs:
        if (match := _FILTER.fullmatch(name)) is not None:
            matches = _filter(model, match[1], value)
            found = [record for record in found if matches(record)]
    if search := (parameters.get("search") or "").casefold():
        found = [
            record
            for record in found
            if any(search in str(record.get(name) or "").casefold() for name in model.searched)
        ]
    # The first criterion counts most, so it sorts last; sorting is stable.
    for direction, name in reversed(_orders(model, parameters)):
        found = sorted(found, key=_sort_key(name), reverse=direction == "desc")
    page = _positive(parameters, "page", 1)
    form = portal.variants["page"]
    most = MAX_LIMITS[form]
    limit = min(_positive(parameters, "count" if form == "count" else "limit", min(DEFAULT_LIMIT, most)), most)
    items = found[(page - 1) * limit : page * limit]
    wanted = _wanted_fields(parameters)
    if wanted:
        items = [{name: record[name] for name in record if name in wanted} for record in items]
    return json_response(
        {
            "response": {
                "total": len(everything),
                "total_result": len(found),
                "page": page,
                "count": len(items),
                "items": items,
            }
        }
    )


def _get(portal: Portal, call: Call, model: Model, caller: Caller, parameters: Parameters) -> Response:
    number = int(caller.user.id) if _is_own_profile(call) and caller.user is not None else call.id
    record = _record(portal, call, number)
    wanted = _wanted_fields(parameters)
    shown = {name: record[name] for name in record if not wanted or name in wanted or name == "id"}
    if call.module == "core" and portal.variants["user_id"] == "number":
        shown["id"] = int(shown["id"])
    return json_response({"response": shown})


def _create(portal: Portal, call: Call, model: Model, caller: Caller, parameters: Parameters) -> Response:
    if call.id is not None:
        return error(12, "create takes no id")
    values = _values(model, parameters, required=model.required)
    key = (call.module, call.model)
    number = portal.next_ids[key]
    portal.next_ids[key] += 1
    blank: Record = {name: "" if kind == "text" else 0 for name, kind in model.fields.items()}
    portal.tables[key][number] = {**blank, **values, "id": number}
    # Little more than the id: connectors read the record again.
    return json_response({"response": {"id": number, "_resultMessage": "Saved"}})


def _update(portal: Portal, call: Call, model: Model, caller: Caller, parameters: Parameters) -> Response:
    record = _record(portal, call, call.id)
    values = _values(model, parameters, required=())
    if call.module == "core":
        # Nobody makes themselves an administrator by an update.
        values.pop("role_admin", None)
        values.pop("role_login", None)
    record.update(values)
    return json_response({"response": {**record, "_resultMessage": "Saved"}})


def _delete(portal: Portal, call: Call, model: Model, caller: Caller, parameters: Parameters) -> Response:
    record = _record(portal, call, call.id)
    del portal.tables[call.module, call.model][int(record["id"])]
    return json_response({"response": {"id": record["id"]}})


_ACTIONS: dict[str, Callable[[Portal, Call, Model, Caller, Parameters], Response]] = {
    "list": _list,
    "get": _get,
    "create": _create,
    "update": _update,
    "delete": _delete,
}


def _record(portal: Portal, call: Call, number: int | None) -> Record:
    if number is None:
        raise RefusedError(error(12, f"{call.action} needs an id"))
    record = portal.tables[call.module, call.model].get(number)
    if record is None:
        raise RefusedError(error(20))
    return record


def _values(model: Model, parameters: Parameters, *, required: tuple[str, ...]) -> Record:
    """Read the fields that the model knows; what it does not know is ignored."""
    values: Record = {}
    wrong: dict[str, str] = {}
    for name, text in parameters.pairs:
        kind = model.fields.get(name)
        if kind is None or name == "id":
            continue
        try:
            if kind in ("int", "bool"):
                values[name] = int(text or 0)
                if kind == "bool" and values[name] not in (0, 1):
                    raise ValueError(text)
            elif kind == "money":
                if (amount := _number(text)) is None:
                    raise ValueError(text)
                values[name] = f"{amount:.2f}"
            else:
                values[name] = text
        except ValueError:
            wrong[name] = "This value is not valid"
    for name in required:
        if values.get(name) in (None, "", 0):
            wrong.setdefault(name, "This field is required")
    if wrong:
        named = model.validation == "named"
        raise RefusedError(validation(wrong) if named else error(21, details=wrong))
    return values


def _wanted_fields(parameters: Parameters) -> frozenset[str]:
    names: set[str] = set()
    for name, value in parameters.pairs:
        if name in ("fields", "fields[]"):
            names.update(part.strip() for part in value.split(",") if part.strip())
    return frozenset(names)


def _positive(parameters: Parameters, name: str, default: int) -> int:
    text = parameters.get(name)
    if text is None or text == "":
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise RefusedError(error(12, f"{name} must be a positive number"))
    return int(text)


def _filter(model: Model, name: str, value: str) -> Callable[[Record], bool]:
    if name not in model.fields:
        raise RefusedError(error(12, f"There is no field {name} to filter by"))
    if value.startswith("{"):
        try:
            condition = json.loads(value)
            kind, bound = condition["type"], str(condition["value"])
            compare = _COMPARISONS[kind]
        except (ValueError, KeyError, TypeError):
            raise RefusedError(error(12, f"The filter on {name} is not understood")) from None
        return lambda record: compare(_comparable(record.get(name), bound))
    choices = {part.strip() for part in value.split(",")}
    return lambda record: _as_text(record.get(name)) in choices


_COMPARISONS: dict[str, Callable[[int], bool]] = {
    "more": lambda sign: sign > 0,
    "less": lambda sign: sign < 0,
    "equal": lambda sign: sign == 0,
    "not_equal": lambda sign: sign != 0,
}


def _comparable(value: Any, bound: str) -> int:
    """Compare as numbers where both are, else as text, which is right for dates."""
    text = _as_text(value)
    left, right = _number(text), _number(bound)
    if left is None or right is None:
        return int(text > bound) - int(text < bound)
    return int(left > right) - int(left < right)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _orders(model: Model, parameters: Parameters) -> list[tuple[str, str]]:
    orders = [(match[1], value) for name, value in parameters.pairs if (match := _ORDER.fullmatch(name)) is not None]
    for _, name in orders:
        if name not in model.fields:
            raise RefusedError(error(12, f"There is no field {name} to order by"))
    return orders


def _sort_key(name: str) -> Callable[[Record], tuple[bool, bool, Any]]:
    def key(record: Record) -> tuple[bool, bool, Any]:
        value = record.get(name)
        # Empty ones last, numbers before text: values of different types do not compare.
        if isinstance(value, str):
            number = _number(value)
            return (False, False, number) if number is not None else (False, True, value.casefold())
        return (value is None, False, 0 if value is None else value)

    return key


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
