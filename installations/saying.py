"""What lower layers said in English, in the language of the page."""

from django.utils.translation import gettext, ngettext

from installations.said import Said


def translated(text: object) -> str:
    """Return a text in the language of the page: what a lower layer said in English, or what is lazy."""
    if isinstance(text, Exception) and text.args and isinstance(text.args[0], Said):
        text = text.args[0]
    words = text if isinstance(text, str) else str(text)  # a row may say what it is called, to be translated
    if not isinstance(words, Said):
        return str(words)
    values = {name: value if isinstance(value, int) else translated(value) for name, value in words.values.items()}
    template = gettext(words.message) if words.plural is None else ngettext(words.message, words.plural, words.number)
    return template % values if values else template


def sentences(*parts: object) -> str:
    """Return whole sentences, one after the other, without the empty ones."""
    return " ".join(filter(None, map(translated, parts)))
