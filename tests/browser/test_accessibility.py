"""Every page as axe-core sees it, in both themes: no violation of WCAG 2.2 AA."""

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Stack, started
from tests.browser.test_story import mailed_link, open_application, sign_in

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


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_no_page_of_the_console_bars_anybody(stack: Stack, open_page: Any, color_scheme: str) -> None:
    page = open_page(color_scheme=color_scheme)
    open_application(open_page(), stack, "acme.flowlu.com", "3").locator("#user-name").wait_for()
    page.goto(f"{stack.service}/accounts/login/")
    found = violations(page)
    sign_in(page, stack)

    def look(address: str) -> None:
        page.goto(address)
        found.extend(violations(page))

    look(f"{stack.service}/admin/")
    lists, objects, acts = addresses(page, "#content a[href^='/admin/']"), [], []
    for address in lists:
        look(address)
        objects += addresses(page, "#result_list tbody tr:first-child th a")
    for address in objects:
        look(address)
        acts += addresses(page, "a.act, nav.tabs a:not([aria-current])")
    for address in acts:
        look(address)
    for path in (
        "/admin/search/?q=acme",
        "/admin/search/?q=nothing",
        "/admin/flowlu_admin/invitation/new/",
        "/accounts/2fa/",
        "/accounts/password/change/",
        "/accounts/invitation/",
        "/accounts/password/reset/",
        "/admin/sessions/",
        "/admin/notices/",
        "/admin/glossary/",
        "/accounts/time-zone/",
    ):
        look(f"{stack.service}{path}")

    assert len(lists) > 10
    assert len(objects) > 5
    assert len(acts) > 10
    assert found == []


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
