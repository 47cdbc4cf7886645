"""The task that sends what is due, and the periodic jobs of the sweep."""

from celery import shared_task

from flowlu_admin.notices.delivering import deliver_due, prune_notices
from flowlu_admin.notices.telling import DELIVER, look
from tokens import sweeps
from tokens.sweeps import Job

JOBS = (
    Job("look_for_notices", 60, lambda _stopped: look()),
    Job("deliver_notices", 30, deliver_due),
    Job("prune_notices", 3600, prune_notices),
)


@shared_task(name=DELIVER)
def deliver_notices() -> None:
    """Send what is due: asked for once something is. The sweep does the rest, and what was not asked for."""
    deliver_due()


def add_to_sweep() -> None:
    """Have the sweep run these jobs as well: it is of a lower app, which cannot know of them."""
    sweeps.JOBS.extend(job for job in JOBS if job not in sweeps.JOBS)
