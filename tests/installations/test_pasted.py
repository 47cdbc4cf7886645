"""What is typed and looks like a credential is known as such; names, addresses and ids are not.

The same corpus holds the console's script (tests/console_script), which asks before anything leaves the browser.
"""

import json
import secrets
from pathlib import Path
from random import Random
from string import ascii_letters, digits
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.pasted import looks_like_credential

CORPUS = json.loads((Path(__file__).parents[1] / "console_script" / "pasted.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", CORPUS["credentials"])
def test_credential_is_known(text: str) -> None:
    assert looks_like_credential(text)


@pytest.mark.parametrize("text", CORPUS["words"])
def test_what_operators_search_for_is_none(text: str) -> None:
    assert not looks_like_credential(text)


@pytest.mark.parametrize("make", [secrets.token_urlsafe, secrets.token_hex])
def test_random_tokens_of_every_length_are_known(make: Any) -> None:
    made = [make(size) for size in range(30, 65)]  # shorter ones lack a digit too often to be known for sure

    assert [token for token in made if not looks_like_credential(token)] == []


@given(st.integers(40, 80), st.randoms(use_true_random=False))
def test_random_letters_of_both_cases_are_known_wherever_they_stand(size: int, random: Random) -> None:
    token = "aB" + "".join(random.choices(ascii_letters + digits + "-_", k=size))

    assert looks_like_credential(f"look: {token}, and so on")


def test_long_text_takes_no_time_that_grows_with_its_square() -> None:
    assert not looks_like_credential("a" * 1_000_000)
    assert not looks_like_credential("aa " * 300_000)
