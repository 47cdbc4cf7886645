"""The groups of tests that share something hold where tests run in several processes."""

import os

import pytest


@pytest.mark.xdist_group("grouped")
@pytest.mark.parametrize("number", range(2))
def test_group_is_known_by_the_end_of_the_id(number: int) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("one process has no groups")
    assert os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0].endswith(f"[{number}]@grouped")
