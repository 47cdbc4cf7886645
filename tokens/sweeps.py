"""The periodic jobs, and who runs them: of any number of processes one at a time, each job when it is due."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from installations import reviewing
from installations.trail import anchoring, refusals
from tokens.models import SweepRun
from tokens.services import api_keys, day_counting, long_runs, probing, pruning, upstream, wiping

LEASE = timedelta(minutes=10)  # a run that did not end by then was ended by something else

logger = logging.getLogger(__name__)

Stopped = Callable[[], bool]


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Job:
    """One periodic job: it stops early when asked to and says how many things it did. Safe to run twice."""

    name: str
    every_seconds: int
    run: Callable[[Stopped], int]


JOBS: list[Job] = [
    Job("label_lost_attempts", 60, wiping.label_lost_attempts),
    Job("refresh_what_expires", 60, wiping.refresh_what_expires),
    Job("cut_in_background", 30, long_runs.cut_in_background),
    Job("tell_upstream", 30, lambda stopped: upstream.tell_due(stopped=stopped)),
    Job("wipe_expired", 3600, wiping.wipe_expired),
    Job("wipe_orphans", 300, wiping.wipe_orphans),
    Job("prune_replaced_fingerprints", 3600, pruning.prune_replaced_fingerprints),
    Job("wipe_expired_api_keys", 300, lambda _stopped: api_keys.wipe_expired_api_keys()),
    Job("prune_service_calls", 3600, lambda _stopped: pruning.prune_service_calls()),
    Job("prune_scope_usage", 3600, lambda _stopped: pruning.prune_scope_usage()),
    Job("note_use_of_scopes", 3600, reviewing.note_use),
    Job("prune_sessions", 3600, lambda _stopped: pruning.prune_sessions()),
    Job("prune_evidence", 86400, pruning.prune_evidence),
    Job("prune_refresh_attempts", 86400, pruning.prune_refresh_attempts),
    Job("judge_liveness", 300, lambda stopped: probing.judge_liveness(stopped)),
    Job("probe_quiet", 60, lambda stopped: probing.probe_quiet(stopped)),
    Job("tell_refusals", 600, lambda _stopped: refusals.tell_what_was_counted()),
    Job("count_days", 300, lambda _stopped: day_counting.count_days()),
    Job("anchor_audit", 3600, lambda _stopped: int(anchoring.anchor_if_due(every=timedelta(days=1)))),
]


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: by job, what was done; which failed."""

    done: dict[str, int]
    failed: list[str]

    def __str__(self) -> str:
        words = ", ".join(f"{name} {count}" for name, count in self.done.items()) or "nothing was due"
        return f"Swept: {words}." + (f" Failed: {', '.join(self.failed)}." if self.failed else "")


def run_due(*, stopped: Stopped = _never) -> Swept:
    """Run every job that is due and that no other process runs. One that fails keeps no other from its turn."""
    done, failed = {}, []
    for job in JOBS:
        if stopped():
            break
        claimed = _claim(job)
        if claimed is None:
            continue
        try:
            count = job.run(stopped)
        except Exception:
            logger.exception("The sweep %s failed", job.name)
            failed.append(job.name)
            ended = {"done": 0, "failing_since": Coalesce("failing_since", Value(claimed))}
        else:
            done[job.name] = count
            ended = {"done": count, "failing_since": None}
        SweepRun.objects.filter(name=job.name, started_at=claimed).update(finished_at=timezone.now(), **ended)
    return Swept(done, failed)


def _claim(job: Job) -> datetime | None:
    """Take the job's next run by moving its start on from what was read; None when it is not due or taken."""
    run, _ = SweepRun.objects.get_or_create(name=job.name)
    now = timezone.now()
    if run.started_at is not None:
        if now < run.started_at + timedelta(seconds=job.every_seconds):
            return None
        under_way = run.finished_at is None or run.finished_at < run.started_at
        if under_way and now < run.started_at + LEASE:
            return None
    unchanged = Q(started_at__isnull=True) if run.started_at is None else Q(started_at=run.started_at)
    won = SweepRun.objects.filter(unchanged, pk=run.pk).update(started_at=now)
    return now if won else None
