"""A running sandbox and a small HTTP client that has no opinion of its own: no retries, no redirects."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from flowlu_admin.sandbox.server import SandboxServer

APP_ID = "com.example.desk"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error_code(self) -> int:
        return int(self.json["error"]["error_code"])


class Client:
    """Speaks to one sandbox, with a new connection for each request."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.timeout = 5.0

    def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.sandbox.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, {"Host": f"localhost:{self.sandbox.port}", **dict(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def control(self, method: str, path: str, payload: Any = None) -> Answer:
        body = None if payload is None else json.dumps(payload).encode()
        return self.request(method, f"/_sandbox/{path}", body=body)

    def call(
        self,
        path: str,
        token: str | None = None,
        *,
        portal: str = "acme.flowlu.com",
        query: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a REST call: a GET, or a POST when there is a form."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"/{portal}/api/v1/module/{path}" + (f"?{urlencode(query)}" if query else "")
        if form is None:
            return self.request("GET", url, headers=headers)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self.request("POST", url, body=urlencode(form).encode(), headers=headers)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(app_id=APP_ID) as running:
        yield running


@pytest.fixture
def client(sandbox: SandboxServer) -> Client:
    return Client(sandbox)


@pytest.fixture
def token(sandbox: SandboxServer) -> str:
    """The access token of acme's portal administrator."""
    return sandbox.state.issue_tokens("acme", "1").access_token


@pytest.fixture
def sales_token(sandbox: SandboxServer) -> str:
    """The access token of acme's sales person: CRM and tasks."""
    return sandbox.state.issue_tokens("acme", "2").access_token
