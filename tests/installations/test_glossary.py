"""The glossary is one: the console, docs/glossary.md and the headings that are explained say the same."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from installations import glossary
from installations.glossary import TERMS, UnknownTermError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
_DECISION = re.compile(r" \(ADR \d+\)")  # the document says where a decision is, which is of no use in the console


def rows() -> list[tuple[str, str]]:
    """Return the words and meanings of the document's table."""
    lines = [line.strip("| ").split(" | ") for line in DOCUMENT.splitlines() if line.startswith("| ")]
    return [(word, _DECISION.sub("", meaning)) for word, meaning in lines[1:]]


def test_document_says_what_the_console_says() -> None:
    assert rows() == [(str(term.word), str(term.meaning)) for term in TERMS.values()]


def test_every_word_is_there_once_and_every_heading_is_about_one_term() -> None:
    words = [str(term.word).casefold() for term in TERMS.values()]
    headings = [str(heading) for term in TERMS.values() for heading in term.headings]

    assert len(words) == len(set(words))
    assert len(headings) == len(set(headings))
    assert headings == [heading.casefold() for heading in headings]


@pytest.mark.parametrize("key", TERMS)
def test_meaning_is_a_sentence_or_two_with_an_address_of_its_own(key: str) -> None:
    meaning = str(TERMS[key].meaning)

    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", key)
    assert meaning[0].isupper() or meaning[0] == "`"
    assert meaning.endswith(".")
    assert len(re.findall(r"\.(?= |$)", meaning)) <= 3
    assert len(meaning) <= 260
    assert meaning.count("`") % 2 == 0


@pytest.mark.parametrize(
    ("_case", "heading", "key"),
    [
        ("as it is listed", "generation", "generation"),
        ("as a page writes it", "Generation", "generation"),
        ("another word", "Stale since", "stale"),
        ("a word with more behind it", "Generation 2", None),
        ("a word that heads nothing", "launch", None),
        ("nothing", "", None),
    ],
)
def test_heading_is_about_the_term_that_it_names_whole(_case: str, heading: str, key: str | None) -> None:
    assert glossary.key_of_heading(heading) == key


def test_heading_is_known_in_whatever_language_it_is_written() -> None:
    with translation.override("ru"):
        heading = str(TERMS["generation"].headings[0])
        assert glossary.key_of_heading(heading) == "generation"


def test_unknown_key_is_an_error() -> None:
    with pytest.raises(UnknownTermError, match="ghost"):
        glossary.term("ghost")
