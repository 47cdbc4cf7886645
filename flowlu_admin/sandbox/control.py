"""The control API under `/_sandbox/`: the verbs of SandboxState over HTTP, for tests and people."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from flowlu_admin.sandbox.book import SandboxError
from flowlu_admin.sandbox.http_types import Request, Response, json_response
from flowlu_admin.sandbox.state import FAULT_KINDS, SandboxState
from flowlu_admin.sandbox.variants import VARIANTS

_FAULT_OPTIONS = frozenset({"times", "path", "delay_seconds", "error_code", "size", "retry_after", "location"})
_SETTINGS = frozenset({"access_lifetime", "auth_failure", "scope_refusal", "rate_limit"})


def respond(state: SandboxState, request: Request) -> Response:
    """Carry out a control call; a wrong one gets a sentence that says what would be right."""
    name = request.path.removeprefix("/_sandbox/")
    verb = _VERBS.get((request.method, name))
    try:
        if verb is None:
            known = ", ".join(f"{method} /_sandbox/{path}" for method, path in _VERBS)
            raise SandboxError(f"There is no {request.method} {request.path}. There are: {known}.", 404)
        return verb(state, read_object(request) if request.method == "POST" else dict(request.query_pairs))
    except SandboxError as exc:
        return json_response({"error": exc.message}, exc.status)


def read_object(request: Request) -> dict[str, Any]:
    """Read a JSON object; no body at all is an empty one."""
    if not request.body:
        return {}
    try:
        parsed = json.loads(request.body)
    except (ValueError, RecursionError):
        raise SandboxError("The body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise SandboxError("The body is not a JSON object.")
    return parsed


def text(values: Mapping[str, Any], name: str) -> str:
    """Return a text that has to be there; a number is taken for its digits."""
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise SandboxError(f"{name} is missing, or is not text.")
    return value


def _options(values: Mapping[str, Any], allowed: frozenset[str], fixed: tuple[str, ...]) -> dict[str, Any]:
    unknown = sorted(set(values) - allowed - set(fixed))
    if unknown:
        allowed_text = ", ".join(sorted(allowed))
        raise SandboxError(f"There is no option {', '.join(unknown)}. There are: {allowed_text}.")
    return {name: values[name] for name in allowed if name in values}


def _health(state: SandboxState, values: Mapping[str, Any]) -> Response:
    return json_response({"ok": True})


def _portals(state: SandboxState, values: Mapping[str, Any]) -> Response:
    with state.lock:
        payload = {
            portal.domain: {
                "title": portal.seed.title,
                "users": [
                    {"id": user.id, "name": user.name, "role": user.role, "is_admin": user.is_admin}
                    for user in portal.seed.users
                ],
                "is_installed": portal.is_installed,
                "approved": list(state.approved_scopes(portal)),
                "settings": asdict(portal.settings),
                "faults": [asdict(fault) for fault in portal.faults],
                "live_tokens": state.live_pairs(portal.domain),
            }
            for portal in state.portals.values()
        }
    return json_response({"portals": payload, "app_id": state.app_id, "requested": list(state.requested_scopes)})


def _tokens(state: SandboxState, values: Mapping[str, Any]) -> Response:
    app_id = values.get("app_id")
    pair = state.issue_tokens(
        text(values, "portal"),
        text(values, "user_id"),
        app_id=None if app_id is None else text(values, "app_id"),
        expires_in=values.get("expires_in"),
    )
    return json_response(state.as_sdk(pair), 201)


def _expire(state: SandboxState, values: Mapping[str, Any]) -> Response:
    state.expire_token(text(values, "access_token"))
    return json_response({"ok": True})


def _refresh(state: SandboxState, values: Mapping[str, Any]) -> Response:
    return json_response(state.as_sdk(state.refresh(text(values, "refresh_token"))))


def _approved(state: SandboxState, values: Mapping[str, Any]) -> Response:
    if "scopes" not in values or not (values["scopes"] is None or isinstance(values["scopes"], list)):
        raise SandboxError("scopes is a list of scopes, or null for everything that the application asks for.")
    return json_response({"approved": list(state.approve(text(values, "portal"), values["scopes"]))})


def _settings(state: SandboxState, values: Mapping[str, Any]) -> Response:
    options = _options(values, _SETTINGS, ("portal",))
    return json_response(asdict(state.configure(text(values, "portal"), **options)))


def _add_fault(state: SandboxState, values: Mapping[str, Any]) -> Response:
    options = _options(values, _FAULT_OPTIONS, ("portal", "fault"))
    for name in ("path", "location"):
        if name in options:
            options[name] = text(options, name)
    if options.get("retry_after") is not None:
        options["retry_after"] = text(options, "retry_after")
    fault = state.add_fault(text(values, "portal"), text(values, "fault"), **options)
    return json_response(asdict(fault), 201)


def _faults(state: SandboxState, values: Mapping[str, Any]) -> Response:
    with state.lock:
        active = {portal.domain: [asdict(fault) for fault in portal.faults] for portal in state.portals.values()}
    return json_response({"kinds": FAULT_KINDS, "active": active})


def _clear_faults(state: SandboxState, values: Mapping[str, Any]) -> Response:
    state.clear_faults(values.get("portal"))
    return json_response({"ok": True})


def _choose(state: SandboxState, values: Mapping[str, Any]) -> Response:
    choices = {name: value for name, value in values.items() if name != "portal"}
    return json_response(state.choose(text(values, "portal"), choices))


def _variants(state: SandboxState, values: Mapping[str, Any]) -> Response:
    with state.lock:
        active = {portal.domain: portal.variants for portal in state.portals.values()}
        return json_response({"kinds": VARIANTS, "active": active})


def _clear_variants(state: SandboxState, values: Mapping[str, Any]) -> Response:
    state.clear_variants(values.get("portal"))
    return json_response({"ok": True})


def _requests(state: SandboxState, values: Mapping[str, Any]) -> Response:
    log = [asdict(entry) for entry in state.requests(values.get("portal"))]
    return json_response({"counters": state.counters(), "log": log})


def _clear_requests(state: SandboxState, values: Mapping[str, Any]) -> Response:
    state.clear_requests()
    return json_response({"ok": True})


def _remove(state: SandboxState, values: Mapping[str, Any]) -> Response:
    return json_response({"tokens_ended": state.remove_application(text(values, "portal"))})


def _install(state: SandboxState, values: Mapping[str, Any]) -> Response:
    state.install_application(text(values, "portal"))
    return json_response({"ok": True})


def _create_key(state: SandboxState, values: Mapping[str, Any]) -> Response:
    return json_response({"api_key": state.create_api_key(text(values, "portal"))}, 201)


def _delete_key(state: SandboxState, values: Mapping[str, Any]) -> Response:
    state.delete_api_key(text(values, "portal"), text(values, "api_key"))
    return json_response({"ok": True})


def _reset(state: SandboxState, values: Mapping[str, Any]) -> Response:
    state.reset()
    return json_response({"ok": True})


def _oauth(state: SandboxState, values: Mapping[str, Any]) -> Response:
    with state.lock:
        return json_response(state.oauth.summary())


def _oauth_fault(state: SandboxState, values: Mapping[str, Any]) -> Response:
    options = _options(values, frozenset({"endpoint", "times", "delay_seconds", "retry_after"}), ("fault",))
    with state.lock:
        return json_response(asdict(state.oauth.add_fault(text(values, "fault"), **options)), 201)


def _clear_oauth_faults(state: SandboxState, values: Mapping[str, Any]) -> Response:
    with state.lock:
        state.oauth.clear_faults()
    return json_response({"ok": True})


def _redirected(state: SandboxState, values: Mapping[str, Any]) -> Response:
    """Stand at the end of the redirect fault: whoever comes here followed it."""
    state.count("redirect_followed")
    return json_response({"response": {"total": 0, "total_result": 0, "page": 1, "count": 0, "items": []}})


_VERBS: dict[tuple[str, str], Callable[[SandboxState, Mapping[str, Any]], Response]] = {
    ("GET", "health"): _health,
    ("GET", "portals"): _portals,
    ("POST", "tokens"): _tokens,
    ("POST", "tokens/expire"): _expire,
    ("POST", "tokens/refresh"): _refresh,
    ("POST", "approved"): _approved,
    ("POST", "settings"): _settings,
    ("POST", "faults"): _add_fault,
    ("GET", "faults"): _faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "variants"): _choose,
    ("GET", "variants"): _variants,
    ("DELETE", "variants"): _clear_variants,
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _clear_requests,
    ("POST", "applications/remove"): _remove,
    ("POST", "applications/install"): _install,
    ("POST", "api-keys"): _create_key,
    ("POST", "api-keys/delete"): _delete_key,
    ("POST", "reset"): _reset,
    ("GET", "oauth"): _oauth,
    ("POST", "oauth/faults"): _oauth_fault,
    ("DELETE", "oauth/faults"): _clear_oauth_faults,
    ("GET", "redirected"): _redirected,
    ("POST", "redirected"): _redirected,
}
