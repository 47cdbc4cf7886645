"""Installations and a token for the console to show."""

import pytest

from installations.models import Application, Installation, PortalUser
from tests import factories
from tokens.models import OAuthToken


@pytest.fixture
def pending(application: Application) -> Installation:
    return factories.installation(application)


@pytest.fixture
def active(application: Application) -> Installation:
    return factories.installation(application, approved=["crm.accounts.read", "task.read"])


@pytest.fixture
def portal_user(active: Installation) -> PortalUser:
    return PortalUser.objects.get(portal=active.portal)


@pytest.fixture
def token(active: Installation, portal_user: PortalUser) -> OAuthToken:
    return factories.token(active, portal_user)
