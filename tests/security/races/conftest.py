"""Fixtures of the races: the processes, and an installation with a page that is open in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, Installation, PortalUser
from installations.services import approve_scopes
from tests import factories
from tests.embedded import Frontend
from tests.security.races import workers as pool
from tests.security.races.invariants import no_deadlocks
from tests.security.races.workers import Workers
from tokens.models import OAuthToken

PORTAL = "acme.flowlu.com"
PROCESSES = 8


def endpoints_of(sandbox: SandboxServer) -> dict[str, str]:
    """Return what makes a process a client of the sandbox's token endpoint."""
    return {
        "FLOWLU_TOKEN_URL": sandbox.token_url,
        "FLOWLU_CLIENT_ID": sandbox.state.oauth.client_id,
        "FLOWLU_CLIENT_SECRET": sandbox.state.oauth.client_secret,
    }


@pytest.fixture(scope="session")
def _processes(django_db_setup: Any, django_db_blocker: Any, sandbox_server: SandboxServer) -> Iterator[Workers]:
    with django_db_blocker.unblock():
        started = pool.start(PROCESSES, sandbox_server.portal_url_template, **endpoints_of(sandbox_server))
    yield started
    pool.stop(started)


@pytest.fixture
def workers(_processes: Workers, transactional_db: Any, sandbox: SandboxServer) -> Iterator[Workers]:
    with no_deadlocks():
        yield _processes


@dataclass
class Page:
    """A page of one user, open in an installation where accounts are approved."""

    sandbox: SandboxServer
    application: Application
    user_id: str = "2"

    def __post_init__(self) -> None:
        self.frontend = Frontend(APIClient(raise_request_exception=False), self.sandbox, PORTAL, self.user_id)

    def open(self) -> "Page":
        """Open anew, with a token of its own, and approve again where a new generation began."""
        self.frontend.pair = self.sandbox.state.issue_tokens(PORTAL, self.user_id)
        self.frontend.open()
        if self.installation.status == Installation.Status.PENDING_APPROVAL:
            approve_scopes(
                installation_id=self.installation.pk,
                requested=["crm.accounts.full"],
                actor=factories.superactor(),
                reason="A test.",
            )
        return self

    @property
    def installation(self) -> Installation:
        return Installation.objects.live().get(portal__domain=PORTAL, application=self.application)

    @property
    def user(self) -> PortalUser:
        return PortalUser.objects.get(portal__domain=PORTAL, flowlu_user_id=self.user_id)

    @property
    def token(self) -> OAuthToken:
        return OAuthToken.objects.get(sessions__token_hash=_hash(self.frontend.session_token))

    def pair(self, *, with_refresh_token: bool = False) -> dict[str, str]:
        """Return the pair as a frontend hands it in."""
        mine = self.frontend.pair
        sent = {"access_token": mine.access_token, "expires_at": mine.expires_at_text}
        return sent | ({"refresh_token": mine.refresh_token} if with_refresh_token else {})

    def another_pair(self) -> dict[str, str]:
        """Return another pair of the same user, as another tab gets one."""
        other = self.sandbox.state.issue_tokens(PORTAL, self.user_id)
        return {"access_token": other.access_token, "expires_at": other.expires_at_text}

    def handshake(self, pair: dict[str, str]) -> dict[str, Any]:
        return {"job": "handshake", "pair": pair, "portal": PORTAL, "app_id": self.application.app_id}

    def hand_over(self, pair: dict[str, str]) -> dict[str, Any]:
        return {"job": "hand_over", "session": self.frontend.session_token, "pair": pair}

    def call(self) -> dict[str, Any]:
        return {"job": "call", "session": self.frontend.session_token}

    def delete(self, path: str) -> dict[str, Any]:
        return {"job": "delete", "session": self.frontend.session_token, "path": path}


@pytest.fixture
def page(workers: Workers, sandbox: SandboxServer, application: Application) -> Page:
    return Page(sandbox, application).open()


def _hash(session_token: str) -> str:
    from tokens.selectors import hash_session_token

    return hash_session_token(session_token)
