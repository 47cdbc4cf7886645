"""Actors and rows of the verbs that cut."""

import pytest

from installations.actors import Actor, system_actor
from installations.services import LaunchRecord
from tests import factories


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
def record(application) -> LaunchRecord:
    return factories.launch(application)
