"""Read request bodies: strict JSON up to a size, nothing else."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from installations.errors import InvalidRequest, RequestTooLarge
from installations.strict_json import StrictJSONError, loads

HANDSHAKE_BYTES = 64 * 1024
CALL_BYTES = 1024 * 1024
# More than any call may send on as parameters; reading on would only cost time.
MAX_VALUES = 5000


class StrictJSONParser(BaseParser):
    """Parse one JSON object. A view may set `max_body_bytes`.

    Raises RequestTooLarge, and InvalidRequest with the place of the mistake.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        view = (parser_context or {}).get("view")
        limit: int = getattr(view, "max_body_bytes", CALL_BYTES)
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestTooLarge(f"The body may have at most {limit // 1024} KiB.")
        try:
            value = loads(body, max_bytes=limit, max_values=MAX_VALUES)
        except StrictJSONError as error:
            raise InvalidRequest("The body is not valid JSON.", fields={"body": str(error)}) from None
        if not isinstance(value, dict):
            raise InvalidRequest("The body must be a JSON object.", fields={"body": "must be an object"})
        return value
