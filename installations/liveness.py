"""What the evidence of an installation says about whether it is still there. Pure.

Flowlu sends no lifecycle events, so all of it is inference, and every verdict carries the sentence why. What an answer
may mean is not guessed: only a token that was refused although it had not expired, or a portal that was not reached for
days, speaks for a removal, and nothing but an operator's statement confirms one (docs/adr/0023).

A verdict is the same for any order of the evidence and however often a piece of it comes. Evidence of another
generation counts for nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from installations.said import joined, said

# A token that is refused so soon after a sign of life came to its ordinary end: lifetimes are not documented.
ORDINARY_END: Final = timedelta(days=1)
# `expires_at` comes without its zone and is read as UTC: so far it may be off.
ZONE_DOUBT: Final = timedelta(hours=14)
# For which probes call. They are made to see whether it is there, and are nobody's use of it.
PURPOSE: Final = "liveness"
_DAYS_FOR_SUSPICION: Final = 2
_DAYS_FOR_CERTAINTY: Final = 3


class Kind(StrEnum):
    """What was observed."""

    LAUNCH = "launch"
    HAND_OVER = "hand_over"
    CALL_ACCEPTED = "call_accepted"
    CALL_DENIED = "call_denied"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a kind of evidence
    PROBE_ACCEPTED = "probe_accepted"
    PROBE_REFUSED = "probe_refused"
    PROBE_UNREACHED = "probe_unreached"
    PROBE_UNCLEAR = "probe_unclear"
    STATED_PRESENT = "stated_present"
    STATED_REMOVED = "operator_statement"


# Flowlu took a token of the application for something that it was asked for.
CALLS: Final = frozenset({Kind.CALL_ACCEPTED, Kind.HAND_OVER})
# Somebody used it.
USES: Final = CALLS | {Kind.LAUNCH}
# It is there.
SIGNS: Final = USES | {Kind.PROBE_ACCEPTED, Kind.STATED_PRESENT}
# Flowlu did not take a token that should have been good.
REFUSALS: Final = frozenset({Kind.TOKEN_REFUSED, Kind.PROBE_REFUSED})
# It says neither, and is shown as it was observed.
NEITHER: Final = frozenset({Kind.CALL_DENIED, Kind.PROBE_UNCLEAR})


class State(StrEnum):
    SEEN = "seen"
    ACTIVE = "active"
    QUIET = "quiet"
    SUSPECTED = "suspected_removed"
    CONFIRMED = "confirmed_removed"


class Confidence(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Observation:
    """One piece of evidence: what was observed when, about which generation; `detail` is what Flowlu answered."""

    kind: Kind
    at: datetime
    generation: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """After how much silence a verdict changes."""

    quiet: timedelta  # since the last use
    suspect: timedelta  # since the last sign of life, where a single token was refused
    unreached: timedelta  # between the first and the last time that the portal was not reached


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says at one moment. It holds until `until`, unless other evidence comes; None is for ever."""

    state: State
    confidence: Confidence
    why: str
    until: datetime | None


def judge(observations: Iterable[Observation], *, generation: int, now: datetime, thresholds: Thresholds) -> Verdict:
    """Return the verdict on one generation of an installation."""
    found = _Findings({seen for seen in observations if seen.generation == generation}, now)
    if found.stated_removed is not None:
        why = said(
            "An operator stated on %(day)s that it is gone. No later evidence changes that.",
            day=_day(found.stated_removed),
        )
        return Verdict(State.CONFIRMED, Confidence.HIGH, why, None)
    until = found.next_change(thresholds)
    if found.within(found.last_use, thresholds.quiet):
        if found.within(found.last_call, thresholds.quiet):
            return Verdict(State.ACTIVE, Confidence.HIGH, _why_active(found), until)
        return Verdict(State.SEEN, Confidence.MEDIUM, _why_seen(found, thresholds), until)
    silent_long = not found.within(found.last_sign, thresholds.suspect)
    days = len(found.refused_days)
    unreached_long = found.unreached_for >= thresholds.unreached
    if days >= _DAYS_FOR_SUSPICION or (days and silent_long) or unreached_long:
        confidence = _sureness_of_suspicion(days, silent_long)
        return Verdict(State.SUSPECTED, confidence, _why_suspected(found), until)
    if found.within(found.last_sign, thresholds.quiet):
        confidence = Confidence.HIGH
    else:
        doubt = silent_long or days or found.unreached
        confidence = Confidence.LOW if doubt else Confidence.MEDIUM
    return Verdict(State.QUIET, confidence, _why_quiet(found), until)


def _sureness_of_suspicion(days: int, silent_long: bool) -> Confidence:
    if days >= _DAYS_FOR_CERTAINTY and silent_long:
        return Confidence.HIGH
    return Confidence.MEDIUM if days >= _DAYS_FOR_SUSPICION else Confidence.LOW


def superseded(observations: Sequence[Observation]) -> list[Observation]:
    """Return what no verdict depends on any more, of one generation. Retention may remove it, and nothing else."""
    last = {kind: _newest(observations, frozenset({kind})) for kind in Kind}
    last_sign = _newest(observations, SIGNS)
    gone = []
    for seen in observations:
        newest = last[seen.kind]
        replaced = newest is not None and newest.at > seen.at
        answered = last_sign is not None and last_sign.at >= seen.at
        if seen.kind is Kind.STATED_REMOVED:
            continue
        if (replaced and seen.kind in SIGNS | NEITHER) or (answered and seen.kind not in SIGNS):
            gone.append(seen)
    return gone


def refused_early(expires_at: datetime | None, *, now: datetime) -> bool:
    """Return whether a token that is refused now should have been good. One whose expiry is unknown tells nothing."""
    # Nothing is taken off what a page named: it may be the first second of the calendar.
    return expires_at is not None and expires_at > now + ZONE_DOUBT


def next_probe(*, in_vain: int, first: timedelta, most: timedelta, draw: float) -> timedelta:
    """Return how long to wait for the next probe: twice as long after each that brought nothing, up to `most`.

    `draw`, from 0 to 1, spreads them over half as much again.
    """
    doubled: int = 2 ** min(in_vain, 16)
    return min(first * doubled, most) * (1 + draw / 2)


class _Findings:
    """What counts of the evidence."""

    def __init__(self, seen: set[Observation], now: datetime) -> None:
        self.now = now
        stated = [one.at for one in seen if one.kind is Kind.STATED_REMOVED]
        self.stated_removed = min(stated, default=None)
        self.last_use, self.last_call = _newest(seen, USES), _newest(seen, CALLS)
        self.last_sign = _newest(seen, SIGNS)
        sign = self.last_sign
        since = [one for one in seen if sign is None or one.at > sign.at]
        refusals = [one for one in since if one.kind in REFUSALS and (sign is None or one.at - sign.at >= ORDINARY_END)]
        self.last_refusal = _newest(refusals, REFUSALS)
        self.refused_days = {one.at.astimezone(UTC).date() for one in refusals}
        self.unreached = sorted((one for one in since if one.kind is Kind.PROBE_UNREACHED), key=_order)
        self.last_unclear = _newest(since, NEITHER)

    @property
    def unreached_for(self) -> timedelta:
        return self.unreached[-1].at - self.unreached[0].at if self.unreached else timedelta(0)

    def within(self, seen: Observation | None, span: timedelta) -> bool:
        return seen is not None and self.now - seen.at < span

    def next_change(self, thresholds: Thresholds) -> datetime | None:
        """Return when time alone may change the verdict."""
        moments = (
            seen.at + span
            for seen in (self.last_use, self.last_call, self.last_sign)
            if seen is not None
            for span in (thresholds.quiet, thresholds.suspect)
        )
        return min((moment for moment in moments if moment > self.now), default=None)


def _newest(observations: Iterable[Observation], kinds: frozenset[Kind]) -> Observation | None:
    return max((seen for seen in observations if seen.kind in kinds), key=_order, default=None)


def _order(seen: Observation) -> tuple[datetime, str, str]:
    return seen.at, seen.kind, seen.detail


# --- The sentence why --------------------------------------------------------------------------------------------


def _why_active(found: _Findings) -> str:
    call = found.last_call
    assert call is not None  # noqa: S101 - what makes it active
    if call.kind is Kind.HAND_OVER:
        return said("It is used: on %(day)s a user handed over a fresh token.", day=_day(call.at))
    return said("It is used: on %(day)s Flowlu accepted a call of it.", day=_day(call.at))


def _why_seen(found: _Findings, thresholds: Thresholds) -> str:
    use = found.last_use
    assert use is not None  # noqa: S101 - what makes it seen
    return said(
        "It was opened on %(day)s, and no call of it was accepted in the last %(days)s days.",
        day=_day(use.at),
        days=thresholds.quiet.days,
    )


def _why_quiet(found: _Findings) -> str:
    sign = found.last_sign
    words = [_silence(found)]
    if sign is not None and sign.kind is Kind.PROBE_ACCEPTED:
        words.append(said("Flowlu still took its token when it was probed on %(day)s.", day=_day(sign.at)))
    if sign is not None and sign.kind is Kind.STATED_PRESENT:
        words.append(said("An operator stated on %(day)s that it is still there.", day=_day(sign.at)))
    if found.last_refusal is not None:
        words.append(said("%(refusals)s Once alone says little.", refusals=_refusals(found)))
    if found.unreached:
        words.append(_not_reached(found))
    if found.last_refusal is None and not found.unreached:
        words.append(said("Nothing was observed that speaks for a removal."))
    return joined(" ", [*words, *_unclear(found)])


def _why_suspected(found: _Findings) -> str:
    words = [_silence(found)]
    if found.last_refusal is not None:
        words.append(_refusals(found))
    if found.unreached:
        words.append(_not_reached(found))
    return joined(" ", [*words, *_unclear(found), said("Whether it was removed, only an operator can say.")])


def _silence(found: _Findings) -> str:
    if found.last_use is None:
        return said("No use of it is on record.")
    return said(
        "Nobody was seen using it since %(day)s (%(days)s days).",
        day=_day(found.last_use.at),
        days=(found.now - found.last_use.at).days,
    )


def _refusals(found: _Findings) -> str:
    last = found.last_refusal
    assert last is not None  # noqa: S101 - asked by the caller
    days = len(found.refused_days)
    if days > 1:
        return said(
            "Flowlu refused a token that had not expired on %(days)s days, last on %(day)s%(answer)s.",
            days=days,
            day=_day(last.at),
            answer=_answer(last),
        )
    return said(
        "Flowlu refused a token that had not expired on %(day)s%(answer)s.", day=_day(last.at), answer=_answer(last)
    )


def _not_reached(found: _Findings) -> str:
    first, last = found.unreached[0], found.unreached[-1]
    if first.at == last.at:
        return said("The portal was not reached on %(day)s%(answer)s.", day=_day(last.at), answer=_answer(last))
    return said(
        "The portal was not reached from %(first)s to %(last)s%(answer)s.",
        first=_day(first.at),
        last=_day(last.at),
        answer=_answer(last),
    )


def _unclear(found: _Findings) -> list[str]:
    last = found.last_unclear
    if last is None:
        return []
    return [
        said(
            "An answer on %(day)s says neither that it is there nor that it is gone%(answer)s.",
            day=_day(last.at),
            answer=_answer(last),
        )
    ]


def _answer(seen: Observation) -> str:
    return f" ({seen.detail})" if seen.detail else ""


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
