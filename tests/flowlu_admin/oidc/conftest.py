"""The service as a client of a provider on loopback, and browsers that go there and back."""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from flowlu_admin.models import CompanyAccount
from tests import factories
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider


@pytest.fixture
def provider(settings: Any) -> Iterator[OpenIDProvider]:
    made = OpenIDProvider()
    settings.DEBUG = True  # plain http is for development machines only
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = made.issuer, CLIENT_ID, CLIENT_SECRET
    settings.OIDC_NAME = "Example ID"
    settings.OIDC_GROUP_MAP = {"desk": ("Auditor",), "leads": ("Reviewer", "Responder")}
    settings.OIDC_TOTAL_SECONDS = 10
    cache.clear()  # rates
    yield made
    made.stop()


@pytest.fixture
def nina(provider: OpenIDProvider) -> User:
    """An operator with a password whose company account is linked, in a group that was given here."""
    user: User = factories.operator("nina", "Auditor")
    CompanyAccount.objects.create(operator=user, issuer=provider.issuer, subject="subject-1")
    provider.claims = {"groups": ["desk", "all-staff"]}
    return user


def leave(client: Client, **form: str) -> str:
    """Press the button on the sign-in page, and return the address at the provider that the browser goes to."""
    return address_on(client.post(reverse("account_company_sign_in"), form))


def address_on(page: Any) -> str:
    return address_in(page.content.decode())


def address_in(page: str) -> str:
    found = re.search(r'content="0; url=([^"]+)"', page)
    assert found is not None, page
    return html.unescape(found.group(1))


def come_in(client: Client, provider: OpenIDProvider, **form: str) -> Any:
    """Go to the provider and back, and return what the service answers then."""
    return client.get(provider.visit(leave(client, **form)))


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session
