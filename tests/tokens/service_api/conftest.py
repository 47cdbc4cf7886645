"""A backend that may act for one user and for the system on acme, and nowhere else."""

import pytest

from installations.models import Application, Installation, Portal
from installations.services import approve_scopes
from tests import factories
from tests.backend import SYSTEM, Backend
from tests.embedded import Frontend
from tokens.models import Purpose, ServiceClient


@pytest.fixture
def installation(ana: Frontend) -> Installation:
    """Ana's installation on acme with accounts approved in full, her token stored; nothing was sent yet."""
    ana.open()
    found = Installation.objects.get()
    approve_scopes(
        installation_id=found.pk, requested=["crm.accounts.full"], actor=factories.superactor(), reason="A test."
    )
    ana.sandbox.state.clear_requests()
    return found


@pytest.fixture
def key(installation: Installation) -> str:
    purposes = [factories.purpose(), factories.purpose("nightly", acts_as="system")]
    made = factories.service_client(
        purposes=purposes, applications=list(Application.objects.all()), portals=list(Portal.objects.all())
    )
    return made.key


@pytest.fixture
def backend(key: str) -> Backend:
    """Acts as Ana."""
    return Backend(key)


@pytest.fixture
def client_row(backend: Backend) -> ServiceClient:
    return ServiceClient.objects.get()


@pytest.fixture
def system(key: str, ana: Frontend, installation: Installation) -> Backend:
    """Acts as the system, with an API key of acme."""
    value = ana.sandbox.state.create_api_key("acme")
    factories.api_key(installation, value, purposes=[Purpose.objects.get(code="nightly")])
    return Backend(key, purpose="nightly", act_as=SYSTEM)
