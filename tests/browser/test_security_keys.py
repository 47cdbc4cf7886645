"""A security key in a real browser, under the policy of the pages: added, given, asked for once more, removed."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Stack
from tests.browser.test_accessibility import violations
from tests.browser.test_story import expect

pytestmark = pytest.mark.browser

PASSWORD = "battery-horse-staple-9"
NEXT_PASSWORD = "another-battery-horse-8"


@pytest.fixture
def service(stack: Stack) -> str:
    """Browsers use keys under a name only."""
    return stack.service.replace("127.0.0.1", "localhost")


@pytest.fixture
def keyholder(stack: Stack) -> Callable[[str], str]:
    def made(name: str) -> str:
        stack.manage("create_operator", name, "--superuser", stdin=f"{PASSWORD}\n")
        return name

    return made


def plug_in_key(page: Any) -> Any:
    """Give the browser of this page a security key of its own that is touched at once; returns how to speak to it."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True}
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return lambda method, **more: devtools.send(f"WebAuthn.{method}", {**made, **more})


def give_password(page: Any, service: str, name: str, password: str = PASSWORD) -> None:
    page.goto(f"{service}/accounts/login/")
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", password)
    page.click("#content button[type=submit]")


def add_key(page: Any, service: str, name: str) -> None:
    """Add the key that is plugged in, by the keyboard alone."""
    page.goto(f"{service}/accounts/2fa/webauthn/add/")
    if "/reauthenticate/" in page.url:
        page.fill("input[name=password]", PASSWORD)
        page.click("#content form[action*=reauthenticate] button")
        page.wait_for_url("**/webauthn/add/")  # with its scripts, which ask for the key
    page.fill("input[name=name]", name)
    page.press("input[name=name]", "Enter")


def wait_until_added(page: Any) -> None:
    """Wait for the recovery codes that follow a first key; what the page says instead is what the test fails with."""
    said = page.get_by_role("alert").or_(page.locator(".errornote, .errorlist")).filter(visible=True)
    expect(page.locator("#recovery_codes").or_(said).first).to_be_visible(timeout=60_000)
    assert said.all_inner_texts() == [], page.url


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_key_from_its_adding_to_its_removal(
    stack: Stack,
    service: str,
    keyholder: Callable[[str], str],
    open_page: Any,
    complaints: list[str],
    color_scheme: str,
) -> None:
    page = open_page(color_scheme=color_scheme)
    name, found = keyholder(f"holder-{color_scheme}"), []
    key = plug_in_key(page)

    # given a key that was added
    give_password(page, service, name)
    page.wait_for_url(f"{service}/admin/")
    add_key(page, service, "Blue key")
    wait_until_added(page)
    assert len(key("getCredentials")["credentials"]) == 1
    page.goto(f"{service}/accounts/2fa/")
    expect(page.locator("#content table")).to_contain_text("Blue key")
    found += violations(page)

    # when it is renamed
    page.get_by_role("link", name="Rename Blue key").click()
    page.wait_for_url(lambda url: not url.endswith("/2fa/"))
    found += violations(page)
    page.fill("input[name=name]", "Green key")
    page.click("#content form button[type=submit]")
    # then it has the other name
    expect(page.locator("#content table")).to_contain_text("Green key")

    # when the same device is added once more, then the page says why not
    page.goto(f"{service}/accounts/2fa/webauthn/add/")
    found += violations(page)
    page.click("#key-add")
    expect(page.get_by_role("alert")).to_contain_text("This key is one of yours already.")
    found += violations(page)

    # when its operator comes back, then the password is not enough, and the key is
    page.click("#logout-form button")
    give_password(page, service, name)
    page.wait_for_url("**/2fa/authenticate/")
    found += violations(page)
    page.goto(f"{service}/admin/")
    assert page.url.endswith("/2fa/authenticate/")
    page.click("#key-use")
    page.wait_for_url(f"{service}/admin/")

    # when they change the password, then the key is asked for once more and leads back there
    page.goto(f"{service}/accounts/password/change/")
    page.wait_for_url("**/webauthn/reauthenticate/**")
    found += violations(page)
    page.click("#key-use")
    page.wait_for_url("**/password/change/")
    page.fill("input[name=oldpassword]", PASSWORD)
    page.fill("input[name=password1]", NEXT_PASSWORD)
    page.fill("input[name=password2]", NEXT_PASSWORD)
    page.click("#content form button[type=submit]")

    # when the key is removed
    page.goto(f"{service}/accounts/2fa/")
    page.get_by_role("link", name="Remove Green key").click()
    page.wait_for_url(lambda url: not url.endswith("/2fa/"))
    found += violations(page)
    page.click("#content form button[type=submit]")
    page.wait_for_url(f"{service}/accounts/2fa/")

    # then the next sign-in is by the password alone, as nothing requires a factor here
    page.click("#logout-form button")
    give_password(page, service, name, NEXT_PASSWORD)
    page.wait_for_url(f"{service}/admin/")
    assert complaints == []
    assert found == []


def test_what_the_browser_refuses_is_said_on_the_page(
    stack: Stack, service: str, keyholder: Callable[[str], str], open_page: Any, complaints: list[str]
) -> None:
    page = open_page()
    name = keyholder("holder-refused")
    key = plug_in_key(page)
    give_password(page, service, name)
    add_key(page, service, "Blue key")
    wait_until_added(page)
    code = re.search(r"\d{8}", page.locator("#recovery_codes").input_value())
    assert code is not None
    page.click("#logout-form button")

    # when another key is in its place
    key("clearCredentials")
    give_password(page, service, name)
    page.click("#key-use")

    # then the page says so, and a recovery code is taken
    expect(page.get_by_role("alert")).to_contain_text("The browser got no answer from a key", timeout=90_000)
    page.fill("input[name=code]", code[0])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{service}/admin/")
    assert complaints == []


def test_page_under_a_number_says_that_keys_need_a_name(
    stack: Stack, keyholder: Callable[[str], str], open_page: Any, complaints: list[str]
) -> None:
    page = open_page()
    name = keyholder("holder-number")
    plug_in_key(page)
    give_password(page, stack.service, name)

    add_key(page, stack.service, "Blue key")

    expect(page.get_by_role("alert")).to_contain_text("or on localhost")
    assert complaints == []
