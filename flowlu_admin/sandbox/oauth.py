"""The token endpoint (RFC 6749 §6) and the revocation endpoint (RFC 7009) that Flowlu does not document.

Refresh tokens are used once: a second use kills the family. Bodies are never logged.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote_plus

from flowlu_admin.sandbox.book import OAuthFault, SandboxError
from flowlu_admin.sandbox.faults import UPSTREAM_TEXT
from flowlu_admin.sandbox.http_types import Request, Response, json_response
from flowlu_admin.sandbox.state import Pair, SandboxState

PATHS: Mapping[str, str] = {"/oauth/token": "token", "/oauth/revoke": "revoke"}
_STATUSES = {f"status_{status}": status for status in (429, 500, 502, 503, 504)}


class Connection(Protocol):
    """What a fault may do with the connection."""

    def send(self, response: Response) -> None: ...
    def wait(self, seconds: float, fault: Any) -> None: ...
    def close(self) -> None: ...
    def reset(self) -> None: ...


def respond(state: SandboxState, connection: Connection, request: Request) -> None:
    """Answer a request to one of the endpoints, with the fault that is switched on for it."""
    endpoint = PATHS[request.path]
    with state.lock:
        fault = state.oauth.take_fault(endpoint)
    kind = fault.kind if fault else ""
    if fault and kind == "delay_before":
        connection.wait(fault.delay_seconds, fault)
    if kind == "reset_before":
        state.count(f"oauth:{endpoint}:0")
        connection.reset()
        return
    response = _refusal(kind, fault) or _answer(state, endpoint, request, kind)
    state.count(f"oauth:{endpoint}:{response.status}")
    if fault and kind == "delay_after":
        connection.wait(fault.delay_seconds, fault)
    if kind == "reset_after":
        connection.reset()
    elif kind == "close_after":
        connection.send(replace(response, headers={**response.headers, "Connection": "close"}, body=b""))
        connection.close()
    else:
        connection.send(response)


def _refusal(kind: str, fault: OAuthFault | None) -> Response | None:
    """Return what a fault answers before anything is redeemed or revoked."""
    if fault is None:
        return None
    if kind in _STATUSES:
        status = _STATUSES[kind]
        headers = {"Retry-After": fault.retry_after} if status in (429, 503) and fault.retry_after else None
        return json_response({"error": "temporarily_unavailable", "error_descrption": UPSTREAM_TEXT}, status, headers)
    if kind == "redirect":
        return Response(302, b"", headers={"Location": "/_sandbox/redirected"})
    if kind == "invalid_client":
        return error(kind, 401)
    return error(kind) if kind in ("invalid_grant", "unsupported_token_type") else None


def error(code: str, status: int = 400) -> Response:
    """Answer with an error of RFC 6749 §5.2; the member is misspelt as in Flowlu's own documentation."""
    headers = {"WWW-Authenticate": "Basic"} if status == 401 else None
    return json_response({"error": code, "error_descrption": UPSTREAM_TEXT}, status, headers)


def _answer(state: SandboxState, endpoint: str, request: Request, kind: str) -> Response:
    if request.method != "POST":
        return json_response({"error": "invalid_request"}, 405, {"Allow": "POST"})
    try:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    except ValueError:
        return error("invalid_request")
    if request.content_type != "application/x-www-form-urlencoded" or not _is_client(state, request, form):
        return error("invalid_client", 401)
    return _ENDPOINTS[endpoint](state, form, kind)


def _is_client(state: SandboxState, request: Request, form: Mapping[str, str]) -> bool:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        given = unquote_plus(name), unquote_plus(secret)
    else:
        given = form.get("client_id", ""), form.get("client_secret", "")
    return given[0] == state.oauth.client_id and hmac.compare_digest(
        given[1].encode(), state.oauth.client_secret.encode()
    )


def _token(state: SandboxState, form: Mapping[str, str], kind: str) -> Response:
    if form.get("grant_type") != "refresh_token":
        return error("unsupported_grant_type")
    refresh_token = form.get("refresh_token", "")
    if not refresh_token:
        return error("invalid_request")
    try:
        keeps = kind == "no_refresh_token"
        pair = state.renew_access(refresh_token) if keeps else state.refresh(refresh_token)
    except SandboxError:
        return error("invalid_grant")
    if kind == "wrong_user":
        pair = _of_another(state, pair)
    lifetime = state.portals[pair.portal].settings.access_lifetime
    body: dict[str, Any] = {
        "access_token": pair.access_token,
        "token_type": "mac" if kind == "wrong_token_type" else "bearer",
        "expires_in": lifetime,
        "refresh_token": pair.refresh_token,
    }
    if kind == "no_expires_in":
        del body["expires_in"]
    if keeps:
        del body["refresh_token"]
    if kind == "oversized":
        body["filler"] = "x" * 1024 * 1024
    response = json_response(body)
    if kind == "malformed":
        return replace(response, body=response.body[: len(response.body) // 2])
    if kind == "html":
        return Response(200, f"<!doctype html><p>{UPSTREAM_TEXT}".encode(), "text/html; charset=utf-8")
    return response


def _of_another(state: SandboxState, pair: Pair) -> Pair:
    other = next(user for user in state.portals[pair.portal].users if user != pair.user_id)
    return state.issue_tokens(pair.portal, other, app_id=pair.app_id)


def _revoke(state: SandboxState, form: Mapping[str, str], kind: str) -> Response:
    if not form.get("token"):
        return error("invalid_request")
    found = state.withdraw(form["token"])  # an unknown one is success as well (RFC 7009 §2.2)
    state.count("oauth:revoked" if found else "oauth:unknown")
    state.count(f"oauth:hint:{'refresh' if form.get('token_type_hint') == 'refresh_token' else 'access'}")
    return Response(200, b"")


_ENDPOINTS: Mapping[str, Callable[[SandboxState, Mapping[str, str], str], Response]] = {
    "token": _token,
    "revoke": _revoke,
}
