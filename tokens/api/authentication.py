"""Who calls: the session token in X-Session-Token and nothing else. Cookies and Authorization are not looked at."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from installations import request_ids
from installations.errors import InvalidSession
from tokens import activity, selectors
from tokens.access import Caller, check_origin
from tokens.api.origins import foreign_origin

HEADER = "X-Session-Token"
# `secrets.token_urlsafe(32)` has 43 characters; whatever is longer is not ours and need not be hashed.
_LONGEST = 100


class SessionTokenAuthentication(BaseAuthentication):
    """Make the open session's holder `request.user`; raises InvalidSession for everybody else, and
    OriginNotAllowed when their page is on an origin that the application does not allow."""

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        session_token = request.headers.get(HEADER, "")
        caller = selectors.caller_of(session_token) if 0 < len(session_token) <= _LONGEST else None
        if caller is None:
            raise InvalidSession
        request_ids.note_installation(caller.installation_id)
        # Before anything else is done for it: a page that may not call does not keep a session alive either.
        check_origin(caller.allowed_origins, foreign_origin(request))
        activity.note_use(caller)
        return caller, None


class SessionTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its base is not typed
    """How OpenAPI names it."""

    target_class = SessionTokenAuthentication
    name = "sessionToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": HEADER,
            "description": "From `POST /api/v1/session`. Keep it in memory only.",
        }
