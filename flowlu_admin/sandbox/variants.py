"""Where a portal may differ from what is assumed of Flowlu: of each open point the assumed form first, then others.

They are switched for one portal over HTTP, as faults are; a fault is something wrong, a variant only something else.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Final

from flowlu_admin.sandbox.http_types import Response

VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("bearer", "bare", "own_header"),  # how the access token is sent
    "body": ("either", "form", "json"),  # what a POST is read as
    "delete": ("get", "post"),
    "key": ("any", "get"),  # with which methods a read takes an API key
    "errors": ("documented", "own_codes", "statuses"),
    "user_id": ("text", "number"),
    "page": ("hundred", "twenty", "count"),  # how long a page may be, or another name for its length
    "retry": ("retry_after", "reset", "nothing"),  # what comes with a 429
    "expiry": ("utc", "moscow", "unix"),  # how the SDK writes when a token ends
    "clock": ("right", "slow"),
}
OWN_HEADER: Final = "x-access-token"
OWN_CODES: Final = 400  # so much is added to each documented one
MAX_LIMITS: Final = {"hundred": 100, "twenty": 20, "count": 100}
_SLOW: Final = timedelta(minutes=5)
_STATUSES: Final = {11: 401, 20: 404, 21: 422, 22: 403, 30: 404, 31: 404}


def assumed() -> dict[str, str]:
    """Return every open point in its assumed form."""
    return {name: choices[0] for name, choices in VARIANTS.items()}


def token_of(headers: Mapping[str, str], form: str) -> str | None:
    """Return the access token where the portal looks for it."""
    if form == "own_header":
        return headers.get(OWN_HEADER)
    scheme, space, token = headers.get("authorization", "").partition(" ")
    if form == "bare":
        return scheme if scheme and not space else None
    return token.strip() if scheme.lower() == "bearer" else None


def reworded(response: Response, form: str) -> Response:
    """Say an error with other codes, or with a status that fits it."""
    if form == "documented" or not response.body.startswith(b'{"error": {'):
        return response
    body = json.loads(response.body)
    code = body["error"]["error_code"]
    if form == "statuses":
        return replace(response, status=_STATUSES.get(code, 400) if response.status == 200 else response.status)
    body["error"]["error_code"] = code + OWN_CODES
    return replace(response, body=json.dumps(body).encode())


def retry_headers(seconds: str | None, form: str) -> dict[str, str]:
    """Say when to come again, or do not."""
    if seconds is None or form == "nothing":
        return {}
    return {"X-RateLimit-Reset" if form == "reset" else "Retry-After": seconds}


def date_header(form: str) -> str:
    """Say what time it is by the portal's clock."""
    return format_datetime(datetime.now(UTC) - (_SLOW if form == "slow" else timedelta()), usegmt=True)


def expiry_text(at: int, form: str) -> str:
    """Write when a token ends as the SDK does; nothing in the text says in which zone."""
    if form == "unix":
        return str(at)
    zone = timezone(timedelta(hours=3)) if form == "moscow" else UTC
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S")
