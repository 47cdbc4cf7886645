"""Words explain themselves: each term on a page of the console that speaks of it, and all of them on their own page."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.template import Context, Engine, TemplateSyntaxError
from django.test import Client, RequestFactory

from installations.glossary import TERMS, UnknownTermError
from installations.models import Application
from tests.installations.admin.console import signed_in, text
from tests.security.permissions import URLS
from tests.security.scene import Scene, set_up
from tests.security.test_permission_matrix import address

PAGE = "/admin/glossary/"
EXPLAINED = re.compile(r'popovertarget="term-([a-z-]+)"')


class Structure(HTMLParser):
    """What the explanations of a page hang on: their ids, and what a button of theirs stands in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.asked_for: list[tuple[str, str]] = []
        self.inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(values["id"])
        if tag == "button" and "popovertarget" in values:
            self.asked_for.append((values["popovertarget"], values["aria-describedby"]))
            self.inside += {"a", "button", "label", "summary", "option"} & set(self.open)
        if tag not in ("input", "img", "link", "meta", "br", "hr", "col", "source", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass


@pytest.fixture
def scene(application: Application, settings: Any) -> Scene:
    settings.OPERATOR_MFA = "required"
    settings.FOUR_EYES = "on"
    return set_up(application)


def pages(scene: Scene) -> Iterator[tuple[str, str]]:
    """Yield the name and the HTML of every page of the console, but for the glossary's own."""
    client = scene.client("superuser")
    for key in URLS:
        if key.startswith("admin:") and key not in ("admin:logout", "admin:glossary"):
            answer = client.get(address(scene, key))
            if answer.status_code == 200 and answer["Content-Type"].startswith("text/html") and not answer.streaming:
                yield key, answer.content.decode()


@pytest.mark.django_db
def test_every_term_explains_itself_where_the_console_speaks_of_it(scene: Scene) -> None:
    where: dict[str, list[str]] = {key: [] for key in TERMS}
    found = 0
    for name, page in pages(scene):
        found += 1
        structure = Structure(page)
        for key in EXPLAINED.findall(page):
            where[key].append(name)
        # Each explanation is on the page once, is what its button opens and what describes the button, and the button
        # stands in nothing else that is pressed.
        popovers = [each for each in structure.ids if each.startswith("term-")]
        assert len(popovers) == len(set(popovers)), name
        assert sorted(popovers) == sorted(target for target, _described in structure.asked_for), name
        assert all(target == described for target, described in structure.asked_for), name
        assert structure.inside == [], name

    assert found > 80
    assert [key for key, names in where.items() if not names] == [k for k, term in TERMS.items() if not term.in_console]


def test_pages_name_only_terms_that_there_are() -> None:
    named = {key: shown for shown in admin.site._registry.values() for key in getattr(shown, "words_here", ())}
    assert named.keys() - TERMS.keys() == set()


def rendered(source: str) -> str:
    context = Context({"request": RequestFactory().get("/"), "name": "<b>Generation</b>"})
    return Engine.get_default().from_string("{% load console %}" + source).render(context)


def test_second_use_on_a_page_is_the_plain_word() -> None:
    first, second, plain = rendered("{% term 'stale' %}|{% term 'stale' 'Not taken' %}|{% words_here 'stale' %}").split(
        "|"
    )

    assert "<button" in first
    assert ">stale</button>" in first
    assert second == "Not taken"
    assert plain.strip() == ""


def test_word_is_escaped_and_code_in_a_meaning_is_code() -> None:
    assert "&lt;b&gt;Generation&lt;/b&gt;</button>" in rendered("{% term 'generation' name %}")
    assert "<code>X-Session-Token</code>" in rendered("{% heading 'Embed sessions' %}")
    assert rendered("{% heading name %}") == "&lt;b&gt;Generation&lt;/b&gt;"


@pytest.mark.parametrize("source", ["{% term 'ghost' %}", "{% words_here 'ghost' %}"])
def test_unknown_term_is_an_error(source: str) -> None:
    with pytest.raises((UnknownTermError, TemplateSyntaxError)):
        rendered(source)


@pytest.mark.django_db
def test_page_lists_every_term_with_an_address(outsider: Any, django_assert_max_num_queries: Any) -> None:
    client: Client = signed_in(outsider)
    with django_assert_max_num_queries(6):
        answer = client.get(PAGE)

    page = answer.content.decode()
    assert answer.status_code == 200
    assert re.findall(r'<div id="([a-z-]+)"><dt><a href="#([a-z-]+)">', page) == sorted(
        ((key, key) for key in TERMS), key=lambda pair: str(TERMS[pair[0]].word).casefold()
    )
    assert "nothing of an older generation can do anything" in text(answer)
    assert f'<a href="{PAGE}">What the words mean</a>' in client.get("/admin/").content.decode()
