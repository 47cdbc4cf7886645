"""Fixtures of the canary suites: what is looked for, every line that is logged, and a page that is open."""

from collections.abc import Iterator

import pytest
from django.db import connection

from flowlu_admin.sandbox.server import SandboxServer
from installations.models import Application, Installation
from installations.services import approve_scopes
from tests import canary, factories
from tests.canary import Canaries
from tests.security.canary_page import Page, backend_rows
from tests.security.scene import Scene, set_up
from tokens.models import OAuthToken


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture
def redacted_log(canaries: Canaries) -> Iterator[None]:
    """Look at every line that is logged in the test, as production writes it."""
    connection.force_debug_cursor = True
    try:
        with canary.production_log() as written:
            yield
    finally:
        connection.force_debug_cursor = False
    assert "SELECT" in written.getvalue(), "the SQL log was not on: this looked at nothing"
    canaries.look_at_log("the log", written.getvalue())
    canaries.report()


@pytest.fixture
def logged(redacted_log: None, canaries: Canaries) -> Iterator[None]:
    """Look also at what a log without redaction would hold: our own code has nothing to redact."""
    with canary.unfiltered_log() as plain:
        yield
    canaries.look_at_log("logged before redaction", plain.getvalue())
    canaries.report()


@pytest.fixture
def canary_page(canaries: Canaries, sandbox: SandboxServer, application: Application) -> Page:
    Application.objects.update(stores_refresh_tokens=True)
    page = Page(canaries, sandbox)
    page.open_it()
    approve_scopes(
        installation_id=Installation.objects.get().pk,
        requested=["crm.accounts.full"],
        actor=factories.superactor(),
        reason="A test.",
    )
    page.handshake(refresh_token=page.pair.refresh_token)
    page.session_token = canaries.add("session token", page.session_token)
    assert OAuthToken.objects.exclude(sealed_refresh_token=None).exists()
    backend_rows(canaries, Installation.objects.get())
    return page


@pytest.fixture
def canary_scene(canary_page: Page, canaries: Canaries) -> Scene:
    """The console over the rows of the page's session, whose tokens are the canaries."""
    for name in ("an-access-token", "an-older-token", "an-api-key-of-the-portal", "an-older-api-key"):
        canaries.add(name, name)
    return set_up(Application.objects.get())
