"""Every page as axe-core sees it, in both themes: no violation of WCAG 2.2 AA, narrow, zoomed, still, by keyboard."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

from tests.browser.conftest import Stack, started
from tests.browser.test_story import mailed_link, open_application, open_installation, sign_in
from tests.security.permissions import URLS
from tests.security.test_permission_matrix import PATTERNS

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Any) -> list[str]:
    """Return what axe finds on the page, one line for each rule with the first element that breaks it."""
    found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response
    assert found["testEngine"]["version"] >= "4.12"
    return [
        f"{page.url}: {rule['id']}, {rule['help']}: {rule['nodes'][0]['html'][:200]}" for rule in found["violations"]
    ]


def frame_violations(frame: Any) -> list[tuple[str, str]]:
    """Return what axe finds in a page that is shown inside another one."""
    frame.evaluate(Axe().axe_script)
    found = frame.evaluate(f"axe.run(document, {{runOnly: {RULES[:5]}}})")["violations"]
    return [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found]


def addresses(page: Any, selector: str) -> list[str]:
    found: list[str] = page.eval_on_selector_all(selector, "links => [...new Set(links.map(link => link.href))]")
    return found


# Addresses that answer with no page of the console, and those of which there is nothing to look at here.
NO_PAGE = {
    "admin:jsi18n": "a script",
    "admin:installations_catalogueedition_export": "a file",
    "docs": "drawn by Swagger UI",
    "embed": "test_embedded_page_bars_nobody",
    "healthz": "read by machines",
    "readyz": "read by machines",
    "schema": "read by machines",
    "account_invitation_accept": "test_way_in_bars_nobody",
    "mfa_reauthenticate": "tests/browser/test_security_keys.py has the page that asks for a factor",
    "admin:tokens_upstreamrevocation_change": "the sandbox's Flowlu takes no revocation",
    "admin:tokens_upstreamrevocation_try_again": "the same",
    "admin:tokens_upstreamrevocation_close": "the same",
}
PORTALS = {"light": "acme.flowlu.com", "dark": "globex.flowlu.com"}
WIDTHS = (640, 360)  # 1280 pixels at a zoom of 200 %, and a narrow phone


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own with something in every list, and with what takes a second operator."""
    var = tmp_path_factory.mktemp("world")
    with started(var, f"world_{os.getpid()}", FOUR_EYES="on", CONFIRMED_SECONDS="7200") as one:
        one.manage("seed", "--installations", "240", "--tokens", "400", "--seed", "7")
        by = ("--operator", "operator", "--reason", "A test.")
        one.manage("shell", "-c", "from tests.catalogues import entry, save; save(entry())")
        one.manage("invite_operator", "guest@example.com", *by)
        one.manage("create_operator", "omar", "--group", "Auditor", stdin="battery-horse-staple-9\n")
        one.manage("set_operator_address", "operator", "--email", "operator@example.com", *by)
        yield one


def number_in(address: str) -> str:
    found = re.search(r"/([0-9]+)/", address)
    assert found is not None, address
    return found[1]


def every_page(page: Any, world: Stack) -> dict[str, str]:
    """Return the address of every page that opens for a superuser, by its row in the permission matrix."""
    made: dict[str, str] = {}
    of: dict[str, str] = {}
    for key, rows in URLS.items():
        if not key.startswith("admin:") or rows["GET"].split()[-1] != "200" or not key.endswith("_changelist"):
            continue
        where = f"{world.service}{reverse(key)}"
        page.goto(where)
        own = [address for address in addresses(page, "#result_list tbody tr a") if address.startswith(where)]
        own = [address for address in own if "/change/" in address]
        if own:
            model = key.removeprefix("admin:").removesuffix("_changelist")
            of[model] = number_in(own[-1])  # of operators not the one who looks
    # The newest, which `prepare` made: what is withdrawn, or of an installation that is gone, is not reviewed.
    page.goto(f"{world.service}/admin/installations/approvedpermission/?state=in_force")
    of["installations_review"] = number_in(addresses(page, "#result_list tbody th a")[0])
    page.goto(f"{world.service}/admin/installations/installation/?status__exact=active")
    users: list[str] = []
    for address in addresses(page, "#result_list tbody th a"):
        if not users:  # nobody left a token at some
            page.goto(address.replace("/change/", "/credentials/"))
            users = [link for link in addresses(page, "#content a") if re.search(r"/revoke-user/[0-9]+/$", link)]
    for key, rows in URLS.items():
        if rows["GET"].split()[-1] != "200" or key in NO_PAGE:
            continue
        wanted = set(re.findall(r"<(?:\w+:)?(\w+)>", PATTERNS[key]))
        model = next((name for name in of if key.startswith(f"admin:{name}_")), "")
        known = {"object_id": of.get(model), "app_label": "tokens", "code": "crm.accounts"}
        if key == "admin:installations_installation_revoke_user":
            made[key] = users[0]
        elif all(known.get(name) for name in wanted):
            made[key] = world.service + reverse(key, kwargs={name: known[name] for name in wanted})
    return made


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_no_page_of_the_console_bars_anybody(world: Stack, open_page: Any, color_scheme: str) -> None:
    """axe-core finds nothing on any page, and none is wider than a narrow screen."""
    page = open_page(color_scheme=color_scheme)
    found: list[str] = []

    def look() -> None:
        page.wait_for_load_state()  # what a form leads to may still be on its way
        found.extend(violations(page))
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"{page.url}: {wide} pixels wide on {width}")
        page.set_viewport_size({"width": 1280, "height": 900})

    for path in ("/accounts/login/", "/accounts/password/reset/", "/accounts/invitation/"):
        page.goto(f"{world.service}{path}")
        look()
    sign_in(page, world)
    prepare(page, world, open_application(open_page(), world, PORTALS[color_scheme], "1"), PORTALS[color_scheme])
    pages = every_page(page, world)
    for key, address in pages.items():
        page.goto(address)
        assert page.url.partition("?")[0] == address.partition("?")[0], f"{key} led to {page.url}"
        look()
    for path in (
        "/admin/search/?q=studio",
        "/admin/search/?q=nothing",
        "/admin/installations/installation/?q=nothing",
        "/admin/installations/installation/?status__exact=active",
        "/admin/nothing/here/",
        "/accounts/password/change/",
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/webauthn/add/",
    ):
        page.goto(f"{world.service}{path}")
        look()
    for act in forms(page, world, pages):
        act()
        look()

    assert found == []
    opens = {key for key, rows in URLS.items() if rows["GET"].split()[-1] == "200"}
    assert opens - pages.keys() == NO_PAGE.keys()


def prepare(page: Any, world: Stack, opened: Any, portal: str) -> None:
    """Make what only the console makes: an approval of one operator alone, and a message to oneself."""
    opened.locator("#user-name").wait_for()
    page.goto(f"{world.service}/admin/notices/")
    page.get_by_role("button", name="Send me a test").click()
    open_installation(page, world, portal)
    page.click("#content a.act[href$='/approve-alone/']")
    page.check("input[value='crm.accounts.full']")
    page.fill("textarea[name=reason]", "A test.")
    page.click("#content form button.act[type=submit]")
    page.locator(".messagelist").wait_for()


def forms(page: Any, world: Stack, pages: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Give what follows a form: what is missing in it, what it would do, and what came of it."""

    def press(*fields: tuple[str, str]) -> None:
        for name, value in fields:
            page.fill(f"#content [name={name}]", value)
        page.click("#content form button.act[type=submit]")

    def sent(key: str, *fields: tuple[str, str]) -> Callable[[], None]:
        def act() -> None:
            page.goto(pages[f"admin:{key}"])
            press(*fields)

        return act

    for key in (
        "installations_installation_approve",
        "installations_installation_revoke",
        "installations_application_configure",
        "tokens_serviceclient_new",
        "tokens_purpose_new",
        "flowlu_admin_invitation_new",
    ):
        yield sent(key)
    yield sent("installations_application_import", ("document", "{}"))
    yield sent("installations_portal_lock", ("reason", "A test."))
    yield sent("installations_portal_unlock", ("reason", "A test."))
    yield sent("tokens_oauthtoken_revoke_by", ("stored_before", "2020-01-01"))
    yield sent("tokens_serviceclient_new_key", ("reason", "A test."))

    def selected() -> None:
        page.goto(f"{pages['admin:tokens_oauthtoken_changelist']}?state__exact=active")
        page.locator("#result_list .action-select").first.check()
        page.select_option("select[name=action]", "revoke_selected")
        page.click("button[name=index]")

    def saved() -> None:
        page.goto(f"{pages['admin:tokens_oauthtoken_changelist']}?state__exact=active")
        page.click(".saved-filters summary")
        page.fill("#saved-filter-name", f"Active, {len(pages)}")
        page.click(".saved-filters details button")

    yield selected
    yield saved


def test_who_wants_less_motion_gets_none(world: Stack, open_page: Any) -> None:
    page = open_page(reduced_motion="reduce")
    sign_in(page, world)
    for path in ("/admin/", "/admin/installations/installation/"):
        page.goto(f"{world.service}{path}")
        moving = page.evaluate(
            """() => [...document.querySelectorAll('*')].filter((one) => {
              const style = getComputedStyle(one);
              return [...style.transitionDuration.split(', '), ...style.animationDuration.split(', ')]
                .some((each) => parseFloat(each) > 0) || style.scrollBehavior === 'smooth';
            }).map((one) => one.outerHTML.slice(0, 80))"""
        )
        assert moving == []


def test_scopes_are_approved_by_the_keyboard_alone(world: Stack, open_page: Any) -> None:
    page = open_page()

    def tab_to(selector: str) -> None:
        for _ in range(250):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                # What has the focus is seen to have it.
                assert page.evaluate("document.activeElement.matches(':focus-visible')")
                return
        pytest.fail(f"The keyboard does not come to {selector} on {page.url}.")

    page.goto(f"{world.service}/accounts/login/")
    tab_to("input[name=login]")
    page.keyboard.type("operator")
    tab_to("input[name=password]")
    page.keyboard.type(world.password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{world.service}/admin/")
    tab_to("a[href*='status__exact=pending_approval']")
    page.keyboard.press("Enter")
    page.wait_for_url("**status__exact=pending_approval*")
    tab_to("#result_list tbody th a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/*")
    tab_to("a.act[href$='/approve/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/approve/")
    tab_to(".preselect a[href='?choose=low']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/approve/?choose=low")
    tab_to("#content input[type=radio]")
    page.keyboard.press("ArrowDown")
    tab_to("textarea[name=reason]")
    page.keyboard.type("By the keyboard.")
    tab_to("#content form button.act[type=submit]")
    page.keyboard.press("Enter")

    page.locator(".messagelist").wait_for()
    assert "pprove" in page.locator(".messagelist").inner_text()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_way_in_bars_nobody(stack: Stack, open_page: Any, color_scheme: str) -> None:
    address = f"{color_scheme}@example.com"
    stack.manage("invite_operator", address, "--operator", "operator", "--reason", "A test.")
    page = open_page(color_scheme=color_scheme)
    found = []
    page.goto(f"{stack.service}/accounts/invitation/")
    found += violations(page)
    page.goto(mailed_link(stack, address))
    page.wait_for_url(f"{stack.service}/accounts/invitation/account/")
    found += violations(page)
    page.click("button.act-go")
    page.locator(".errorlist").first.wait_for()
    found += violations(page)

    assert found == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_embedded_page_bars_nobody(stack: Stack, open_page: Any, color_scheme: str) -> None:
    page = open_page(color_scheme=color_scheme)
    open_application(page, stack, "acme.flowlu.com", "3").locator("#user-name").wait_for()

    assert frame_violations(next(frame for frame in page.frames if "/embed/" in frame.url)) == []


def test_pages_of_an_approval_on_many_bar_nobody(open_page: Any, tmp_path: Path) -> None:
    """On a stack of its own: one of the installations is uninstalled for it."""
    found = []
    with started(tmp_path, f"many_{os.getpid()}") as own:
        for portal in ("acme.flowlu.com", "globex.flowlu.com"):
            open_application(open_page(), own, portal, "1").locator("#user-name").wait_for()
        of_globex = ("--portal", "globex.flowlu.com", "--app", "com.example.desk", "--operator", "operator")
        own.manage("uninstall_installation", *of_globex, "--reason", "Left us.")
        for color_scheme in ("light", "dark"):
            page = open_page(color_scheme=color_scheme)
            sign_in(page, own)
            page.goto(f"{own.service}/admin/installations/installation/")
            page.check("#action-toggle")
            page.select_option("select[name=action]", "approve_selected")
            page.click("button[name=index]")
            page.get_by_role("heading", name="These cannot be approved at once").wait_for()
            found += violations(page)
            page.get_by_role("button", name="Go on with this 1 installation").click()
            page.get_by_role("heading", name="Approve scopes on 1 installation").wait_for()
            found += violations(page)

    assert found == []


def test_axe_sees_what_bars_somebody(stack: Stack, open_page: Any) -> None:
    page = open_page()
    page.goto(f"{stack.service}/accounts/login/")
    page.evaluate("document.documentElement.removeAttribute('lang')")

    assert any("html-has-lang" in line for line in violations(page))
