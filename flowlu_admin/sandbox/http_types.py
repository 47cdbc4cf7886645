"""A request as it was read and a response to be written: what the parts of the sandbox hand to each other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        """Give the parameters of the query string, in order."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def content_type(self) -> str:
        """Give the media type of the body without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response with its whole body."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON that nothing on the way may keep."""
    body = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
    return Response(status, body, headers={"Cache-Control": "no-store", **(headers or {})})
