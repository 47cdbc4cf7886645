"""tables.js: the texts of the embed page's scripts in every language, for the page and for vendors' own frontends."""

import json

from django.utils import translation
from django.utils.translation import gettext

from tests.messages.marked import ROOT, scope_words
from tokens.embed_texts import COUNTED, LANGUAGES, TEXTS

PATH = ROOT / "tokens" / "static" / "embed" / "tables.js"
# A number of each kind that a language tells apart (Intl.PluralRules); for kinds not named here `other` is said.
NUMBERS = {
    "en": {"one": 1, "other": 2},
    "es": {"one": 1, "many": 1_000_000, "other": 2},
    "pt": {"one": 1, "many": 1_000_000, "other": 2},
    "ru": {"one": 1, "few": 2, "many": 5, "other": 2},
}
_HEAD = """\
// Made by `make messages`: the texts are in tokens/embed_texts.py and installations/catalogue.json, their translations
// in locale/.
"""


def rendered() -> str:
    """Return what tables.js has to be."""
    texts, words = {}, {}
    for language in LANGUAGES:
        with translation.override(language):
            texts[language] = {key: str(text) for key, text in TEXTS.items()} | _counted(NUMBERS[language])
            words[language] = {} if language == LANGUAGES[0] else _words()
    return f"{_HEAD}export const texts = {_written(texts)};\n\nexport const words = {_written(words)};\n"


def _counted(numbers: dict[str, int]) -> dict[str, dict[str, str]]:
    return {key: {kind: text(number) for kind, number in numbers.items()} for key, text in COUNTED.items()}


def _words() -> dict[str, str]:
    return {whole: " ".join(map(gettext, parts)) for whole, parts in scope_words()}


def _written(table: object) -> str:
    return json.dumps(table, ensure_ascii=False, indent=2)
