"""What evidence says of an installation: the same in any order, never more than was observed, and never for good
without an operator's word.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installations.liveness import (
    CALLS,
    NEITHER,
    ORDINARY_END,
    REFUSALS,
    SIGNS,
    USES,
    ZONE_DOUBT,
    Confidence,
    Kind,
    Observation,
    State,
    Thresholds,
    Verdict,
    judge,
    next_probe,
    refused_early,
    superseded,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = timedelta(days=1)
THRESHOLDS = Thresholds(quiet=14 * DAY, suspect=45 * DAY, unreached=7 * DAY)
RANK = {State.SEEN: 0, State.ACTIVE: 0, State.QUIET: 1, State.SUSPECTED: 2, State.CONFIRMED: 3}

kinds = st.sampled_from(list(Kind))
# Whole and half days, so that moments and the edges of thresholds meet often.
moments = st.integers(0, 160).map(lambda halves: NOW - halves * DAY / 2)
details = st.sampled_from(["", "HTTP 401"])
own = st.builds(Observation, kinds, moments, st.just(2), details)
unstated = own.filter(lambda seen: seen.kind is not Kind.STATED_REMOVED)
of_others = st.builds(Observation, kinds, moments, st.sampled_from([1, 3]), details)
later = st.integers(0, 200).map(lambda halves: NOW + halves * DAY / 2)


def verdict(*seen: Observation, now: datetime = NOW) -> Verdict:
    return judge(seen, generation=2, now=now, thresholds=THRESHOLDS)


def seen(kind: Kind, days_ago: float, detail: str = "") -> Observation:
    return Observation(kind, NOW - days_ago * DAY, 2, detail)


def told(*observations: Observation) -> tuple[State, Confidence]:
    found = verdict(*observations)
    return found.state, found.confidence


# --- Properties ---


@given(st.lists(own, max_size=8), st.randoms())
def test_order_and_repetition_change_nothing(evidence, random):
    shuffled = [*evidence, *evidence]
    random.shuffle(shuffled)
    assert verdict(*shuffled) == verdict(*evidence)


@given(st.lists(own, max_size=8), st.lists(of_others, max_size=5))
def test_evidence_of_another_generation_changes_nothing(evidence, others):
    assert verdict(*others, *evidence) == verdict(*evidence)


@given(st.lists(own, max_size=8), later)
def test_removal_is_confirmed_by_an_operator_alone_and_for_good(evidence, now):
    stated = any(one.kind is Kind.STATED_REMOVED for one in evidence)
    assert (verdict(*evidence, now=now).state is State.CONFIRMED) is stated


@given(st.lists(unstated, max_size=8), moments, st.sampled_from(sorted(SIGNS)))
def test_sign_of_life_never_makes_it_look_more_removed(evidence, at, kind):
    before, after = verdict(*evidence), verdict(*evidence, Observation(kind, at, 2))
    assert RANK[after.state] <= RANK[before.state]


@given(st.lists(unstated, max_size=8), st.sampled_from(sorted(SIGNS)))
def test_sign_of_life_now_ends_every_suspicion(evidence, kind):
    assert RANK[verdict(*evidence, Observation(kind, NOW, 2)).state] <= RANK[State.QUIET]


@given(st.lists(own, max_size=8), moments, st.sampled_from([*sorted(REFUSALS), Kind.PROBE_UNREACHED]))
def test_refusal_never_makes_it_look_more_alive(evidence, at, kind):
    before, after = verdict(*evidence), verdict(*evidence, Observation(kind, at, 2))
    assert RANK[after.state] >= RANK[before.state]


@given(st.lists(own, max_size=8), moments, st.sampled_from(sorted(NEITHER)))
def test_answer_that_says_neither_changes_no_verdict(evidence, at, kind):
    before, after = verdict(*evidence), verdict(*evidence, Observation(kind, at, 2, "HTTP 503"))
    assert (after.state, after.confidence, after.until) == (before.state, before.confidence, before.until)


@given(st.lists(own, max_size=8), later, later)
def test_time_alone_never_makes_it_look_more_alive(evidence, one, other):
    first, last = sorted((one, other))
    assert RANK[verdict(*evidence, now=first).state] <= RANK[verdict(*evidence, now=last).state]


@given(st.lists(own, max_size=8), later)
def test_verdict_holds_until_the_time_it_names(evidence, now):
    before = verdict(*evidence)
    if before.until is None or now < before.until:
        after = verdict(*evidence, now=now)
        assert (after.state, after.confidence) == (before.state, before.confidence)
    assert before.until is None or before.until > NOW


@given(st.lists(unstated, max_size=8), unstated, later)
def test_what_is_settled_stays_so_whatever_else_is_observed(evidence, more, now):
    # What `evidence.judge_after` relies on when it does not judge anew.
    before = verdict(*evidence)
    settled = before.state is State.ACTIVE or (before.state is State.SEEN and more.kind not in CALLS)
    if settled and before.until is not None and now < before.until:
        after = verdict(*evidence, more, now=now)
        assert (after.state, after.confidence) == (before.state, before.confidence)


@given(st.lists(own, max_size=10), st.lists(own, max_size=4), later)
def test_what_is_superseded_changes_no_verdict_now_or_later(evidence, more, now):
    gone = superseded(evidence)
    left = [one for one in evidence if one not in gone]
    shorter, whole = verdict(*left, *more, now=now), verdict(*evidence, *more, now=now)
    assert (shorter.state, shorter.confidence, shorter.until) == (whole.state, whole.confidence, whole.until)
    assert shorter.why == whole.why


@given(st.lists(own, max_size=8))
def test_statement_is_never_superseded(evidence):
    assert Kind.STATED_REMOVED not in {one.kind for one in superseded(evidence)}


# --- What it says ---


def test_kinds_say_one_thing_each():
    groups = [SIGNS, REFUSALS, NEITHER, {Kind.PROBE_UNREACHED}, {Kind.STATED_REMOVED}]
    assert sorted(kind for group in groups for kind in group) == sorted(Kind)
    assert CALLS < USES < SIGNS


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param([], (State.QUIET, Confidence.LOW), id="nothing"),
        pytest.param([seen(Kind.LAUNCH, 2)], (State.SEEN, Confidence.MEDIUM), id="opened"),
        pytest.param([seen(Kind.LAUNCH, 2), seen(Kind.CALL_ACCEPTED, 20)], (State.SEEN, Confidence.MEDIUM), id="idle"),
        pytest.param([seen(Kind.CALL_ACCEPTED, 13.9)], (State.ACTIVE, Confidence.HIGH), id="called"),
        pytest.param([seen(Kind.HAND_OVER, 3)], (State.ACTIVE, Confidence.HIGH), id="handed over"),
        pytest.param([seen(Kind.CALL_ACCEPTED, 14)], (State.QUIET, Confidence.MEDIUM), id="silent"),
        pytest.param([seen(Kind.LAUNCH, 45)], (State.QUIET, Confidence.LOW), id="silent long"),
        pytest.param(
            [seen(Kind.LAUNCH, 90), seen(Kind.PROBE_ACCEPTED, 2)], (State.QUIET, Confidence.HIGH), id="probed"
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 30), seen(Kind.PROBE_REFUSED, 2)], (State.QUIET, Confidence.LOW), id="refused once"
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 46), seen(Kind.PROBE_REFUSED, 2)],
            (State.SUSPECTED, Confidence.LOW),
            id="refused once after long silence",
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 30), seen(Kind.PROBE_REFUSED, 5), seen(Kind.TOKEN_REFUSED, 2)],
            (State.SUSPECTED, Confidence.MEDIUM),
            id="refused on two days",
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 30), seen(Kind.PROBE_REFUSED, 2), seen(Kind.TOKEN_REFUSED, 2.1)],
            (State.QUIET, Confidence.LOW),
            id="refused twice on one day",
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 60), *(seen(Kind.PROBE_REFUSED, ago) for ago in (9, 5, 2))],
            (State.SUSPECTED, Confidence.HIGH),
            id="refused on three days after long silence",
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 30), *(seen(Kind.PROBE_UNREACHED, ago) for ago in (9, 2))],
            (State.SUSPECTED, Confidence.LOW),
            id="not reached for a week",
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 30), *(seen(Kind.PROBE_UNREACHED, ago) for ago in (8, 2))],
            (State.QUIET, Confidence.LOW),
            id="not reached for some days",
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 60), *(seen(Kind.PROBE_REFUSED, ago) for ago in (9, 5)), seen(Kind.STATED_PRESENT, 1)],
            (State.QUIET, Confidence.HIGH),
            id="stated to be there",
        ),
        pytest.param(
            [seen(Kind.LAUNCH, 0), seen(Kind.STATED_REMOVED, 3)], (State.CONFIRMED, Confidence.HIGH), id="stated gone"
        ),
    ],
)
def test_verdict(evidence, expected):
    assert told(*evidence) == expected


def test_token_that_is_refused_soon_after_a_sign_of_life_came_to_its_ordinary_end():
    opened = seen(Kind.LAUNCH, 60)
    soon = Observation(Kind.TOKEN_REFUSED, opened.at + ORDINARY_END - timedelta(seconds=1), 2)
    assert told(opened, soon) == (State.QUIET, Confidence.LOW)
    assert told(opened, Observation(Kind.TOKEN_REFUSED, opened.at + ORDINARY_END, 2))[0] is State.SUSPECTED


def test_refusals_before_the_last_sign_of_life_count_for_nothing():
    refused = [seen(Kind.PROBE_REFUSED, ago) for ago in (40, 35, 30)]
    assert told(*refused, seen(Kind.LAUNCH, 20)) == (State.QUIET, Confidence.MEDIUM)


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ([], "No use of it is on record. Nothing was observed that speaks for a removal."),
        ([seen(Kind.CALL_ACCEPTED, 1)], "It is used: on 2026-11-24 Flowlu accepted a call of it."),
        ([seen(Kind.HAND_OVER, 1)], "It is used: on 2026-11-24 a user handed over a fresh token."),
        (
            [seen(Kind.LAUNCH, 1)],
            "It was opened on 2026-11-24, and no call of it was accepted in the last 14 days.",
        ),
        (
            [seen(Kind.LAUNCH, 25), seen(Kind.PROBE_ACCEPTED, 1)],
            "Nobody was seen using it since 2026-10-31 (25 days). Flowlu still took its token when it was probed on "
            "2026-11-24. Nothing was observed that speaks for a removal.",
        ),
        (
            [seen(Kind.LAUNCH, 25), seen(Kind.STATED_PRESENT, 1)],
            "Nobody was seen using it since 2026-10-31 (25 days). An operator stated on 2026-11-24 that it is still "
            "there. Nothing was observed that speaks for a removal.",
        ),
        (
            [seen(Kind.LAUNCH, 25), seen(Kind.PROBE_REFUSED, 1, "HTTP 401"), seen(Kind.PROBE_UNREACHED, 2, "no name")],
            "Nobody was seen using it since 2026-10-31 (25 days). Flowlu refused a token that had not expired on "
            "2026-11-24 (HTTP 401). Once alone says little. The portal was not reached on 2026-11-23 (no name).",
        ),
        (
            [
                seen(Kind.LAUNCH, 25),
                *(seen(Kind.PROBE_REFUSED, ago, "HTTP 401") for ago in (5, 1)),
                *(seen(Kind.PROBE_UNREACHED, ago, "no name") for ago in (4, 2)),
                seen(Kind.PROBE_UNCLEAR, 3, "HTTP 503"),
            ],
            "Nobody was seen using it since 2026-10-31 (25 days). Flowlu refused a token that had not expired on 2 "
            "days, last on 2026-11-24 (HTTP 401). The portal was not reached from 2026-11-21 to 2026-11-23 (no name). "
            "An answer on 2026-11-22 says neither that it is there nor that it is gone (HTTP 503). Whether it was "
            "removed, only an operator can say.",
        ),
        (
            [seen(Kind.LAUNCH, 25), *(seen(Kind.PROBE_UNREACHED, ago) for ago in (9, 1))],
            "Nobody was seen using it since 2026-10-31 (25 days). The portal was not reached from 2026-11-16 to "
            "2026-11-24. Whether it was removed, only an operator can say.",
        ),
        (
            [seen(Kind.STATED_REMOVED, 2), seen(Kind.LAUNCH, 1)],
            "An operator stated on 2026-11-23 that it is gone. No later evidence changes that.",
        ),
    ],
)
def test_sentence_says_what_was_observed_and_when(evidence, why):
    assert verdict(*evidence).why == why


def test_only_a_token_that_is_known_not_to_have_expired_is_refused_early():
    assert refused_early(None, now=NOW) is False
    assert refused_early(NOW + ZONE_DOUBT, now=NOW) is False
    assert refused_early(datetime.min.replace(tzinfo=UTC), now=NOW) is False
    assert refused_early(datetime.max.replace(tzinfo=UTC), now=NOW) is True
    assert refused_early(NOW + ZONE_DOUBT + timedelta(seconds=1), now=NOW) is True


def test_probes_become_rarer_and_never_rarer_than_the_most():
    waits = [next_probe(in_vain=tries, first=3 * DAY, most=30 * DAY, draw=0).days for tries in range(6)]
    assert waits == [3, 6, 12, 24, 30, 30]
    assert next_probe(in_vain=10**6, first=3 * DAY, most=30 * DAY, draw=1) == 45 * DAY
