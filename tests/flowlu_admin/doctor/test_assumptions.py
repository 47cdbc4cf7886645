"""What an answer says of an assumption, in the cases that no portal here gives."""

from datetime import UTC, datetime
from typing import Any

import pytest

from flowlu_admin.doctor import assumptions
from flowlu_admin.doctor.findings import Point, Verdict
from installations.errors import DomainError, FlowluDenied, FlowluError, FlowluInvalid, TokenStale
from installations.flowlu.client import Observation
from installations.flowlu.wire import Wire

POINT = Point("a point", "so", "so")


def seen(error: DomainError | None, shape: Any = "code", code: int | None = None, status: int = 200) -> Observation:
    return Observation(status, error, shape, code, None, {}, None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (seen(FlowluInvalid(), "named"), "HTTP 200, an error by name"),
        (seen(FlowluError(), "other", status=502), "HTTP 502, no envelope that is known"),
        (seen(None, "response"), "HTTP 200"),
        (seen(TokenStale(), code=11, status=401), "HTTP 401, code 11"),
    ],
)
def test_answer_in_numbers(answer: Observation, words: str) -> None:
    assert assumptions.described(answer) == words


@pytest.mark.parametrize(
    ("code", "error", "proposed"),
    [
        (77, FlowluError(), True),
        (22, FlowluDenied(), False),  # a denied user would be taken for one with a stale token
        (10, FlowluError(), False),
        (12, FlowluError(), False),
        (13, FlowluError(), False),
        (None, FlowluError(), False),
    ],
)
def test_only_a_code_that_means_nothing_yet_is_proposed(code: int | None, error: DomainError, proposed: bool) -> None:
    answer = seen(error, "code" if code else "other", code)
    row = assumptions.refusal(POINT, answer, ("stale",))
    assert row.verdict is Verdict.DIFFERS
    (whole,) = assumptions.with_codes([row], Wire(), {77: "stale"} if proposed else {})
    assert whole.change.endswith(",31=not_found,77=stale" if proposed else "no setting: report it")


def test_result_where_there_should_be_none_is_no_refusal() -> None:
    row = assumptions.refusal(POINT, seen(None, "response"), ("not_found", "denied"))
    assert (row.verdict, row.observed) == (Verdict.DIFFERS, "HTTP 200; it is taken for a result")


def test_user_without_a_word_on_administrators() -> None:
    row = assumptions.current_user(POINT, {"id": "7", "name": "Ana"})
    assert (row.verdict, row.observed) == (Verdict.DIFFERS, "id is text, no `role_admin`")
    assert assumptions.current_user(POINT, None).verdict is Verdict.DIFFERS


@pytest.mark.parametrize(
    ("total", "without", "of_one", "of_many", "verdict", "observed"),
    [
        (1, 1, 1, 1, Verdict.UNCLEAR, "too few records to see"),
        (34, 34, 34, 34, Verdict.DIFFERS, "`limit` is passed over: 34 in a page"),
        (300, 50, 1, 100, Verdict.HOLDS, "50 without `limit`, 100 at most"),
        (3000, 50, 1, 1000, Verdict.HOLDS, "50 without `limit`, 1000 at most"),
        (300, 20, 1, 20, Verdict.DIFFERS, "20 without `limit`, 20 at most"),
    ],
)
def test_pages(total: int, without: int, of_one: int, of_many: int, verdict: Verdict, observed: str) -> None:
    row = assumptions.pages(POINT, total, without, of_one, of_many, by_count=False)
    assert (row.verdict, row.observed) == (verdict, observed)


def test_clock_without_a_date() -> None:
    assert assumptions.clock(POINT, None, datetime.now(UTC)).verdict is Verdict.UNCLEAR


def test_codes_that_are_set_are_told_as_assumed() -> None:
    points = assumptions.Points(Wire(error_codes=((5, "stale"), (6, "stale"))), "https://{portal}", "UTC")
    assert points.stale.assumed == "HTTP 401, or code 5 or 6"
    assert points.module.assumed == "no code"
