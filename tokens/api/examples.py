"""Examples and shared parts of the OpenAPI document."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from tokens.api.serializers import OutputError

_WHEN = {
    400: "`invalid_request`: `fields` names what is wrong",
    401: "`invalid_session`, `invalid_token`, `token_stale` or `token_revoked`",
    403: (
        "`origin_not_allowed`, `insufficient_scope` (with `required_scope`), `installation_suspended`, "
        "`installation_locked`, `user_locked`, `portal_not_allowed`, `application_unknown` or `flowlu_denied`"
    ),
    404: "`not_found`: Flowlu knows no such record, model or method",
    405: "`method_not_allowed`: a write needs POST",
    409: "`user_mismatch`: the token belongs to another user",
    413: "`request_too_large`",
    422: "`flowlu_invalid`: Flowlu refused the values; `fields` names them",
    429: "`rate_limited`: wait for `Retry-After` seconds",
    502: "`flowlu_error`: Flowlu failed or answered something that cannot be used",
    503: "`flowlu_unavailable`: the portal cannot be reached",
    504: "`flowlu_timeout`: the portal took too long",
}
_SAMPLE = {
    401: {"error": "token_stale", "error_description": "Refresh the token through the SDK and hand it over."},
    403: {
        "error": "insufficient_scope",
        "error_description": "The application has not been approved for this call.",
        "required_scope": "crm.accounts.read",
    },
}


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """Return the OpenAPI responses for these error statuses."""
    return {
        number: OpenApiResponse(
            OutputError,
            description=_WHEN[number],
            examples=[OpenApiExample("Example", value=_SAMPLE[number])] if number in _SAMPLE else [],
        )
        for number in statuses
    }


OPEN_SESSION: list[Any] = [
    OpenApiExample(
        "What the JS SDK gives",
        request_only=True,
        value={
            "portal": "acme.flowlu.com",
            "app_id": "com.example.desk",
            "app_version": "1.0.0",
            "access_token": "the SDK's access_token",
            "expires_at": "2026-04-01 10:15:20",
            "language": "en",
        },
    ),
    OpenApiExample(
        "An open session",
        response_only=True,
        status_codes=["201"],
        value={
            "session_token": "43 characters, shown once",
            "expires_at": "2026-04-01T18:00:00Z",
            "user": {"id": "7", "name": "Ana Ruiz", "is_portal_admin": False},
            "portal": "acme.flowlu.com",
            "installation": {"id": "12", "status": "active"},
            "application": {
                "id": "com.example.desk",
                "name": "Desk",
                "stores_refresh_tokens": False,
                "refreshed_by": "frontend",
            },
            "permissions": {
                "approved": ["crm.accounts.read"],
                "described": [
                    {
                        "scope": "crm.accounts.read",
                        "code": "crm.accounts",
                        "level": "read",
                        "title": "CRM accounts",
                        "allows": "Read organisations and contacts",
                    }
                ],
            },
            "token": {"state": "active", "expires_at": "2026-04-01T10:15:20Z"},
        },
    ),
]
HAND_OVER: list[Any] = [
    OpenApiExample(
        "A refreshed pair",
        request_only=True,
        value={"access_token": "the new access_token", "expires_at": "2026-04-01 11:15:20"},
    )
]
PATH_PARAMETERS: list[Any] = [
    OpenApiParameter(
        "path",
        OpenApiTypes.STR,
        OpenApiParameter.PATH,
        description="`{module}/{model}/{action}` or `{module}/{model}/{action}/{id}`",
        examples=[OpenApiExample("CRM accounts", value="crm/account/list")],
    )
]
