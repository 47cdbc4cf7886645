"""Reads for the console: one decision for each code, whatever the manifest repeats."""

import pytest

from installations import catalogue
from installations.selectors import review_scopes


@pytest.mark.parametrize(
    "requested",
    [
        ["crm.accounts.full", "crm.accounts.read", "crm.accounts"],
        ["crm.accounts", "crm.accounts.read", "crm.accounts.full"],
    ],
    ids=["highest-first", "highest-last"],
)
def test_code_is_decided_once_at_the_highest_level_that_is_asked_for(requested: list[str]) -> None:
    review = review_scopes(requested, [], catalogue.load())

    assert [row.text for row in review.to_decide] == ["crm.accounts.full"]
    assert [row.repeats for row in review.rows] == [False, True, True]
    assert review.codes == 1
