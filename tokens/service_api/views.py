"""The service API: who calls, for which purpose and as whom stands in the headers."""

import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from installations.errors import DomainError, InvalidRequest
from installations.flowlu.calls import build_call_at, encode_json_body
from tokens import day_counts
from tokens.api.errors import error_body, exception_handler
from tokens.api.parsers import CALL_BYTES
from tokens.backend_access import ActAs, parse_act_as, parse_purpose
from tokens.backend_reads import Client
from tokens.models import DayCount, ServiceCall
from tokens.rates import take
from tokens.service_api.authentication import IsServiceClient, ServiceKeyAuthentication
from tokens.services import acting

logger = logging.getLogger(__name__)


@extend_schema(exclude=True)  # its callers are the vendor's own services: docs/service-api.md
class ServiceForwardView(APIView):
    """Forward one call to Flowlu for a declared purpose. One row is written, whatever comes of it."""

    authentication_classes = [ServiceKeyAuthentication]
    permission_classes = [IsServiceClient]
    http_method_names = ["get", "post"]
    metadata_class = None
    max_body_bytes = CALL_BYTES
    record: acting.Record | None = None  # a view is made anew for each request

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        client = request.user
        assert isinstance(client, Client)  # noqa: S101 - IsServiceClient let nobody else in; narrows the type
        # A call beyond the rate leaves no row: the rate is what bounds how many rows a client can make.
        take(settings.SERVICE_RATE, "service", str(client.id))
        self.record = acting.Record(client)

    def get(self, request: Request, path: str) -> Response:
        return self._forward(request, path, {})

    def post(self, request: Request, path: str) -> Response:
        return self._forward(request, path, dict(request.data))

    def _forward(self, request: Request, path: str, body: dict[str, Any]) -> Response:
        assert self.record is not None  # noqa: S101 - made in initial()
        purpose, act_as = _declared(request)
        query = [(name, value) for name, values in request.query_params.lists() for value in values]
        call = build_call_at(path, [*query, *encode_json_body(body)])
        return Response(acting.forward(self.record, act_as, purpose, call, http_method=request.method or ""))

    def get_exception_handler(self) -> Any:
        return _answer_to

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Write the call's row before anything goes out. What cannot be recorded is not handed out."""
        if self.record is not None:
            outcome = ServiceCall.OK
            if response.status_code >= 400:
                outcome = response.data["error"]
            try:
                self.record.write(outcome)
            except DatabaseError:
                logger.exception("A service call could not be recorded; its answer was withheld")
                text = (
                    "The call could not be recorded, so its answer is not handed out. Whether Flowlu acted is unknown."
                )
                response = Response(error_body("server_error", text), status=500)
        outcome = response.data["error"] if response.status_code >= 400 else day_counts.OK
        day_counts.note(DayCount.Subject.SERVICE_CALL, outcome)
        return super().finalize_response(request, response, *args, **kwargs)


def _declared(request: Request) -> tuple[str, ActAs]:
    """Return purpose and whom to act as; raises InvalidRequest naming both where both are wrong."""
    fields: dict[str, str] = {}
    purpose, act_as = "", None
    try:
        purpose = parse_purpose(request.headers.get("X-Purpose", ""))
    except InvalidRequest as error:
        fields |= error.fields
    try:
        act_as = parse_act_as(request.headers.get("X-Act-As", ""))
    except InvalidRequest as error:
        fields |= error.fields
    if act_as is None or fields:
        raise InvalidRequest(fields=fields)
    return purpose, act_as


def _answer_to(exc: Exception, context: Mapping[str, Any]) -> Response:
    response = exception_handler(exc, context)
    if isinstance(exc, DomainError) and exc.status in (401, 403):
        response.headers["WWW-Authenticate"] = f'Bearer error="{exc.code}"'
    return response
