"""Every metric, from some fifty statements: each by an index and bounded, none that grows with installations or tokens.

A label holds a code, a state, or the name of a job, a queue or a key of ours: never a portal, a user, or what a caller
wrote.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, QuerySet, Sum
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from flowlu_admin.notices.models import NoticeDelivery
from installations import selectors
from installations.four_columns import utc_today
from installations.keys import KeyRingError
from installations.models import AuditEvent, Liveness
from installations.selectors import Waiting
from installations.trail import reading
from installations.trail.state import trail_state
from tokens import key_report, upstream_times
from tokens.models import DayCount, OAuthToken, RefreshAttempt, Revocation, SweepRun, UpstreamRevocation
from tokens.sweeps import JOBS
from tokens.token_counts import token_counts

_RECENT: Final = timedelta(hours=1)
_Subject = DayCount.Subject
_ASKED: Final = (_Subject.HANDSHAKE, _Subject.CALL, _Subject.SERVICE_CALL)
# Series that begin with 0: of one that begins with its first event, Prometheus takes that event for no increase.
_WATCHED: Final = ("ok", "flowlu_error", "flowlu_timeout", "flowlu_unavailable", "server_error")
_MONTH: Final = "Since the first of the month (UTC)."


class Reading(Collector):
    """Reads everything anew for each scrape. What is counted is of all processes together, as of some seconds ago."""

    def collect(self) -> Iterator[Metric]:
        yield from _counts()
        yield from _revocations()
        yield from _queues()
        yield from _sweeps()
        yield from _tokens()
        yield from _keys()
        yield from _trail()


def _name(rest: str) -> str:
    return f"flowlu_admin_{rest}"


def _counts() -> Iterator[Metric]:
    """Give what is counted by day. One statement over the rows of a month, some hundred."""
    since = utc_today().replace(day=1)
    rows = DayCount.objects.filter(day__gte=since).exclude(subject__in=[_Subject.INSTALLATION, _Subject.REFRESH])
    found: dict[str, dict[str, int]] = {}
    for subject, outcome, number in rows.order_by().values_list("subject", "outcome").annotate(number=Sum("number")):
        found.setdefault(subject, {})[outcome] = number
    asked = CounterMetricFamily(
        _name("requests"),
        f"Requests by how they ended: ok, or a code of the API. {_MONTH}",
        labels=["asked", "outcome"],
    )
    for subject in _ASKED:
        for outcome, number in sorted({**dict.fromkeys(_WATCHED, 0), **found.get(subject, {})}.items()):
            asked.add_metric([subject.value, outcome], number)
    yield asked
    steps, seconds = upstream_times.up_to(found.get(_Subject.UPSTREAM, {}))
    took = HistogramMetricFamily(_name("upstream_seconds"), f"How long portals took to answer a call. {_MONTH}")
    took.add_metric([], [(name, float(number)) for name, number in steps], seconds)
    yield took
    yield CounterMetricFamily(
        _name("upstream_not_asked"),
        f"Calls and launches that were refused because connections to their portal had failed. {_MONTH}",
        value=found.get(_Subject.UPSTREAM, {}).get(upstream_times.NOT_ASKED, 0),
    )
    yield _counter("refreshes", "Refreshes by how they ended", "outcome", _ended(found))
    cut = {**dict.fromkeys(Revocation.Scope.values, 0), **found.get(_Subject.CUT, {})}
    yield _counter("tokens_cut", "Tokens that were cut, by what was aimed at", "aimed_at", cut)


def _ended(found: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    ends = [outcome.value for outcome in RefreshAttempt.Outcome if outcome != RefreshAttempt.Outcome.STARTED]
    return {**dict.fromkeys(ends, 0), **found.get(_Subject.REFRESH_END, {})}


def _counter(name: str, about: str, label: str, numbers: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(_name(name), f"{about}. {_MONTH}", labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family


def _gauge(name: str, about: str, label: str, numbers: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(_name(name), about, labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family


def _revocations() -> Iterator[Metric]:
    """Give what became of the revocations of the last hour. One statement, by the index of when they cut."""
    until = {
        name: ExpressionWrapper(F(name) - F("cut_at"), DurationField()) for name in ("probed_at", "first_refused_at")
    }
    recent = Revocation.objects.filter(cut_at__gte=timezone.now() - _RECENT).order_by()
    rows = recent.values_list("probe").annotate(
        number=Count("pk"), probed=Max(until["probed_at"]), refused=Max(until["first_refused_at"])
    )
    numbers = dict.fromkeys(["none", *Revocation.Probe.values], 0)
    longest: dict[str, float] = {}
    for probe, number, probed, refused in rows:
        numbers[probe or "none"] = number
        if probe == Revocation.Probe.REFUSED:
            _keep_longest(longest, "probe", probed)
        _keep_longest(longest, "call", refused)
    yield _gauge(
        "recent_revocations", "Revocations of the last hour, by what a call was answered right after.", "probe", numbers
    )
    yield _gauge(
        "refusal_seconds",
        "The longest time from a cut of the last hour to its first refusal: of the probe, and of a call.",
        "of",
        longest,
    )


def _keep_longest(longest: dict[str, float], of: str, took: timedelta | None) -> None:
    if took is not None:  # a run in batches may refuse before its last cut
        longest[of] = max(longest.get(of, 0.0), took.total_seconds())


def _queues() -> Iterator[Metric]:
    """Give what waits, and since when. One statement for each."""
    now = timezone.now()
    running = Revocation.objects.filter(state=Revocation.State.RUNNING)
    late: dict[str, tuple[QuerySet[Any], str]] = {
        "evidence": (Liveness.objects.filter(judge_again_at__lte=now), "judge_again_at"),
        "notices": (NoticeDelivery.objects.filter(state=NoticeDelivery.State.WAITING, due_at__lte=now), "due_at"),
        "refreshes_under_way": (RefreshAttempt.objects.filter(outcome=RefreshAttempt.Outcome.STARTED), "started_at"),
        "revocations_running": (running, "cut_at"),
        "revocations_to_tell": (UpstreamRevocation.objects.due(), "next_try_at"),
        "stale_tokens": (OAuthToken.objects.filter(state=OAuthToken.State.STALE), "stale_at"),
    }
    found: dict[str, Waiting] = {queue: selectors.waiting(rows, at) for queue, (rows, at) in late.items()}
    found["approvals"] = selectors.pending_installations()
    found["second_operator"] = selectors.waiting_for_second_operator()
    most = selectors.MOST_COUNTED
    yield _gauge(
        "waiting",
        f"What waits, counted up to {most}; above it the number is one more.",
        "queue",
        {queue: one.count for queue, one in found.items()},
    )
    yield _gauge(
        "waiting_seconds",
        "For how long the oldest waits that is due; 0 where nothing does.",
        "queue",
        {queue: _since(one.oldest, now) for queue, one in found.items()},
    )


def _since(oldest: datetime | None, now: datetime) -> float:
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0


def _sweeps() -> Iterator[Metric]:
    """Give how late each periodic job is, and which fail. One statement; a job that never ran has no lag."""
    now = timezone.now()
    runs = {run.name: run for run in SweepRun.objects.filter(name__in=[job.name for job in JOBS])}
    lag = {
        job.name: max(0.0, (now - started).total_seconds() - job.every_seconds)
        for job in JOBS
        if job.name in runs and (started := runs[job.name].started_at)
    }
    yield _gauge("sweep_lag_seconds", "For how long a periodic job has been due without having begun.", "sweep", lag)
    failing = {name: _since(run.failing_since, now) for name, run in runs.items()}
    yield _gauge(
        "sweep_failing_seconds", "For how long every run of a job failed; 0: the last went well.", "sweep", failing
    )


def _tokens() -> Iterator[Metric]:
    """Give how many tokens there are, by state and by key. Two statements at most."""
    found = token_counts()
    if found is None:
        return
    yield _gauge("tokens", "Tokens by state.", "state", found.by_state)
    yield _gauge(
        "sealed_tokens", "Tokens by the key of TOKEN_KEYS that they are sealed with.", "key_id", found.by_seal_key
    )
    yield GaugeMetricFamily(
        _name("tokens_estimated"),
        "1: the two are estimates of the database's statistics.",
        value=float(found.estimated),
    )


def _keys() -> Iterator[Metric]:
    """Give which keys rows need, and what is wrong with them. A look into an index for each key and kind of rows."""
    needed = GaugeMetricFamily(_name("key_needed"), "1: at least one row needs the key.", labels=["ring", "key_id"])
    for ring in key_report.Ring.values:
        for key_id in sorted(key_report.keys_needed(ring)):
            needed.add_metric([ring, key_id], 1)
    yield needed
    try:
        problems = len(key_report.problems())
    except KeyRingError:
        problems = 1
    yield GaugeMetricFamily(
        _name("key_problems"), "Keys that rows need and that are missing or wrong, as /readyz has it.", value=problems
    )


def _trail() -> Iterator[Metric]:
    """Give the state of the audit trail. A handful of statements."""
    at: dict[str, float] = {}
    head = reading.head()
    last = (
        AuditEvent.objects.filter(sequence=head.sequence).values_list("occurred_at", flat=True).first()
        if head
        else None
    )
    if last is not None:
        at["head"] = last.timestamp()
    try:
        state = trail_state()
    except KeyRingError:
        state = None
    if state is not None:
        yield GaugeMetricFamily(_name("audit_events"), "Events in the audit trail.", value=state.events)
        yield GaugeMetricFamily(_name("audit_findings"), "What the last verification found wrong.", value=state.found)
        for name, event in (("verified", state.verified), ("anchored", state.anchored)):
            if event is not None:
                at[name] = event.occurred_at.timestamp()
    yield _gauge(
        "audit_timestamp_seconds",
        "When the trail's last event was written, and when it was last verified and anchored.",
        "what",
        at,
    )
