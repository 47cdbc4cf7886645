"""Background tasks: thin, ids in, safe to run twice. What they do is in `services` and `sweeps`."""

from celery import shared_task

from tokens import sweeps
from tokens.services import upstream


@shared_task(name="tokens.tell_upstream")
def tell_upstream(revocation_id: int) -> None:
    """Tell Flowlu about one revocation, as far as that is quick; the sweep tells the rest."""
    upstream.tell_due(revocation_id=revocation_id, seconds=upstream.AT_ONCE_SECONDS)


@shared_task(name="tokens.sweep")
def sweep() -> None:
    """Run every periodic job that is due."""
    sweeps.run_due()
