"""The main job, as a portal user and an operator live it in two browsers: launch, approve, go stale, revoke, lock."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Stack

pytestmark = pytest.mark.browser

PENDING = "has yet to approve access to CRM accounts"


def sign_in(page: Any, stack: Stack) -> None:
    page.goto(f"{stack.service}/admin/")
    page.fill("input[name=login]", "operator")
    page.fill("input[name=password]", stack.password)
    page.click("button[type=submit]")
    page.wait_for_url(f"{stack.service}/admin/")


def open_installation(page: Any, stack: Stack, portal: str) -> None:
    page.goto(f"{stack.service}/admin/installations/installation/?q={portal}")
    page.click("#result_list tbody th a")
    page.wait_for_url(re.compile(r"/change/"))


def act(page: Any, link: str, reason: str) -> None:
    """Follow the act's link, give the reason and confirm."""
    page.click(f"#content a[href$='/{link}/']")
    page.fill("textarea[name=reason]", reason)
    page.click("#content form button[type=submit]")
    page.wait_for_url(re.compile(r"/change/"))


def open_application(
    page: Any, stack: Stack, portal: str, user: str, *, launch: str = "post", language: str = "en"
) -> Any:
    page.goto(f"{stack.portal}/open/{portal}/{user}?launch={launch}&lang={language}")
    return page.frame_locator("iframe")


def mailed_link(stack: Stack, address: str) -> str:
    """Return the link in the newest mail to an address."""
    mails = [path.read_text() for path in sorted(Path(stack.environment["VAR_DIR"], "mail").iterdir())]
    found = re.search(r"https?://\S+?(/accounts/\S+)", [mail for mail in mails if f"To: {address}" in mail][-1])
    assert found is not None
    return f"{stack.service}{found[1]}"


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect as playwright_expect

    return playwright_expect(locator)


def test_the_story(stack: Stack, open_page: Any, complaints: list[str]) -> None:
    user, operator = open_page(), open_page()

    # when a person opens the application for the first time
    frame = open_application(user, stack, "acme.flowlu.com", "2")
    # then it says who they are and that an operator has yet to approve, and makes no call that would be refused
    expect(frame.locator("#user-name")).to_have_text("José Núñez")
    expect(frame.locator("#accounts")).to_contain_text(PENDING)

    # when the operator finds the pending installation and approves a scope with a reason
    sign_in(operator, stack)
    expect(operator.locator("#content")).to_contain_text("1 installation waits for approval")
    open_installation(operator, stack, "acme")
    expect(operator.locator("#content")).to_contain_text("pending approval")
    operator.click("#content a[href$='/approve/']")
    operator.check("input[value='crm.accounts.read']")
    operator.fill("textarea[name=reason]", "Needed for the account list.")
    operator.click("#content form button[type=submit]")
    operator.wait_for_url(re.compile(r"/change/"))
    expect(operator.locator("#content")).to_contain_text("1 of 8 approved")
    # then the next look works
    frame.locator("#accounts-check").click()
    expect(frame.locator("#accounts-rows tr").first).to_contain_text("Organisation")

    # when the token goes stale, then the page refreshes through the SDK, hands over and goes on
    user.get_by_role("button", name="Expire the access token").click()
    with user.expect_response(re.compile(r"/api/v1/session/token$")) as handed_over:
        frame.locator("#accounts-next").click()
    assert handed_over.value.status == 204
    expect(frame.locator("#accounts-range")).to_contain_text("to")
    expect(frame.locator("#notice")).to_be_hidden()

    # when the operator revokes all tokens of the installation
    open_installation(operator, stack, "acme")
    operator.click("#content a[href*='/installation/'][href$='/revoke/']")
    expect(operator.locator("#content")).to_contain_text("What does not stop")
    operator.fill("textarea[name=reason]", "A phone was lost.")
    operator.click("#content form button[type=submit]")
    operator.wait_for_url(re.compile(r"/change/"))
    # then the next call says so, in plain words
    frame.locator("#accounts-previous").click()
    expect(frame.locator("#notice-text")).to_contain_text("was revoked")
    # and nothing of what was loaded, nor a button that asks for more of it, is left
    expect(frame.locator("#accounts-list")).to_be_hidden()
    expect(frame.locator("#accounts-rows tr")).to_have_count(0)
    expect(frame.locator("#notice-action")).to_be_focused()

    # when the page is reloaded, then a new token comes in, as the operator was told
    user.reload()
    frame = user.frame_locator("iframe")
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()

    # and every step is in the audit trail
    for verb in ("installation.first_seen", "token.stored", "scopes.approved", "token.handed_over", "tokens.revoked"):
        operator.goto(f"{stack.service}/admin/installations/auditevent/?verb={verb}")
        expect(operator.locator("#result_list tbody")).to_contain_text(verb)
    assert complaints == []


def test_who_is_invited_comes_in(stack: Stack, open_page: Any, complaints: list[str]) -> None:
    """The code is read from behind the # of the link, and is in no address that stays in the browser."""
    operator, guest = open_page(), open_page()
    sign_in(operator, stack)

    operator.goto(f"{stack.service}/admin/flowlu_admin/invitation/new/")
    operator.fill("input[name=email]", "nina@example.com")
    operator.check("input[name=groups][value=Auditor]")
    operator.fill("textarea[name=reason]", "She joins.")
    operator.click("#content-main button[type=submit]")
    expect(operator.locator(".messagelist")).to_contain_text("nina@example.com was invited")
    link = mailed_link(stack, "nina@example.com")
    guest.goto(link)
    guest.wait_for_url(f"{stack.service}/accounts/invitation/account/")
    guest.fill("input[name=username]", "nina")
    for field in ("password", "again"):
        guest.fill(f"input[name={field}]", "correct horse battery staple")
    guest.click("button[type=submit].act-go")
    guest.wait_for_url(f"{stack.service}/admin/")
    expect(guest.locator("#user-tools")).to_contain_text("nina")

    guest.go_back()
    assert "#" not in guest.url
    assert link.partition("#")[2] not in guest.content()
    assert complaints == []


def test_suspending_locking_withdrawing_and_uninstalling_are_told_to_the_user(
    stack: Stack, open_page: Any, complaints: list[str]
) -> None:
    user, operator = open_page(), open_page()
    frame = open_application(user, stack, "globex.flowlu.com", "2", launch="get")
    expect(frame.locator("#user-name")).to_have_text("Beatriz Conceição")
    common = [
        "--portal",
        "globex.flowlu.com",
        "--app",
        "com.example.desk",
        "--operator",
        "operator",
        "--reason",
        "A test.",
    ]
    stack.manage("approve_scopes", *common, "crm.accounts.read")
    frame.locator("#accounts-check").click()
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()
    sign_in(operator, stack)

    open_installation(operator, stack, "globex")
    act(operator, "suspend", "Under review.")
    frame.locator("#accounts-next").click()
    expect(frame.locator("#notice-text")).to_contain_text("suspended")
    open_installation(operator, stack, "globex")
    act(operator, "resume", "Reviewed.")
    user.reload()
    frame = user.frame_locator("iframe")
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()

    open_installation(operator, stack, "globex")
    act(operator, "lock", "An incident.")
    frame.locator("#accounts-next").click()
    expect(frame.locator("#notice-text")).to_contain_text("locked")
    open_installation(operator, stack, "globex")
    act(operator, "unlock", "The incident is over.")

    user.reload()
    frame = user.frame_locator("iframe")
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()
    expect(frame.locator("#approved")).to_contain_text("crm.accounts.read")
    stack.manage("withdraw_scopes", *common, "crm.accounts")
    frame.locator("#accounts-next").click()
    expect(frame.locator("#accounts-pending")).to_contain_text("or has withdrawn it")
    expect(frame.locator("#approved-none")).to_be_visible()
    expect(frame.locator("#approved")).not_to_contain_text("crm.accounts")
    expect(frame.locator("#accounts-rows tr")).to_have_count(0)
    stack.manage("approve_scopes", *common, "crm.accounts.read")
    frame.locator("#accounts-check").click()
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()

    open_installation(operator, stack, "globex")
    act(operator, "uninstall", "The customer left.")
    frame.locator("#accounts-next").click()
    expect(frame.locator("#notice-text")).to_contain_text("was revoked")
    assert complaints == []


def test_page_opened_outside_a_portal_explains_itself(stack: Stack, open_page: Any, complaints: list[str]) -> None:
    page = open_page()
    page.goto(f"{stack.service}/embed/")

    expect(page.locator("#app")).to_contain_text("Open this page inside a Flowlu portal")
    assert page.context.cookies() == []
    assert complaints == []


def test_search_is_a_key_away_and_lets_no_token_out_of_the_browser(
    stack: Stack, open_page: Any, complaints: list[str]
) -> None:
    token = "x8Kq2nN0vR7bT4mZ9pLsWd3yC5fG1hJ6"
    open_application(open_page(), stack, "acme.flowlu.com", "3").locator("#user-name").wait_for()
    page = open_page()
    sign_in(page, stack)

    # when an operator presses the key and types a portal
    page.keyboard.press("/")
    page.keyboard.type("acme")
    page.keyboard.press("Enter")
    # then its installation is found
    page.wait_for_url(re.compile(r"/admin/search/\?q=acme$"))
    expect(page.locator("#content-main")).to_contain_text("on acme.flowlu.com")

    # when a token is pasted into the search, or into that of a list
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data}"))
    for address, field in (("/admin/search/", "#console-search"), ("/admin/installations/portal/", "#searchbar")):
        page.goto(f"{stack.service}{address}")
        page.fill(field, token)
        page.press(field, "Enter")
        # then the page says so, the field is empty, and nothing was sent
        expect(page.locator("#search-refused")).to_be_visible()
        expect(page.locator(field)).to_have_value("")
    assert [request for request in sent if token in request] == []

    # and the key is a letter like any other where somebody types
    page.fill("#searchbar", "a")
    page.press("#searchbar", "/")
    expect(page.locator("#searchbar")).to_have_value("a/")
    assert complaints == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_every_console_page_opens_without_complaint(
    stack: Stack, open_page: Any, complaints: list[str], color_scheme: str
) -> None:
    page = open_page(color_scheme=color_scheme)
    open_application(open_page(), stack, "acme.flowlu.com", "3").locator("#user-name").wait_for()
    sign_in(page, stack)
    lists = page.eval_on_selector_all(
        "#content a[href^='/admin/']", "links => [...new Set(links.map(link => link.href))]"
    )
    assert len(lists) > 10
    for address in lists:
        response = page.goto(address)
        assert response.status == 200, address
        for link in page.query_selector_all("#result_list tbody tr:first-child th a"):
            link.click()
            page.wait_for_load_state()
            break
    for path in (
        "/accounts/2fa/",
        "/accounts/password/change/",
        "/api/docs",
        "/admin/installations/application/import/",
    ):
        page.goto(f"{stack.service}{path}")
        page.wait_for_load_state("networkidle")
    assert complaints == []
