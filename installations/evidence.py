"""Steps that write evidence of an installation and keep the stored verdict true to it.

The stored verdict may be read without the evidence, so whoever writes evidence that could change it judges anew in the
same transaction, behind the verdict's own row; that is taken after every other row but the audit head.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import DateTimeField, Max, Q, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from installations.liveness import CALLS, SIGNS, Kind, Observation, State, Thresholds, Verdict, judge, next_probe
from installations.models import Evidence, Installation, Liveness

# What holds so much longer is not judged anew for evidence that cannot change it before.
_MARGIN = timedelta(hours=1)
_PROBED = frozenset({State.QUIET, State.SUSPECTED})
# What a portal's user does as often as they like: each is kept once a period, or one address could fill the table.
_OFTEN: Final = frozenset({Kind.LAUNCH, Kind.HAND_OVER})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_random = secrets.SystemRandom()


def thresholds() -> Thresholds:
    return Thresholds(
        quiet=timedelta(days=settings.LIVENESS_QUIET_DAYS),
        suspect=timedelta(days=settings.LIVENESS_SUSPECT_DAYS),
        unreached=timedelta(days=settings.LIVENESS_UNREACHED_DAYS),
    )


def observe_locked(installation: Installation, kind: Kind, *, detail: str = "", integration_point: str = "") -> None:
    """Record an observation of an installation and judge it anew if that could change the verdict.

    A launch or a hand-over moves the row of its kind and period on where there is one: it then says when and from
    where that was last. Whoever observes one holds the installation, so that no other makes the same row meanwhile.
    """
    said = {"detail": detail, "integration_point": integration_point}
    if kind not in _OFTEN:
        Evidence.objects.create(installation=installation, kind=kind.value, **said)
    else:
        now = timezone.now()
        row = {"installation": installation, "kind": kind.value, "period_start": period_of(now)}
        # Never back: the clocks of two workers may differ.
        last = Greatest("observed_at", Value(now, output_field=DateTimeField()))
        if not Evidence.objects.filter(**row).update(observed_at=last, **said):
            Evidence.objects.create(**row, observed_at=now, **said)
    judge_after({installation.pk: {kind}})


def period_of(moment: datetime) -> datetime:
    """Return when the period began in which a kind of evidence is kept once."""
    return moment - (moment - _EPOCH) % timedelta(hours=settings.LIVENESS_EVIDENCE_HOURS)


def judge_after(observed: Mapping[int, Collection[Kind]]) -> int:
    """Judge the installations, by id, whose verdict what was just observed could change; returns how many."""
    soon = timezone.now() + _MARGIN
    kept = Liveness.objects.filter(pk__in=observed).values_list("pk", "state", "judge_again_at")
    settled = {pk for pk, state, until in kept if _is_settled(State(state), until, observed[pk], soon)}
    return judge_locked(observed.keys() - settled)


def _is_settled(state: State, until: datetime | None, kinds: Collection[Kind], soon: datetime) -> bool:
    """Return whether a verdict stays as it is until `until` whatever of these kinds was observed."""
    if state is State.CONFIRMED:
        return True
    if until is None or until <= soon or Kind.STATED_REMOVED in kinds:
        return False
    return state is State.ACTIVE or (state is State.SEEN and CALLS.isdisjoint(kinds))


def judge_locked(installation_ids: Iterable[int]) -> int:
    """Write the verdict on the evidence that there is now; returns on how many installations. Five statements."""
    ids = sorted(installation_ids)
    if not ids:
        return 0
    Liveness.objects.bulk_create((Liveness(installation_id=pk) for pk in ids), ignore_conflicts=True)
    # Held in one order, and read after it is held: what another one wrote before is seen.
    rows = list(Liveness.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))
    now = timezone.now()
    observations = observations_of(ids)
    for row in rows:
        _write(row, verdict_on(observations.get(row.pk, ()), now=now), now)
    fields = ("state", "since", "confidence", "judged_at", "judge_again_at", "probe_after", "probes_in_vain")
    Liveness.objects.bulk_update(rows, fields)
    return len(rows)


def _write(row: Liveness, verdict: Verdict, now: datetime) -> None:
    if row.judged_at is None or row.state != verdict.state:
        row.since = now
    row.state, row.confidence = verdict.state.value, verdict.confidence.value
    row.judged_at, row.judge_again_at = now, verdict.until
    if verdict.state not in _PROBED:
        row.probe_after, row.probes_in_vain = None, 0
    elif row.probe_after is None:
        # Spread, since many fall quiet at once: over a weekend, or where a user of many portals left.
        row.probe_after = now + timedelta(days=settings.LIVENESS_PROBE_DAYS) * _random.random()


def verdict_on(observations: Iterable[Observation], *, now: datetime) -> Verdict:
    """Return the verdict on the evidence of one installation, which is all of its own generation."""
    return judge(observations, generation=_OWN, now=now, thresholds=thresholds())


_OWN = 0  # every row of `Evidence` belongs to one generation, that of its installation


def observations_of(installation_ids: Collection[int]) -> dict[int, list[Observation]]:
    """Return all evidence that a verdict depends on, by installation. Two statements.

    Of the signs of life that is the newest of each kind, of the rest what came after the last sign.
    """
    found: defaultdict[int, list[Observation]] = defaultdict(list)
    rows = Evidence.objects.filter(installation__in=installation_ids)
    newest = rows.filter(kind__in=SIGNS).order_by().values("installation", "kind").annotate(last=Max("observed_at"))
    for row in newest:
        found[row["installation"]].append(Observation(Kind(row["kind"]), row["last"], _OWN))
    # One bound for all of them: what is older than the last sign of its own installation changes no verdict.
    after = min((max(seen.at for seen in seen_here) for seen_here in found.values()), default=None)
    rest = rows.exclude(kind__in=SIGNS)
    if after is not None and len(found) == len(set(installation_ids)):
        rest = rest.filter(Q(observed_at__gt=after) | Q(kind=Kind.STATED_REMOVED))
    for pk, kind, at, detail in rest.values_list("installation", "kind", "observed_at", "detail"):
        found[pk].append(Observation(Kind(kind), at, _OWN, detail))
    return found


def judge_due(*, count: int) -> int:
    """Judge installations whose verdict time may have changed, and those that have none; returns how many.

    A step for the sweep, in its transaction.
    """
    due = Liveness.objects.filter(judge_again_at__lte=timezone.now()).order_by("judge_again_at")
    held = due.select_for_update(no_key=True, skip_locked=True)
    return judge_locked(list(held.values_list("pk", flat=True)[:count]))


def unjudged(*, count: int) -> list[int]:
    """Return installations without a verdict: a release before this one made them. One statement."""
    missing = Installation.objects.filter(liveness__isnull=True).order_by("pk")
    return list(missing.values_list("pk", flat=True)[:count])


def wait_for_next_probe(*, in_vain: int) -> timedelta:
    """Return how long an installation is left alone after a probe."""
    return next_probe(
        in_vain=in_vain,
        first=timedelta(days=settings.LIVENESS_PROBE_DAYS),
        most=timedelta(days=settings.LIVENESS_PROBE_MAX_DAYS),
        draw=_random.random(),
    )
