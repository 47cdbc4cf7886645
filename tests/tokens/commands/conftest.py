"""A place to run commands in: one installation with a token, operators of each role, and what a command printed."""

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command

from installations.models import Installation
from installations.services import LaunchRecord
from tests import factories


@pytest.fixture
def run() -> Callable[..., str]:
    """Run a command as its command line would and return what it printed."""

    def run(name: str, *arguments: str) -> str:
        out = StringIO()
        call_command(name, *arguments, stdout=out, stderr=out)
        return out.getvalue()

    return run


@pytest.fixture
def record(application) -> LaunchRecord:
    return factories.launch(application)


@pytest.fixture
def installation(record) -> Installation:
    return Installation.objects.get()
