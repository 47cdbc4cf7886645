"""The service's settings with the peers' addresses in place of its own."""

from flowlu_admin.settings import *  # noqa: F403
from flowlu_admin.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "oauth2_provider"]
ROOT_URLCONF = "tests.bench.peers.urls"
OAUTH2_PROVIDER = {"SCOPES": {"read": "Read"}}
