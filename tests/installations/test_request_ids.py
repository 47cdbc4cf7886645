"""Ids of requests: each is new, or one as ours are, and none outlives its request."""

import re

import pytest

from installations import request_ids


@pytest.fixture(autouse=True)
def _over():
    yield
    request_ids.end()


def test_each_request_has_another_one():
    ids = {request_ids.begin() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)


def test_id_that_is_as_ours_are_is_taken():
    assert request_ids.begin("0123456789abcdef" * 2) == request_ids.current() == "0123456789abcdef" * 2


@pytest.mark.parametrize("given", ["", "a" * 31, "a" * 33, "A" * 32, "a" * 31 + "\n", "a" * 32 + "\n", "g" * 32])
def test_anything_else_is_not(given):
    assert request_ids.begin(given) != given


def test_next_request_knows_nothing_of_the_last_one():
    request_ids.begin()
    request_ids.note_installation(7)
    assert request_ids.installation() == 7

    request_ids.begin()

    assert request_ids.installation() is None


def test_what_is_over_is_forgotten():
    request_ids.begin()
    request_ids.note_installation(7)

    request_ids.end()

    assert (request_ids.current(), request_ids.installation()) == ("", None)
