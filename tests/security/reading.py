"""A page as its reader meets it: elements, attributes, words, and what in them is not what it seems."""

import re
import unicodedata
from html.parser import HTMLParser

from tests.security.labels import ATTRIBUTE, ELEMENT


class Page(HTMLParser):
    """What a browser makes of a page: elements, attributes, and the text that people read."""

    # What a person typed stands in these as it was typed, so that it can be sent again.
    RAW = (("input", "value"), ("textarea", None))

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.words: list[str] = []
        self.read: list[str] = []
        self._open = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        if tag == ELEMENT:
            self.found.append(f"element {tag}")
        for name, value in attrs:
            if name == ATTRIBUTE or not re.fullmatch(r"[a-z][a-z0-9:-]*", name):
                self.found.append(f"attribute {name!r} of {tag}")
            if name.startswith("on") and name not in ("once",):
                self.found.append(f"handler {name} of {tag}")
            if name in ("href", "src", "action") and re.match(r"\s*(javascript|data|vbscript):", value or "", re.I):
                self.found.append(f"{name} of {tag} is {value!r}")
            if (tag, name) not in self.RAW:
                self.words.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""
        if tag == ELEMENT:
            self.found.append(f"end of {tag}")

    def handle_comment(self, data: str) -> None:
        if "zq" in data:  # Django's own pages have comments
            self.found.append(f"comment {data[:40]!r}")

    def handle_data(self, data: str) -> None:
        if self._open != "textarea":
            self.words.append(data)
            self.read.append(data)


def faults_of(source: str) -> list[str]:
    """Return what a label did to a page, nothing when it is only text."""
    page = Page(source)
    return page.found + [ascii(text.strip()) for text in page.words if deceits(text)]


def deceits(text: str) -> set[str]:
    """Return what a reader would not see, or take for something else."""
    unseen = {
        character
        for character in text
        if character not in "\n\t\r\u00a0"
        and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"}
    }
    return unseen | set(re.findall("c\u0430t|\u0301{4,}", text))
