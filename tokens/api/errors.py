"""Turn every refusal and failure into the documented body. The only place of the API where that happens."""

import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation, TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, status
from rest_framework.response import Response

from installations import request_ids
from installations.errors import DomainError, InvalidRequest, RequestTooLarge

logger = logging.getLogger(__name__)

_FAILED = "Something failed on our side. It was recorded; try again later."
_FRAMEWORK: dict[type[Exception], tuple[str, str]] = {
    exceptions.MethodNotAllowed: ("method_not_allowed", "This method is not allowed here."),
    exceptions.NotAcceptable: ("not_acceptable", "Answers are application/json only."),
    exceptions.UnsupportedMediaType: ("unsupported_media_type", "Send the body as application/json."),
    exceptions.NotFound: ("not_found", "There is nothing at this address."),
    Http404: ("not_found", "There is nothing at this address."),
}


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Return the answer for any exception of a view. Unknown ones become a 500 that says nothing about the inside."""
    if isinstance(exc, SuspiciousOperation | BadRequest):
        exc = _refusal_of(exc)
    if isinstance(exc, DomainError):
        return _domain(exc)
    if isinstance(exc, exceptions.ValidationError):
        fields = {name: _first(problem) for name, problem in _items(exc.detail)}
        body = error_body("invalid_request", "Some fields are missing or not as they should be.", fields=fields)
        return Response(body, status=status.HTTP_400_BAD_REQUEST)
    for kind, (code, text) in _FRAMEWORK.items():
        if isinstance(exc, kind):
            number = exc.status_code if isinstance(exc, exceptions.APIException) else 404
            return _domain_like(code, text, number)
    if isinstance(exc, exceptions.PermissionDenied | exceptions.NotAuthenticated):
        return _domain_like("access_denied", "This address is not open to you.", 403)
    logger.error("Unhandled error in the API", exc_info=exc)
    return _domain_like("server_error", _FAILED, 500)


@csrf_exempt  # the answer is the same for everybody, and asking for a form's token would read the body first
def not_found(request: HttpRequest) -> HttpResponse:
    """Return the JSON answer for an address below /api/ that does not exist."""
    return JsonResponse(error_body("not_found", "There is nothing at this address."), status=404)


def bad_request(request: HttpRequest) -> HttpResponse:
    """Return the JSON answer for a request below /api/ that Django gave up on before any view."""
    refusal = InvalidRequest()
    return JsonResponse(_body(refusal), status=refusal.status)


def server_error() -> HttpResponse:
    """Return the JSON answer where something failed outside of any view of an API."""
    return JsonResponse(error_body("server_error", _FAILED), status=500)


def error_body(code: str, text: str, **more: object) -> dict[str, object]:
    """Return the body of an error. Whoever reads it can name the request, and the log has what became of it."""
    return {"error": code, "error_description": text, **more, "request_id": request_ids.current()}


def _refusal_of(exc: SuspiciousOperation | BadRequest) -> DomainError:
    """Return our refusal for one of Django's own: they are the caller's fault, and no event that needs a log line."""
    if isinstance(exc, RequestDataTooBig):
        return RequestTooLarge()
    if isinstance(exc, TooManyFieldsSent):
        return InvalidRequest(fields={"parameters": f"must be at most {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS}"})
    return InvalidRequest()


def _body(exc: DomainError) -> dict[str, object]:
    # Plain text: YAML, in which the schema is answered, takes no kind of text but that.
    return error_body(exc.code, str(exc.public_message), **exc.response_fields())


def _domain(exc: DomainError) -> Response:
    headers = dict(exc.headers())
    if exc.status in (401, 403):
        headers["WWW-Authenticate"] = f'Session error="{exc.code}"'
    return Response(_body(exc), status=exc.status, headers=headers)


def _domain_like(code: str, text: str, number: int) -> Response:
    return Response(error_body(code, text), status=number)


def _items(detail: Any) -> list[tuple[str, Any]]:
    return list(detail.items()) if isinstance(detail, Mapping) else [("body", detail)]


def _first(problem: Any) -> str:
    while isinstance(problem, list | Mapping):
        problem = next(iter(problem.values() if isinstance(problem, Mapping) else problem), "is not valid")
    return str(problem)
