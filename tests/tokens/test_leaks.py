"""Reading what was found in a leak: a token is seen wherever it stands in a line, and too much at once is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens.leaks import MAX_LINES, LeakedLine, TooMuchAtOnce, read

TOKEN = "q7Gf-2_kP0~x9.Zc4/tr+Lm8=="  # with all that tokens may hold (RFC 6750 §2.1)


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "  {}\t\r",
        '"{}"',
        "'{}',",
        "{};",
        "Bearer {}",
        "bearer   {}",
        "Authorization: Bearer {}",
        '"Authorization: Bearer {}"',
        "access_token={}",
        "token: {}",
        '{{"access_token": "{}", "expires_in": 3600}}',
        '{{"access_token":"{}"}}',
        "17,ana@example.com,{},2026-01-01",
        '"17","ana","{}"',
        "2026-01-01 12:00:00 GET /x?access_token={}&page=2 200",
        "https://apps.example.com/back#access_token={}",
        "curl -H 'Authorization: Bearer {}' https://acme.flowlu.com/api",
        "error: refused ({}) by peer",
        "<token>{}</token>",
        "token=q7Gf-2_kP0~x9.Zc4%2Ftr%2BLm8%3D%3D{}",
    ],
)
def test_token_is_seen_wherever_it_stands(line):
    text = line.format("" if "%2F" in line else TOKEN)

    (found,) = read(text)

    assert TOKEN in found.pieces


def test_lines_keep_their_numbers_and_empty_ones_count():
    assert [line.number for line in read("\n\nfirst-token\r\n \n\nsecond-token")] == [3, 6]


def test_byte_order_mark_is_no_part_of_the_first_token():
    assert read("\ufefffirst-token-here")[0].pieces == ("first-token-here",)


def test_line_that_holds_no_token_is_a_line_all_the_same():
    assert [(line.number, line.pieces) for line in read("ключ\nshort")] == [(1, ()), (2, ())]


@given(st.text(max_size=300))
def test_any_text_is_read_and_pieces_are_tokens_by_shape(text):
    for line in read(text):
        assert len(line.pieces) <= 64
        for piece in line.pieces:
            assert piece.isascii()
            assert piece.isprintable()
            assert " " not in piece
            assert 8 <= len(piece) <= 4096


@pytest.mark.parametrize("text", ["x\n" * (MAX_LINES + 1), "x" * (1024 * 1024 + 1), "я" * (512 * 1024 + 1)])
def test_too_much_at_once_is_refused_in_words_without_any_of_it(text):
    with pytest.raises(TooMuchAtOnce, match="at most 10,000 lines and 1 MiB") as caught:
        read(text)

    assert "xx" not in str(caught.value)


def test_much_at_once_is_taken():
    assert len(read("token-of-a-length\n" * MAX_LINES)) == MAX_LINES


def test_line_says_nothing_of_its_pieces():
    assert repr(LeakedLine(3, (TOKEN,))) == "LeakedLine(number=3)"


def test_line_is_looked_at_for_so_many_pieces_and_no_more():
    [line] = read(",".join(f"a-piece-of-a-line-{number}" for number in range(1000)))

    assert len(line.pieces) == 64
