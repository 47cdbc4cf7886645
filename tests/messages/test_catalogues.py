"""The embed page in every language: nothing missing, fuzzy or left over, equal placeholders, and all of it compiled."""

from collections.abc import Callable
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from django.utils import translation
from django.utils.translation import gettext

from tests.messages import catalogues, tables
from tests.messages.marked import Message, of_embed_page
from tokens.embed_texts import COUNTED

SAVED = Message("Saved {name}.", None, "page.html")
COUNT = Message("{count} second.", "{count} seconds.", "page.html")


@pytest.mark.parametrize("language", catalogues.TRANSLATED)
def test_catalogue_says_everything_that_the_page_does(language: str) -> None:
    assert catalogues.problems(catalogues.path_of(language), of_embed_page()) == []


def test_scripts_have_what_the_catalogues_say() -> None:
    assert tables.PATH.read_text(encoding="utf-8") == tables.rendered(), "run: make messages"


@pytest.fixture
def catalogue(tmp_path: Path) -> Callable[[Callable[[Catalog], object]], Path]:
    """Make a catalogue of two messages that is well, but for what is done to it."""

    def make(spoil: Callable[[Catalog], object], *, then_compile: bool = True) -> Path:
        path = catalogues.path_of("ru", tmp_path)
        catalogues.update(path, [SAVED, COUNT])
        catalog = catalogues.read(path)
        catalog.get(SAVED.text).string = "{name}: сохранено."
        catalog.get(COUNT.text).string = ("{count} секунда.", "{count} секунды.", "{count} секунд.")
        _write(path, catalog)
        catalogues.compile_catalogue(path)
        spoil(catalog)
        _write(path, catalog)
        if then_compile:
            catalogues.compile_catalogue(path)
        return path

    return make


def _write(path: Path, catalog: Catalog) -> None:
    with path.open("wb") as file:
        write_po(file, catalog)


def _say(text: str) -> Callable[[Catalog], object]:
    return lambda catalog: setattr(catalog.get(SAVED.text), "string", text)


@pytest.mark.parametrize(
    ("_case", "spoil", "problem"),
    [
        ("well", lambda catalog: None, None),
        ("empty", _say(""), "not translated: Saved {name}."),
        ("copied", _say("Saved {name}."), "not translated: Saved {name}."),
        ("fuzzy", lambda catalog: catalog.get(SAVED.text).flags.add("fuzzy"), "fuzzy: Saved {name}."),
        ("another placeholder", _say("{nome}: сохранено."), "other placeholders: Saved {name}."),
        ("no placeholder", _say("Сохранено."), "other placeholders: Saved {name}."),
        ("markup", _say("<b>{name}</b>: сохранено."), "markup: Saved {name}."),
        ("no full stop", _say("{name}: сохранено"), "another end: Saved {name}."),
        ("spaces", _say("{name}:  сохранено."), "odd spaces: Saved {name}."),
        ("missing", lambda catalog: catalog.delete(SAVED.text), "missing: Saved {name}."),
        ("left over", lambda catalog: catalog.add("Gone.", "Нет."), "of no use: Gone."),
        (
            "a form missing",
            lambda catalog: setattr(catalog.get(COUNT.text), "string", ("{count} с.", "{count} с.")),
            "not translated: ('{count} second.', '{count} seconds.')",
        ),
    ],
)
def test_what_is_wrong_is_found(
    catalogue: Callable[..., Path], _case: str, spoil: Callable[[Catalog], object], problem: str | None
) -> None:
    # What is empty or fuzzy is also not compiled, which is said after it.
    assert catalogues.problems(catalogue(spoil), [SAVED, COUNT])[:1] == ([problem] if problem else [])


def test_catalogue_that_was_not_compiled_is_found(catalogue: Callable[..., Path]) -> None:
    path = catalogue(_say("Сохранено: {name}."), then_compile=False)

    assert catalogues.problems(path, [SAVED, COUNT]) == [
        "the .mo file says something else than the .po file: make messages"
    ]


def test_bringing_a_catalogue_up_to_date_keeps_what_stays_and_guesses_nothing(
    catalogue: Callable[..., Path],
) -> None:
    path = catalogue(lambda catalog: None)

    catalogues.update(path, [SAVED, Message("Saved {names}.", None, "page.html")])

    catalog = catalogues.read(path)
    assert catalog.get(SAVED.text).string == "{name}: сохранено."
    assert catalog.get("Saved {names}.").string == ""
    assert catalog.get(COUNT.text) is None
    before = path.read_bytes()
    catalogues.update(path, [SAVED, Message("Saved {names}.", None, "page.html")])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("language", "number", "text"),
    [
        ("en", 1, "You can try again in {count} second."),
        ("en", 21, "You can try again in {count} seconds."),
        ("es", 1, "Puede intentarlo de nuevo dentro de {count} segundo."),
        ("es", 2, "Puede intentarlo de nuevo dentro de {count} segundos."),
        ("pt", 2, "Você pode tentar novamente em {count} segundos."),
        ("ru", 21, "Вы можете попробовать снова через {count} секунду."),
        ("ru", 22, "Вы можете попробовать снова через {count} секунды."),
        ("ru", 12, "Вы можете попробовать снова через {count} секунд."),
    ],
)
def test_service_reads_the_compiled_catalogue_with_its_plurals(language: str, number: int, text: str) -> None:
    with translation.override(language):
        assert COUNTED["page.retry_after"](number) == text


def test_catalogues_of_packages_go_on_saying_their_own(settings: object) -> None:
    with translation.override("ru"):
        assert gettext("Connect again") == "Подключиться снова"
        assert gettext("Delete") == "Удалить"
