"""The embed page in each of its languages, as a portal user lives it: whole, within 320 px, and barring nobody."""

from typing import Any

import pytest

from tests.browser.conftest import Stack
from tests.browser.test_accessibility import frame_violations
from tests.browser.test_story import expect, open_application

pytestmark = pytest.mark.browser

NARROW = 320
OF_GLOBEX = "--portal globex.flowlu.com --app com.example.desk --operator operator --reason Tested.".split()
# By language: the state, the role, what is approved, the page of the list, and a revocation.
SAID = {
    "en": ("Connected.", "Portal administrator", "Nothing is approved yet.", "1 to 10 of", "was revoked"),
    "es": ("Conectado.", "Administrador del portal", "Todavía no hay nada aprobado.", "1 a 10 de", "fue revocado"),
    "pt": ("Conectado.", "Administrador do portal", "Nada foi aprovado ainda.", "1 a 10 de", "foi revogado"),
    "ru": ("Подключено.", "Администратор портала", "Пока ничего не одобрено.", "1–10 из", "был отозван"),
}
ACCOUNTS = {
    "en": "CRM organisations and contacts",
    "es": "Organizaciones y contactos de CRM",
    "pt": "Organizações e contatos do CRM",
    "ru": "Организации и контакты CRM",
}


def inside(page: Any) -> Any:
    return next(frame for frame in page.frames if "/embed/" in frame.url)


def too_wide(frame: Any) -> list[str]:
    """Return the elements that stick out of the page; of one that scrolls by itself what is in it may."""
    found: list[str] = frame.evaluate(
        """() => [...document.querySelectorAll('body *')]
          .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
          .map((one) => one.outerHTML.slice(0, 120))"""
    )
    return found


def narrow(page: Any) -> None:
    """Make the iframe as wide as a small phone, whatever the portal puts around it."""
    page.frame_locator("iframe").locator("html[lang]").wait_for(state="attached")
    page.locator("iframe").evaluate(f"frame => {{ frame.style.width = '{NARROW}px'; frame.style.border = '0'; }}")
    # Not by wait_for_function, which asks again with eval: the page's own policy forbids that.
    expect(page.frame_locator("iframe").locator("html[lang]")).to_have_js_property("clientWidth", NARROW)


def look(page: Any) -> None:
    assert too_wide(inside(page)) == []
    assert frame_violations(inside(page)) == []


@pytest.mark.parametrize("language", SAID)
def test_portal_user_reads_everything_in_the_language_of_the_launch(
    stack: Stack, open_page: Any, complaints: list[str], language: str
) -> None:
    connected, role, nothing, range_, revoked = SAID[language]
    page = open_page(locale="de-DE")
    frame = open_application(page, stack, "globex.flowlu.com", "1", language=language)
    narrow(page)

    # when nothing is approved
    expect(frame.locator("html")).to_have_attribute("lang", language)
    expect(frame.locator("#status")).to_have_text(connected)
    expect(frame.locator("#user-role")).to_have_text(role)
    expect(frame.locator("#approved-none")).to_have_text(nothing)
    look(page)

    # when the accounts are approved
    stack.manage("approve_scopes", *OF_GLOBEX, "crm.accounts.read")
    frame.locator("#accounts-check").click()
    expect(frame.locator("#accounts-rows tr").first).to_be_visible()
    expect(frame.locator("#approved")).to_contain_text(ACCOUNTS[language])
    expect(frame.locator("#accounts-range")).to_contain_text(range_)
    look(page)

    # when the user is about to leave, and when access was revoked
    frame.locator("#disconnect").click()
    look(page)
    stack.manage("revoke_tokens", *OF_GLOBEX)
    frame.locator("#accounts-next").click()
    expect(frame.locator("#notice-text")).to_contain_text(revoked)
    look(page)

    # then nothing of the page is in English, but for what is the same there
    if language != "en":
        text = inside(page).evaluate("document.body.innerText")
        assert [word for word in (" the ", " your ", "Next", "Role", "Active") if word in text] == []
    stack.manage("withdraw_scopes", *OF_GLOBEX, "crm.accounts")
    assert complaints == []


@pytest.mark.parametrize(
    ("locale", "query", "language"),
    [("pt-BR", "", "pt"), ("ru-RU", "?language=es", "es"), ("de-DE", "", "en"), ("es-MX", "?language=%3Cb%3E", "es")],
)
def test_language_is_the_browsers_where_the_launch_names_none(
    stack: Stack, open_page: Any, complaints: list[str], locale: str, query: str, language: str
) -> None:
    page = open_page(locale=locale)
    page.set_viewport_size({"width": NARROW, "height": 640})
    page.goto(f"{stack.service}/embed/{query}")

    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.locator("#notice-text")).to_contain_text("Flowlu")
    assert too_wide(page.main_frame) == []
    assert complaints == []
