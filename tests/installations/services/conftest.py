"""Actors of the verbs: who may, and who may not."""

import pytest

from installations.actors import Actor, system_actor
from installations.models import Installation
from tests import factories
from tokens.services.revocation import uninstall_installation


@pytest.fixture
def reviewing(reviewer) -> Actor:
    return factories.actor(reviewer)


@pytest.fixture
def responding(responder) -> Actor:
    return factories.actor(responder)


@pytest.fixture(params=["auditor", "outsider", "inactive-superuser", "superuser-not-staff", "service"])
def unpermitted(request, db) -> Actor:
    """Somebody who may not change anything."""
    if request.param == "service":
        return system_actor()
    if request.param in {"auditor", "outsider"}:
        return factories.actor(request.getfixturevalue(request.param))
    user = factories.operator(request.param, superuser=True)
    user.is_active = request.param != "inactive-superuser"
    user.is_staff = request.param != "superuser-not-staff"
    user.save()
    return factories.actor(user)


@pytest.fixture
def installation(application) -> Installation:
    return factories.installation(application)


@pytest.fixture
def active(application) -> Installation:
    return factories.installation(application, approved=["crm.accounts.read"])


@pytest.fixture
def uninstalled(installation) -> Installation:

    uninstall_installation(installation_id=installation.pk, actor=factories.superactor(), reason="Gone.")
    installation.refresh_from_db()
    return installation
