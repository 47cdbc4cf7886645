"""Strict JSON: agrees with the standard library on good documents and places every fault of a bad one."""

import cProfile
import json
import pstats
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.strict_json import MAX_INTEGER, StrictJSONError, canonical, loads
from tests.weighed import MIB, weighed

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
    max_leaves=20,
)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_reads_what_the_standard_library_writes(value: object, ascii_only: bool, indent: int | None) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert loads(written, max_bytes=10**6) == value
    assert loads(written.encode(), max_bytes=10**6) == value


@given(values)
def test_canonical_form_is_stable(value: object) -> None:
    assert canonical(loads(canonical(value), max_bytes=10**6)) == canonical(value)


def test_canonical_form_sorts_names_and_has_no_space() -> None:
    assert canonical({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'.encode()


@given(st.text(alphabet='{}[]",:\\u0aet1-.+/* \n\0\ud800') | st.text())
def test_anything_else_is_refused_with_a_place(document: str) -> None:
    try:
        loads(document, max_bytes=10**6)
    except StrictJSONError as error:
        place = (error.line, error.column)
    else:
        json.loads(document)
        place = (1, 1)
    assert min(place) >= 1


PLAIN_PIECES = ["a", "é", "\U0001f600", '"', "\\", "u", "0", "d8", "\n", "/*"]
ESCAPES = r"\n \\ \" \/ \b \f \r \t \N \x \u \u00 \u0041 \u0000 \u00e9 \u000A \uFFFF \uD7FF \uE000 \uDC".split(" ")
SURROGATES = r"\ud83d \ude00 \ud83d\ude00 \uDBFF\uDFFF \ud83d\u0041".split(" ")
PIECES = st.lists(st.sampled_from(PLAIN_PIECES + ESCAPES + SURROGATES), max_size=6).map("".join)


@given(PIECES, st.sampled_from([0, 1, 998, 999, 1000, 2500]))
def test_escapes_are_read_as_the_standard_library_does_but_for_what_is_no_character(pieces: str, before: int) -> None:
    literal = '"' + "\\n" * before + pieces + '"'
    try:
        expected = json.loads(literal)
    except ValueError:
        expected = None
    if expected is None or re.search("[\0\ud800-\udfff]", expected):
        with pytest.raises(StrictJSONError) as caught:
            loads(literal, max_bytes=10**6)
        assert caught.value.line > 1 or caught.value.column > 1 + 2 * before
    else:
        assert loads(literal, max_bytes=10**6) == expected


@pytest.mark.parametrize("escape", ["\\n", "\\u00e9", "\\ud83d\\ude00", "a\\n"])
@pytest.mark.parametrize(
    ("end", "fault", "further"),
    [
        ('"', None, 0),
        ("", "not closed", 0),
        ('\\x"', "escape", 0),
        ('\\u12"', "hexadecimal", 0),
        ('\\ud83d\\u12"', "hexadecimal", 6),
        ('\\udc00"', "surrogate", 0),
        ('\\u0000"', "NUL", 0),
        ('\n"', "line break", 0),
    ],
    ids=ascii,
)
def test_many_escapes_cost_no_call_each_and_little_memory(
    escape: str, end: str, fault: str | None, further: int
) -> None:
    many = escape * ((MIB - 20) // len(escape))
    document = '"' + many + end
    profile = cProfile.Profile()

    def read() -> object:
        try:
            return loads(document, max_bytes=MIB)
        except StrictJSONError as error:
            return error

    found, peak = weighed(read)
    profile.runcall(read)

    if fault is not None:
        assert isinstance(found, StrictJSONError)
        assert fault in found.message
        assert (found.line, found.column) == (1, len(many) + 2 + further)
    else:
        assert found == json.loads(document)
    assert pstats.Stats(profile).total_calls < 5000  # type: ignore[attr-defined]  # is not in the stubs
    assert peak < 8 * MIB


@given(st.binary())
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    try:
        loads(document, max_bytes=10**6)
    except StrictJSONError:
        return
    json.loads(document)


@pytest.mark.parametrize(
    ("document", "message", "line", "column"),
    [
        ("", "empty", 1, 1),
        ('{"a": 1,\n "a": 2}', "'a' is there twice", 2, 2),
        ('{"a": {"b": 1, "\\u0062": 2}}', "'b' is there twice", 1, 16),
        ("{\n  // note\n}", "comments are not JSON", 2, 3),
        ("[1, /* note */ 2]", "comments are not JSON", 1, 5),
        ("[1,]", "remove the comma", 1, 4),
        ('{"a": 1,}', "remove the comma", 1, 9),
        ("{'a': 1}", "double quotes", 1, 2),
        ("NaN", "NaN", 1, 1),
        ("[-Infinity]", "NaN", 1, 2),
        ("[1e999]", "too large", 1, 2),
        ("[9007199254740992]", "too large", 1, 2),
        ("9" * 5000, "too large", 1, 1),
        ('"\\ud800"', "surrogate", 1, 2),
        ('"\\udc00\\ud800"', "surrogate", 1, 2),
        ('"\\ud83d\\u0041"', "surrogate", 1, 2),
        ('"\ud800"', "surrogate", 1, 2),
        ('"\\u0000"', "NUL", 1, 2),
        ('"\\x"', "escape", 1, 2),
        ('"\\u12"', "hexadecimal", 1, 2),
        ('"a\nb"', "line break", 1, 3),
        ('"abc', "not closed", 1, 5),
        ("[1 2]", "comma", 1, 4),
        ('{"a" 1}', "colon", 1, 6),
        ("1 2", "more text", 1, 3),
        ("01", "more text", 1, 2),
        ("\ufeff{}", "byte order mark", 1, 1),
    ],
)
def test_faults_are_placed(document: str, message: str, line: int, column: int) -> None:
    with pytest.raises(StrictJSONError, match=message) as caught:
        loads(document, max_bytes=10**6)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_bytes_that_are_not_utf8_are_placed() -> None:
    with pytest.raises(StrictJSONError, match="UTF-8") as caught:
        loads(b'{\n"\xc3\xbc\xff"}', max_bytes=100)
    assert (caught.value.line, caught.value.column) == (2, 3)
    with pytest.raises(StrictJSONError, match="UTF-8"):
        loads("{}".encode("utf-16"), max_bytes=100)


def test_size_is_counted_in_bytes() -> None:
    assert loads('"ü"', max_bytes=4) == "ü"
    with pytest.raises(StrictJSONError, match="larger than 3 bytes"):
        loads('"ü"', max_bytes=3)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_limited_without_recursion(opening: str) -> None:
    with pytest.raises(StrictJSONError, match="nested deeper than 32"):
        loads(opening * 100_000, max_bytes=10**6)
    assert loads("[" * 32 + "]" * 32, max_bytes=100) is not None
    with pytest.raises(StrictJSONError, match="nested"):
        loads("[" * 33 + "]" * 33, max_bytes=100)


def test_pairs_of_surrogates_are_one_character() -> None:
    assert loads('"\\ud83d\\ude00"', max_bytes=100) == "\U0001f600"


def test_name_that_is_there_twice_is_not_repeated_where_nothing_may_be():
    with pytest.raises(StrictJSONError, match=r"\Aa name is there twice \(line 1, column 15\)\Z"):
        loads('{"secret": 1, "secret": 2}', max_bytes=100, quotes=False)
