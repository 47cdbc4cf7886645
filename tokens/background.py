"""Ask for background work: ids in, after the commit, never a secret.

Without a broker the work is done at once in the process that asks. With one that is away, nothing is lost either: the
sweep looks for what is due and was not asked for.
"""

import logging

from celery import current_app
from celery.exceptions import CeleryError
from django.db import transaction
from kombu.exceptions import KombuError

logger = logging.getLogger(__name__)


def after_commit(task: str, *ids: int) -> None:
    """Run the task with these ids once the present transaction is committed."""
    transaction.on_commit(lambda: _ask(task, ids), robust=True)


def _ask(task: str, ids: tuple[int, ...]) -> None:
    try:
        current_app.tasks[task].delay(*ids)
    except (CeleryError, KombuError, OSError) as error:
        logger.warning("%s was not queued (%s); the sweep does it.", task, type(error).__name__)
