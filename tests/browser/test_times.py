"""Times in the operator's zone: the browser's is offered, and the exact UTC is there for pointer and keyboard."""

from typing import Any

import pytest

from tests.browser.conftest import Stack
from tests.browser.test_story import expect, open_application, open_installation, sign_in

pytestmark = pytest.mark.browser

EXACT = "one => { const after = getComputedStyle(one, '::after'); return [after.content, after.display]; }"


def save(page: Any, stack: Stack) -> None:
    page.click("#content form.panel button[type=submit]")
    expect(page.locator(".messagelist")).to_contain_text("from now on")


def test_zone_of_the_browser_is_offered_and_the_exact_time_is_a_tab_stop_away(
    stack: Stack, open_page: Any, complaints: list[str]
) -> None:
    open_application(open_page(), stack, "acme.flowlu.com", "3").locator("#user-name").wait_for()
    page = open_page(timezone_id="Asia/Tokyo")
    page.set_viewport_size({"width": 360, "height": 800})
    sign_in(page, stack)

    # when the operator takes the zone that the browser is in
    page.goto(f"{stack.service}/accounts/time-zone/")
    expect(page.locator("#browser-zone")).to_contain_text("This browser is in Asia/Tokyo.")
    page.click("#browser-zone button")
    expect(page.locator("select[name=zone]")).to_have_value("Asia/Tokyo")
    save(page, stack)
    expect(page.locator("#browser-zone")).to_be_hidden()

    # then times are told in it, and the exact one is shown where the focus is, until Escape
    open_installation(page, stack, "acme")
    moment = page.locator("time").first
    expect(moment).to_contain_text("JST")
    exact = moment.get_attribute("data-exact")
    assert exact.endswith(" UTC")
    assert moment.evaluate(EXACT)[0] == "none"
    moment.focus()
    assert moment.evaluate(EXACT) == [f'"{exact}"', "block"]
    page.keyboard.press("Escape")
    assert moment.evaluate(EXACT)[1] == "none"
    page.keyboard.press("Tab")
    moment.focus()
    assert moment.evaluate(EXACT)[1] == "block"
    moment.hover()
    assert moment.evaluate(EXACT)[1] == "block"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360

    page.goto(f"{stack.service}/accounts/time-zone/")
    page.select_option("select[name=zone]", "UTC")
    save(page, stack)
    assert complaints == []
