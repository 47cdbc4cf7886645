"""Sentences that are English for programs and can be said in another language on a page."""

import copy
import pickle
from collections.abc import Iterator

import pytest
from django.utils import translation
from django.utils.translation import gettext, gettext_lazy, ngettext

from installations.admin.text import sentences, translated, visible, visible_text
from installations.errors import DomainError
from installations.said import Said, joined, said, said_of

SAVED = said("Saved %(name)s.", name="50 %")


def test_sentence_is_its_english() -> None:
    assert SAVED == "Saved 50 %."
    assert {SAVED: 1}["Saved 50 %."] == 1
    assert said("100 % of it.") == "100 % of it."
    assert [said_of("%(count)s row", "%(count)s rows", count) for count in (0, 1, 1200)] == [
        "0 rows",
        "1 row",
        "1,200 rows",
    ]
    assert joined("; ", [SAVED, "x %"]) == "Saved 50 %.; x %"
    assert joined(" ", []) == ""


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda sentence: pickle.loads(pickle.dumps(sentence))])
def test_sentence_can_be_copied(again: object) -> None:
    assert again(SAVED) == SAVED  # type: ignore[operator]


CONNECTED, STOPPED = "Connected.", "Access is stopped."  # messages of the embed page, which has catalogues


@pytest.fixture
def in_russian() -> Iterator[None]:
    with translation.override("ru"):
        assert gettext(CONNECTED) != CONNECTED
        yield


@pytest.mark.usefixtures("in_russian")
def test_page_says_it_in_its_language() -> None:
    connected, stopped = gettext(CONNECTED), gettext(STOPPED)

    assert translated(said(CONNECTED)) == connected
    assert translated(said("%(what)s", what=said(CONNECTED))) == connected
    assert translated(joined(" ", [said(CONNECTED), "acme", said(STOPPED)])) == f"{connected} acme {stopped}"
    assert translated(ValueError(said(STOPPED))) == stopped
    assert translated(gettext_lazy(CONNECTED)) == connected
    assert sentences(said(CONNECTED), "", said(STOPPED)) == f"{connected} {stopped}"
    assert visible(said(CONNECTED)) == visible_text(said(CONNECTED)) == connected
    assert translated(Row()) == connected


@pytest.mark.usefixtures("in_russian")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_page_has_the_form_of_the_number(count: int) -> None:
    seconds = ("You can try again in {count} second.", "You can try again in {count} seconds.")

    assert translated(said_of(*seconds, count)) == ngettext(*seconds, count) != said_of(*seconds, count)


class Row:
    def __str__(self) -> str:
        return said(CONNECTED)


@pytest.mark.usefixtures("in_russian")
def test_what_strangers_wrote_is_no_message() -> None:
    assert translated(CONNECTED) == CONNECTED
    assert translated(said("%(name)s", name="acme %(x)s")) == "acme %(x)s"


def test_error_keeps_its_sentence() -> None:
    class Refused(DomainError):
        public_message = SAVED

    assert isinstance(Refused().public_message, Said)
    assert str(Refused()) == "error: Saved 50 %."
