"""The catalogues of the embed page: read, brought up to date, compiled, and what is wrong with them."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as Entry
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

from tests.messages.marked import ROOT, Message
from tokens.embed_texts import LANGUAGES

LOCALE = ROOT / "locale"
TRANSLATED = LANGUAGES[1:]  # the first is what the messages are written in
# The same in two languages, and no translation that was forgotten.
SAME = frozenset({"Portal", "Id"})
_HEADER = "# The embed page in this language. `make messages` brings it up to date with the code and compiles it."
_WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)  # a date would make each run a change
_PLACEHOLDER = re.compile(r"\{\w+\}|%\(\w+\)[sd]")
_MARKUP = re.compile(r"[<>&\"]")
_END = re.compile(r"[.…:?!)]?$")


def path_of(language: str, folder: Path = LOCALE) -> Path:
    return folder / language / "LC_MESSAGES" / "django.po"


def read(path: Path) -> Catalog:
    language = path.parent.parent.name
    with path.open("rb") as file:
        return read_po(file, locale=language) if path.suffix == ".po" else read_mo(file)


def update(path: Path, messages: Iterable[Message]) -> None:
    """Make the catalogue one of exactly these messages; translations of those that stay are kept."""
    language = path.parent.parent.name
    catalog = read(path) if path.exists() else Catalog(locale=language)
    template = Catalog()
    for message in messages:
        template.add(key_of(message), locations=[(message.place, 0)])
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.header_comment = _HEADER
    catalog.project, catalog.version = "embed page", "1"
    catalog.msgid_bugs_address = catalog.last_translator = catalog.language_team = ""
    catalog.creation_date = catalog.revision_date = _WRITTEN
    catalog.fuzzy = False
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, width=120, include_lineno=False, ignore_obsolete=True)


def compile_catalogue(path: Path) -> None:
    """Write the .mo file that the service reads beside the .po file."""
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, read(path))


def key_of(message: Message) -> str | tuple[str, str]:
    return message.text if message.plural is None else (message.text, message.plural)


def problems(path: Path, messages: Iterable[Message]) -> list[str]:
    """Return what is missing, superfluous, fuzzy, not of the same form, or not compiled; empty when all is well."""
    catalog = read(path)
    keys = {key_of(message) for message in messages}
    found = [f"missing: {key}" for key in keys if catalog.get(_id(key)) is None]
    found += [f"of no use: {entry.id}" for entry in _entries(catalog) if entry.id not in keys]
    for entry in _entries(catalog):
        found += [f"{what}: {entry.id}" for what in _wrong(entry, catalog.num_plurals)]
    if _translations(catalog) != _translations(read(path.with_suffix(".mo"))):
        found.append("the .mo file says something else than the .po file: make messages")
    return found


def _wrong(entry: Entry, forms: int) -> Iterator[str]:
    sources, translations = _forms(entry.id), _forms(entry.string)
    if not all(translations) or len(translations) != (1 if len(sources) == 1 else forms):
        yield "not translated"
        return
    if entry.fuzzy:
        yield "fuzzy"
    if any(placeholders(text) != placeholders(sources[-1]) for text in translations):
        yield "other placeholders"
    if any(_MARKUP.search(text) for text in translations):  # `{% translate %}` does not escape its text
        yield "markup"
    if any(_END.findall(text)[0] != _END.findall(sources[0])[0] for text in translations):
        yield "another end"
    if any(text != text.strip() or "  " in text for text in translations):
        yield "odd spaces"
    if sources[0] in translations and sources[0] not in SAME:
        yield "not translated"


def placeholders(text: str) -> list[str]:
    return sorted(_PLACEHOLDER.findall(text))


def _id(key: str | tuple[str, str]) -> str:
    return key if isinstance(key, str) else key[0]


def _entries(catalog: Catalog) -> Iterator[Entry]:
    return (entry for entry in catalog if entry.id)


def _translations(catalog: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    return {_forms(entry.id): _forms(entry.string) for entry in _entries(catalog)}


def _forms(text: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)
