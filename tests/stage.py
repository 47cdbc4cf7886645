"""The stage: the sandbox portal over real HTTP, and frontends that portal users opened in it."""

from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application
from tests.embedded import Frontend
from tests.factories import APP_ID


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    with SandboxServer(port=0, embed_url="http://127.0.0.1:9/embed/", app_id=APP_ID) as server:
        yield server


@pytest.fixture
def sandbox(sandbox_server: SandboxServer, settings: Any) -> SandboxServer:
    """The sandbox portal, fresh, with the service pointed at it."""
    sandbox_server.state.reset()
    settings.FLOWLU_PORTAL_URL = sandbox_server.portal_url_template
    settings.FLOWLU_PORTAL_URL_IS_SET = True
    settings.DEBUG = True  # plain http is for development machines only
    settings.FLOWLU_SDK_URL = f"{sandbox_server.url}/sdk/miniapp-jssdk.js"
    return sandbox_server


@pytest.fixture
def refreshing(sandbox: SandboxServer, settings: Any) -> SandboxServer:
    """The sandbox portal with the service as a client of its token endpoint."""
    settings.FLOWLU_TOKEN_URL = sandbox.token_url
    settings.FLOWLU_CLIENT_ID = sandbox.state.oauth.client_id
    settings.FLOWLU_CLIENT_SECRET = sandbox.state.oauth.client_secret
    settings.OAUTH_TOTAL_SECONDS = 2
    return sandbox


@pytest.fixture
def revoking(refreshing: SandboxServer, settings: Any) -> SandboxServer:
    """The same, with its revocation endpoint."""
    settings.FLOWLU_REVOCATION_URL = refreshing.revocation_url
    return refreshing


@pytest.fixture
def ana(sandbox: SandboxServer, application: Application, api: APIClient) -> Frontend:
    """A frontend that a sales person of acme opened; no session yet."""
    return Frontend(api, sandbox, "acme.flowlu.com")


@pytest.fixture
def gus(sandbox: SandboxServer, application: Application, api: APIClient) -> Frontend:
    """A frontend on the other portal."""
    return Frontend(api, sandbox, "globex.flowlu.com")
