"""The current-user API: parse, call one verb or selector, shape the answer.

After the handshake nothing in a request chooses whom a call acts as: the session decides, and the session's holder is
who the token that it presented belongs to (design rule 2).
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from installations import request_ids
from installations.errors import DomainError, InsufficientScope, InvalidRequest, TokenRevoked, TokenStale
from installations.flowlu.calls import FlowluCall, build_call, build_call_at, encode_json_body
from installations.flowlu.configured import flowlu_client
from installations.portals import normalise_portal
from installations.scopes import Scope
from tokens import day_counts, refusals, selectors, usage, vault
from tokens.access import Caller, check_allowed, check_call, check_fresh, check_origin, check_scope, check_usable
from tokens.api import examples
from tokens.api.authentication import SessionTokenAuthentication
from tokens.api.origins import foreign_origin
from tokens.api.parsers import CALL_BYTES, HANDSHAKE_BYTES
from tokens.api.permissions import AllowAnybody, HasSession
from tokens.api.presenters import present_permissions, present_session
from tokens.api.serializers import (
    InputPair,
    InputQuestion,
    InputSession,
    OutputNewSession,
    OutputPermissions,
    OutputSession,
)
from tokens.api.throttling import limit_address, limit_calls, limit_handshake
from tokens.errors import UnsealFailed
from tokens.models import DayCount
from tokens.services import revocation, sessions
from tokens.services.freshness import caller_after_refusal, fresh_caller
from tokens.services.sessions import Launch
from tokens.services.storing import Pair
from tokens.usage import Use
from tokens.waiting import give_back_connection


class SessionAPIView(APIView):
    """Base of everything that the holder of a session calls."""

    authentication_classes = [SessionTokenAuthentication]
    permission_classes = [HasSession]
    metadata_class = None
    max_body_bytes = CALL_BYTES

    def counted_as(self) -> DayCount.Subject | None:
        """Return what a request is counted as in the charts; None: it is not."""
        return None

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        subject = self.counted_as()
        if subject is not None:
            day_counts.note(subject, response.data["error"] if response.status_code >= 400 else day_counts.OK)
        return super().finalize_response(request, response, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, TokenRevoked) and isinstance(self.request.user, Caller):
            refusals.note_refusal(self.request.user)
        return super().handle_exception(exc)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if isinstance(request.user, Caller):
            limit_calls(request.user.session_id)


class SessionView(SessionAPIView):
    """Open, look at and end the current session."""

    max_body_bytes = HANDSHAKE_BYTES

    def get_authenticators(self) -> list[Any]:
        # The one call that needs no session: it makes one.
        return [] if self._is_handshake() else super().get_authenticators()

    def get_permissions(self) -> Sequence[Any]:
        return [AllowAnybody()] if self._is_handshake() else super().get_permissions()

    def counted_as(self) -> DayCount.Subject | None:
        return DayCount.Subject.HANDSHAKE if self._is_handshake() else None

    def _is_handshake(self) -> bool:
        # The schema generator makes views without a request and sets the action's method on a stand-in.
        request: HttpRequest | None = getattr(self, "request", None)
        return request is not None and request.method == "POST"

    @extend_schema(
        operation_id="open_session",
        summary="Open a session for the holder of an access token",
        request=InputSession,
        responses={201: OutputNewSession, **examples.errors(400, 401, 403, 413, 429, 502, 503, 504)},
        examples=examples.OPEN_SESSION,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        address = request.META.get("REMOTE_ADDR", "")
        limit_address(address)
        given = InputSession(data=request.data)
        # Before anything is looked at closer: the limit is what stands between a guesser and Flowlu.
        limit_handshake(address, _rate_portal(request.data))
        given.is_valid(raise_exception=True)
        data = given.validated_data
        opened = sessions.open_session(
            launch=Launch(
                portal=data["portal"],
                app_id=data["app_id"],
                app_version=data.get("app_version") or "",
                integration_point=data.get("integration_point") or "",
                origin=foreign_origin(request),
            ),
            pair=_pair(data),
        )
        caller = selectors.caller_of(opened.session_token)
        if caller is None:  # ended in the same instant by somebody else
            raise TokenStale
        request_ids.note_installation(caller.installation_id)
        body = {"session_token": opened.session_token, **present_session(selectors.session_of(caller), caller)}
        return Response(OutputNewSession(body).data, status=201)

    @extend_schema(
        operation_id="get_session",
        summary="Who this session acts for and what is approved",
        responses={200: OutputSession, **examples.errors(401, 403, 429)},
    )
    def get(self, request: Request) -> Response:
        caller = _caller(request)
        return Response(OutputSession(present_session(selectors.session_of(caller), caller)).data)

    @extend_schema(
        operation_id="end_session",
        summary="End this session",
        responses={204: None, **examples.errors(401, 403, 429)},
    )
    def delete(self, request: Request) -> Response:
        sessions.end_session(caller=_caller(request))
        return Response(status=204)


class SessionTokenView(SessionAPIView):
    """Hand over a refreshed pair, or revoke what is stored."""

    max_body_bytes = HANDSHAKE_BYTES

    @extend_schema(
        operation_id="hand_over_token",
        summary="Hand over the pair that the SDK just refreshed",
        request=InputPair,
        responses={204: None, **examples.errors(400, 401, 403, 409, 413, 429, 502, 503, 504)},
        examples=examples.HAND_OVER,
    )
    def put(self, request: Request) -> Response:
        given = InputPair(data=request.data)
        given.is_valid(raise_exception=True)
        sessions.hand_over_token(caller=_caller(request), pair=_pair(given.validated_data))
        return Response(status=204)

    @extend_schema(
        operation_id="revoke_own_token",
        summary="Revoke the token that this session stored",
        responses={204: None, **examples.errors(401, 403, 429)},
    )
    def delete(self, request: Request) -> Response:
        revocation.revoke_own_token(caller=_caller(request))
        return Response(status=204)


class PermissionsView(SessionAPIView):
    """What is approved, and whether a call would be allowed."""

    @extend_schema(
        operation_id="get_permissions",
        summary="Approved scopes, and whether a call would be allowed",
        parameters=[
            OpenApiParameter(name, OpenApiTypes.STR, description="Part of the call to ask about")
            for name in ("module", "model", "action", "id")
        ],
        responses={200: OutputPermissions, **examples.errors(400, 401, 403, 429)},
    )
    def get(self, request: Request) -> Response:
        caller = _caller(request)
        body = present_permissions(caller)
        if any(name in request.query_params for name in ("module", "model", "action", "id")):
            question = InputQuestion(data=request.query_params.dict())
            question.is_valid(raise_exception=True)
            asked = question.validated_data
            call = build_call(asked["module"], asked["model"], asked["action"], asked.get("id"))
            body |= _answer(caller, call)
        return Response(OutputPermissions(body).data)


class ForwardView(SessionAPIView):
    """Forward one call to Flowlu as the current user."""

    http_method_names = ["get", "post"]

    def counted_as(self) -> DayCount.Subject | None:
        return DayCount.Subject.CALL

    @extend_schema(
        operation_id="forward_read",
        summary="Call Flowlu as the current user (reads)",
        parameters=examples.PATH_PARAMETERS,
        responses={
            200: OpenApiTypes.ANY,
            **examples.errors(400, 401, 403, 404, 405, 422, 429, 502, 503, 504),
        },
    )
    def get(self, request: Request, path: str) -> Response:
        return self._forward(request, path, [])

    @extend_schema(
        operation_id="forward",
        summary="Call Flowlu as the current user (reads and writes)",
        parameters=examples.PATH_PARAMETERS,
        request=OpenApiTypes.OBJECT,
        responses={
            200: OpenApiTypes.ANY,
            **examples.errors(400, 401, 403, 404, 413, 422, 429, 502, 503, 504),
        },
    )
    def post(self, request: Request, path: str) -> Response:
        return self._forward(request, path, encode_json_body(dict(request.data)))

    def _forward(self, request: Request, path: str, body: list[tuple[str, str]]) -> Response:
        caller = _caller(request)
        if "Authorization" in request.headers:
            raise InvalidRequest(fields={"Authorization": "is not taken: the session says who is calling"})
        query = [(name, value) for name, values in request.query_params.lists() for value in values]
        call = build_call_at(path, [*query, *body])
        scope = check_allowed(caller, call.scope_call, caller.catalogue, http_method=request.method or "")
        ready = fresh_caller(caller)
        if ready is caller:
            check_fresh(ready)
        else:  # read anew while a refresh took its time, so asked anew
            scope = self._check_anew(request, ready, call)
        try:
            return self._send(ready, call, scope)
        except TokenStale:
            again = caller_after_refusal(ready)
            if again is None:
                raise
        # Refused for its token, so it was not carried out: once more with the fresh one, and no third time.
        return self._send(again, call, self._check_anew(request, again, call))

    def _check_anew(self, request: Request, caller: Caller, call: FlowluCall) -> Scope:
        check_origin(caller.allowed_origins, foreign_origin(request))
        return check_call(caller, call.scope_call, caller.catalogue, http_method=request.method or "")

    def _send(self, caller: Caller, call: FlowluCall, scope: Scope) -> Response:
        access_token = self._unseal(caller)
        use = Use(caller.installation_id, caller.portal_user_id, "", scope.code, call.scope_call.level)
        try:
            with usage.counted(use, expires_at=caller.token_expires_at):
                give_back_connection()
                return Response(flowlu_client().call(caller.portal, call, access_token).response)
        except TokenStale:
            sessions.note_stale_token(token_id=caller.token_id, generation=caller.token_generation)
            raise

    def _unseal(self, caller: Caller) -> str:
        try:
            return vault.unseal_access_token(caller.token_uuid, caller.sealed_access_token or b"")
        except UnsealFailed as error:
            sessions.note_undecryptable_token(caller=caller, reason=error.reason, key_id=error.key_id)
            raise TokenStale from None


def _caller(request: Request) -> Caller:
    assert isinstance(request.user, Caller)  # noqa: S101  (HasSession let nobody else in; narrows the type)
    return request.user


def _pair(data: dict[str, Any]) -> Pair:
    return Pair(data["access_token"], data.get("refresh_token"), data.get("expires_at"))


def _rate_portal(data: Any) -> str:
    """Return the portal for the rate limit's key: what cannot be one shares a single count."""
    portal = data.get("portal") if isinstance(data, dict) else None
    try:
        return normalise_portal(portal, settings.FLOWLU_PORTAL_SUFFIXES) if isinstance(portal, str) else ""
    except DomainError:
        return ""


def _answer(caller: Caller, call: FlowluCall) -> dict[str, Any]:
    """Return whether the call would be let through, by the same checks as the call itself.

    A stale token does not count as a refusal: the call would be made right after a refresh.
    """
    try:
        check_usable(caller)
        scope = check_scope(caller, call.scope_call, caller.catalogue)
    except InsufficientScope as refusal:
        return {
            "allowed": False,
            "scope": None,
            "error": refusal.code,
            "required_scope": refusal.required_scope,
        }
    except DomainError as refusal:
        return {"allowed": False, "scope": None, "error": refusal.code, "required_scope": None}
    return {"allowed": True, "scope": str(scope), "error": None, "required_scope": None}
