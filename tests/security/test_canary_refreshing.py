"""Canaries through the token and the revocation endpoint: what they are sent and answer comes out nowhere."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from flowlu_admin.sandbox.book import OAUTH_FAULT_KINDS
from flowlu_admin.sandbox.server import SandboxServer
from installations.flowlu.configured import oauth_endpoint
from installations.models import Application, Portal
from tests import factories
from tests.backend import Backend
from tests.canary import Canaries
from tests.security.canary_page import Page
from tokens.models import OAuthToken, RefreshAttempt, UpstreamRevocation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("by", ["the page", "backend code"])
@pytest.mark.parametrize("fault", ["", *OAUTH_FAULT_KINDS])
def test_refreshing_and_revoking_at_flowlu_tell_no_secret(
    canary_page: Page, revoking: SandboxServer, canaries: Canaries, redacted_log: None, fault: str, by: str
) -> None:
    page, oauth = canary_page, revoking.state.oauth
    canaries.add("secret at the endpoints", oauth.client_secret)
    Application.objects.update(refreshed_by="server")
    OAuthToken.objects.update(expires_at=timezone.now())
    for endpoint in ("token", "revoke"):
        if fault and not (endpoint == "revoke" and fault in ("delay_before", "delay_after")):
            oauth.add_fault(fault, endpoint=endpoint, delay_seconds=0.01)
    known = set(revoking.state._by_access)

    made = factories.service_client(
        purposes=[factories.purpose()], applications=list(Application.objects.all()), portals=list(Portal.objects.all())
    )
    backend = Backend(canaries.add("key of the worker", made.key))
    for _ in range(2):
        page.see("a call", backend.get() if by == "backend code" else page.accounts())
    page.see("the session", page.get("session"))
    for number, access in enumerate(set(revoking.state._by_access) - known):
        canaries.add(f"refreshed access token {number}", access)
        canaries.add(f"refreshed refresh token {number}", revoking.state._by_access[access].refresh_token)
    assert RefreshAttempt.objects.exists()
    canaries.look_everywhere()
    page.see("revoking", page.delete("session/token"))
    out = StringIO()
    call_command("sweep", stdout=out, stderr=out)
    canaries.look("the output of sweep", out.getvalue())
    for thing in [*RefreshAttempt.objects.all(), *UpstreamRevocation.objects.all(), oauth_endpoint()]:
        canaries.look(f"the text of a {type(thing).__name__}", f"{thing!r} {thing}")
    canaries.look_everywhere()
