"""A frontend whose every answer is looked at for canaries, and the rows that hold those of backend code."""

import secrets
from typing import Any

from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Installation
from tests import factories
from tests.canary import Canaries
from tests.embedded import Frontend
from tokens.models import OAuthToken, RefreshAttempt

# Secrets of backend code, which no page ever holds.
BACKEND = ("client secret", "API key", "service key")


class Page(Frontend):
    """A frontend whose every answer is looked at."""

    def __init__(self, canaries: Canaries, sandbox: SandboxServer, user_id: str = "2") -> None:
        super().__init__(APIClient(raise_request_exception=False), sandbox, "acme.flowlu.com", user_id)
        self.canaries = canaries
        self.know()

    def know(self) -> None:
        number = len(self.canaries.secrets)
        self.canaries.add(f"access token {number}", self.pair.access_token)
        self.canaries.add(f"refresh token {number}", self.pair.refresh_token)

    def refresh(self) -> None:
        super().refresh()
        self.know()

    def open_it(self) -> "Page":
        response = self.handshake(refresh_token=self.pair.refresh_token)
        assert response.status_code == 201, response.content
        name = self.canaries.add(f"session token {len(self.canaries.secrets)}", self.session_token)
        assert response.content.decode().count(name) == 1
        self.see("the handshake", response, but=(next(k for k, v in self.canaries.secrets.items() if v == name),))
        return self

    def see(self, where: str, response: Any, *, but: tuple[str, ...] = ()) -> int:
        status: int = self.canaries.look_at_response(where, response, but=but).status_code
        return status

    def go_everywhere(self) -> list[int]:
        """Ask every route, with the secrets as every value that a mistake would repeat.

        Not as names of parameters or JSON members: an error says which one was wrong, to whoever sent it.
        """
        mine = (self.pair.access_token, self.pair.refresh_token, self.session_token)
        found = []
        for secret in (*mine, *(self.canaries.secrets[name] for name in BACKEND)):
            pair = {"access_token": secret, "refresh_token": secret, "expires_at": secret}
            found += [
                self.see("session", self.get("session", q=secret)),
                self.see("permissions", self.get("permissions", module=secret, model=secret, action=secret, id=secret)),
                self.see("permissions", self.get("permissions", module="crm", model="account", action="list")),
                self.see("a call", self.get("flowlu/crm/account/list", search=secret, **{"filter[x]": secret})),
                self.see("a refused call", self.get("flowlu/crm/account/list", api_key=secret)),
                self.see("a write", self.post("flowlu/crm/account/delete/999999", {"name": secret})),
                self.see("a path", self.get(f"flowlu/{secret}/x/list")),
                self.see("a path", self.get(f"flowlu/crm/account/get/{secret}")),
                self.see("a path", self.api.get(f"/api/v1/{secret}", headers=self.headers)),
                self.see("a hand-over", self.put("session/token", pair)),
                self.see("a hand-over", self.put("session/token", {"access_token": f"{secret}\n"})),
                self.see("a hand-over", self.put("session/token", {"access_token": [secret]})),
                self.see("a handshake", self.handshake(access_token=f"{secret} ")),
                self.see("a handshake", self.handshake(portal=secret)),
                self.see("a handshake", self.handshake(app_id=[secret])),
                self.see("a handshake", self.handshake(expires_at=secret)),
                self.see("a handshake", self.handshake(access_token=f"{secret}x")),
            ]
            for body in (
                f'{{"access_token": "{secret}"',
                f'{{"a": "{secret}", "a": "{secret}"}}',
                f'["{secret}"]',
                secret,
            ):
                made = {"content_type": "application/json", "headers": self.headers}
                found.append(self.see("broken JSON", self.api.post("/api/v1/session", body, **made)))
                found.append(self.see("broken JSON", self.api.put("/api/v1/session/token", body, **made)))
                found.append(self.see("broken JSON", self.api.post("/api/v1/flowlu/crm/account/list", body, **made)))
            plain = self.api.post("/api/v1/session", secret, content_type=f"text/{secret}", headers=self.headers)
            found.append(self.see("another media type", plain))
            accept = self.api.get("/api/v1/session", headers={**self.headers, "Accept": f"text/{secret}"})
            found.append(self.see("another Accept", accept))
            wrong = self.api.patch(f"/api/v1/session?x={secret}", {}, format="json", headers=self.headers)
            found.append(self.see("another method", wrong))
            unknown = self.api.get("/api/v1/session", headers={"X-Session-Token": f"{secret}x"})
            found.append(self.see("an unknown session", unknown))
            for open_page in ("/embed/", "/api/schema", "/api/docs", "/healthz", "/readyz", "/nothing"):
                headers = {**self.headers, "Authorization": f"Bearer {secret}"}
                found.append(self.see(open_page, self.api.get(open_page, headers=headers)))
            launch = {"access_token": secret, "refresh_token": secret, "app_id": "com.example.desk"}
            found.append(self.see("a launch", self.api.post("/embed/", launch, format="multipart")))
        return found


def backend_rows(canaries: Canaries, installation: Installation) -> None:
    """Store an API key and a service client.

    There is no setting for a client secret; it is sent everywhere all the same.
    """
    canaries.add("client secret", f"cs-{secrets.token_hex(24)}")
    api_key = canaries.add("API key", f"ak{secrets.token_hex(25)}")
    purpose = factories.purpose("nightly-export", acts_as="system")
    factories.api_key(installation, api_key, purposes=[purpose], label="Nightly export")
    canaries.add("service key", factories.service_client("exporter", purposes=[purpose]).key)
    token = OAuthToken.objects.active().filter(installation=installation).first()
    assert token is not None
    RefreshAttempt.objects.create(oauth_token=token, generation=token.generation)
