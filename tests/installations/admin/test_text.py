"""Text of strangers: nothing that is invisible or poses as something else reaches a page as itself."""

import pytest

from installations.admin.text import prose, visible, visible_text

_case_marked = pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Desk\u202eksed", "Desk\\u202Eksed"),
        ("De\u200bsk", "De\\u200Bsk"),
        ("De\u00adsk", "De\\u00ADsk"),
        ("De\u00a0sk", "De\\u00A0sk"),
        ("De\u3164sk", "De\\u3164sk"),
        ("De\ufe0fsk", "De\\uFE0Fsk"),
        ("De\x00sk", "De\\u0000sk"),
        ("De\U000e0041sk", "De\\U000E0041sk"),
        ("Dеsk", "D\\u0435sk"),  # a Cyrillic letter among Latin ones
        ("crm ｆｕｌｌ", "crm \\uFF46\\uFF55\\uFF4C\\uFF4C"),
    ],
)
_case_left_alone = pytest.mark.parametrize("given", ["Desk", "Café Zürich", "Отчёты", "Отчёты Desk", "報告", "a\nb\tc"])


@_case_marked
def test_deceptive_character_is_shown_as_its_escape(given: str, shown: str) -> None:
    assert visible_text(given) == shown
    assert '<span class="odd"' in visible(given)


@_case_left_alone
def test_honest_name_is_left_alone(given: str) -> None:
    assert visible_text(given) == given
    assert visible(given) == given


def test_code_shows_every_character_outside_ascii_as_its_escape() -> None:
    assert visible_text("сгм.read é", ascii_only=True) == "\\u0441\\u0433\\u043C.read \\u00E9"


def test_markup_is_escaped_beside_an_escape_too() -> None:
    assert visible("<b>") == "&lt;b&gt;"
    assert "<b>" not in visible("<b>\u202e<i>")


def test_backticks_become_code_and_the_rest_is_escaped() -> None:
    assert prose("It swallows `crm.<x>` & more.") == "It swallows <code>crm.&lt;x&gt;</code> &amp; more."
