"""Words explain themselves by keyboard, by pointer and by touch, and without any script (WCAG 2.2, 1.4.13)."""

from typing import Any

import pytest

from tests.browser.conftest import Stack
from tests.browser.test_accessibility import violations
from tests.browser.test_story import sign_in

pytestmark = pytest.mark.browser

LIST = "/admin/installations/installation/"


def open_list(stack: Stack, page: Any) -> tuple[Any, Any]:
    """Open a list and return a word on it and what it means."""
    sign_in(page, stack)
    page.goto(f"{stack.service}{LIST}")
    return page.locator("[popovertarget=term-generation]"), page.locator("#term-generation")


def tab_to(page: Any, word: Any) -> None:
    for _ in range(100):
        page.keyboard.press("Tab")
        if word.evaluate("word => word === document.activeElement"):
            return
    pytest.fail("The keyboard does not come to the word.")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_keyboard_opens_a_meaning_and_escape_closes_it(
    stack: Stack, open_page: Any, complaints: list[str], color_scheme: str
) -> None:
    page = open_page(color_scheme=color_scheme)
    word, meaning = open_list(stack, page)
    assert not meaning.is_visible()

    tab_to(page, word)
    meaning.wait_for(state="visible")
    assert violations(page) == []
    page.keyboard.press("Escape")
    meaning.wait_for(state="hidden")
    assert word.evaluate("word => word === document.activeElement")
    page.keyboard.press("Enter")
    meaning.wait_for(state="visible")
    page.keyboard.press("Tab")
    meaning.wait_for(state="hidden")

    assert complaints == []


def test_pointer_opens_a_meaning_which_stays_while_it_is_pointed_at(stack: Stack, open_page: Any) -> None:
    page = open_page()
    word, meaning = open_list(stack, page)

    word.hover()
    meaning.wait_for(state="visible")
    meaning.hover()
    page.wait_for_timeout(500)
    assert meaning.is_visible()
    page.keyboard.press("Escape")
    meaning.wait_for(state="hidden")
    word.click()
    meaning.wait_for(state="visible")
    page.mouse.move(1, 1)
    meaning.wait_for(state="hidden")


def test_touch_opens_a_meaning_that_fits_a_narrow_page(stack: Stack, open_page: Any) -> None:
    page = open_page(has_touch=True)
    page.set_viewport_size({"width": 360, "height": 740})
    word, meaning = open_list(stack, page)

    word.tap()
    meaning.wait_for(state="visible")
    box = meaning.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.touchscreen.tap(180, 700)
    meaning.wait_for(state="hidden")


def test_headings_that_explain_themselves_are_seen_on_a_narrow_page(stack: Stack, open_page: Any) -> None:
    page = open_page()
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page, stack)
    page.goto(f"{stack.service}/admin/installations/catalogueedition/catalogue/")
    words = page.locator("table.cards thead .term button")

    assert words.count() > 0
    for word in words.all():
        word.click()
        assert word.bounding_box()["width"] > 20


def test_word_explains_itself_without_any_script(stack: Stack, open_page: Any) -> None:
    page = open_page(java_script_enabled=False)
    word, meaning = open_list(stack, page)

    word.click()
    meaning.wait_for(state="visible")
    page.keyboard.press("Escape")
    meaning.wait_for(state="hidden")
