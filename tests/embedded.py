"""A frontend as the API sees one: it holds a pair from the (sandbox) SDK and a session token, and nothing else."""

from typing import Any

from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer


class Frontend:
    """One page, opened by one user of one portal."""

    def __init__(self, api: APIClient, sandbox: SandboxServer, portal: str, user_id: str | None = None) -> None:
        self.api = api
        self.sandbox = sandbox
        self.portal = portal
        self.user_id = user_id or "2"  # the sales person of each portal
        self.session_token = ""
        self.pair = sandbox.state.issue_tokens(portal, self.user_id)

    @property
    def access_token(self) -> str:
        return self.pair.access_token

    def launch_values(self) -> dict[str, Any]:
        return {
            "portal": self.portal,
            "app_id": "com.example.desk",
            "app_version": "1.0.0",
            "access_token": self.pair.access_token,
            "expires_at": self.pair.expires_at_text,
        }

    def handshake(self, **changes: Any) -> Any:
        body = self.launch_values() | changes
        response = self.api.post("/api/v1/session", body, format="json")
        if response.status_code == 201:
            self.session_token = response.json()["session_token"]
        return response

    def open(self) -> "Frontend":
        response = self.handshake()
        assert response.status_code == 201, response.content
        return self

    def get(self, path: str, **query: Any) -> Any:
        return self.api.get(f"/api/v1/{path}", query, headers=self.headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.api.post(f"/api/v1/{path}", body or {}, format="json", headers=self.headers)

    def put(self, path: str, body: Any) -> Any:
        return self.api.put(f"/api/v1/{path}", body, format="json", headers=self.headers)

    def delete(self, path: str) -> Any:
        return self.api.delete(f"/api/v1/{path}", headers=self.headers)

    def accounts(self) -> Any:
        return self.get("flowlu/crm/account/list")

    def refresh(self) -> None:
        """Refresh through the SDK: the old access token dies at the portal."""
        self.pair = self.sandbox.state.refresh(self.pair.refresh_token)

    def hand_over(self) -> Any:
        return self.put(
            "session/token", {"access_token": self.pair.access_token, "expires_at": self.pair.expires_at_text}
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Session-Token": self.session_token}
