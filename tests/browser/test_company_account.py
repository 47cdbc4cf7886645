"""A sign-in with a company account in a real browser, under the policy of the pages: the button, there, and back."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Stack, started
from tests.browser.test_accessibility import violations
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    made = OpenIDProvider()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def company(provider: OpenIDProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose operators have company accounts."""
    settings = {
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_NAME": "Example ID",
        "OIDC_GROUP_MAP": "desk=Auditor",
        "OIDC_CREATE_OPERATORS": "1",
    }
    with started(tmp_path_factory.mktemp("company"), f"company_{os.getpid()}", **settings) as one:
        yield one


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_button_leads_to_the_provider_and_back_into_the_console(
    company: Stack, provider: OpenIDProvider, open_page: Any, complaints: list[str], color_scheme: str
) -> None:
    page = open_page(color_scheme=color_scheme)
    # Of each theme another one: who has the name of somebody who is here already gets no account.
    name = f"omar-{color_scheme}"
    provider.claims = {"sub": name, "groups": ["desk"], "preferred_username": name}
    page.goto(f"{company.service}/accounts/login/?next=/admin/installations/portal/")
    found = violations(page)
    page.get_by_role("button", name="Sign in with Example ID").click()
    page.wait_for_url("**/admin/installations/portal/")

    assert name in page.locator("#user-tools").inner_text()
    page.goto(f"{company.service}/accounts/company/")
    found += violations(page)
    assert found == []
    assert complaints == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_whoever_is_in_no_mapped_group_reads_what_to_do(
    company: Stack, provider: OpenIDProvider, open_page: Any, color_scheme: str
) -> None:
    page = open_page(color_scheme=color_scheme)
    provider.claims = {"sub": f"eve-{color_scheme}", "groups": ["all-staff"]}
    page.goto(f"{company.service}/accounts/login/")
    page.get_by_role("button", name="Sign in with Example ID").click()
    page.get_by_role("heading", name="No sign-in with Example ID").wait_for()

    assert "in no group that may use this console" in page.locator("#content").inner_text()
    assert violations(page) == []
    page.get_by_role("link", name="Back to the sign-in").click()
    page.wait_for_url("**/accounts/login/")
