"""Text that strangers wrote, made safe to read: what is invisible or poses as something else is shown as its escape.

Pure. Pages show it through the filters of `templatetags`, commands through `management.output`.
"""

import re
import unicodedata
from collections.abc import Iterator

# Controls, format characters (direction marks, joiners), surrogates, private use, unassigned, line separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters, marks and symbols that draw nothing, though Unicode does not file them under any of these.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
_MARKS = frozenset({"Mn", "Me"})
_LOOKALIKE_SCRIPTS = frozenset({"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN"})
_WORD = re.compile(r"[^\W\d_]+")
_SINGLE_SPACE = re.compile(r"(?<=\S) (?=\S)")
# No language stacks more marks on one letter than this; a pile of them runs over the lines above and below.
_MOST_MARKS = 3


def visible_text(text: object, *, ascii_only: bool = False) -> str:
    """Return the text with each deceptive character as `\\u202E`.

    With `ascii_only`, for codes, so does every character outside ASCII, and white space that a reader overlooks.
    """
    return "".join(part for part, _odd in parts(str(text), ascii_only=ascii_only))


def one_line(text: object) -> str:
    """Return the same as one line, line breaks and tabs as their escapes too: for terminals and logs."""
    return visible_text(text).replace("\n", "\\n").replace("\t", "\\t")


def parts(text: str, *, ascii_only: bool = False) -> Iterator[tuple[str, bool]]:
    """Cut the text into pieces, each with whether it is the escape of a deceptive character."""
    if text.isascii() and text.isprintable() and not (ascii_only and _overlooked(text)):
        if text:
            yield text, False
        return
    posing = _posing(text) | _piled_up(text) | (_overlooked(text) if ascii_only else set())
    plain = ""
    for index, character in enumerate(text):
        is_ascii = character.isascii() and (character.isprintable() or character in "\n\t")
        if index in posing or not is_ascii and (ascii_only or _is_unseen(character)):
            if plain:
                yield plain, False
                plain = ""
            yield _escape(character), True
        else:
            plain += character
    if plain:
        yield plain, False


def _is_unseen(character: str) -> bool:
    category = unicodedata.category(character)
    styled = unicodedata.decomposition(character).startswith(("<wide>", "<font>"))
    return category in _UNSEEN or category == "Zs" or character in _BLANKS or styled


def _posing(text: str) -> set[int]:
    """Return the places of letters that stand among Latin ones and look like them: a Cyrillic `о` in `accоunts`."""
    if text.isascii():
        return set()
    found: set[int] = set()
    for word in _WORD.finditer(text):
        scripts = [unicodedata.name(character, "").split(" ")[0] for character in word.group()]
        if "LATIN" in scripts:
            found.update(word.start() + at for at, script in enumerate(scripts) if script in _LOOKALIKE_SCRIPTS)
    return found


def _overlooked(text: str) -> set[int]:
    """Return the places of white space in a code that pages collapse: at its ends, doubled, or other than a space."""
    shown = {match.start() for match in _SINGLE_SPACE.finditer(text)}
    return {at for at, character in enumerate(text) if character.isspace() and at not in shown}


def _piled_up(text: str) -> set[int]:
    """Return the places of marks that stand on no letter, or on one that bears enough of them already."""
    found: set[int] = set()
    marks = _MOST_MARKS
    for at, character in enumerate(text):
        marks = marks + 1 if unicodedata.category(character) in _MARKS else 0
        if marks > _MOST_MARKS:
            found.add(at)
    return found


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
