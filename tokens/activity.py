"""Remember when sessions were last used without a write in the request.

Uses are kept per process and written every few seconds by a background thread and at exit, so a killed worker loses at
most the last interval: a session may then end that much early, never late.
"""

import logging
import threading
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from tokens import flushing
from tokens.access import Caller
from tokens.models import EmbedSession

# Fresh enough: a session is written at most this often, whatever it does.
_AT_MOST_EVERY = 60.0
_BATCH = 500

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_uses: dict[int, datetime] = {}


def note_use(caller: Caller) -> None:
    """Note that the caller's session is in use; written later."""
    if caller.session_used_seconds_ago < min(_AT_MOST_EVERY, settings.EMBED_SESSION_IDLE / 10):
        return
    with _lock:
        _uses[caller.session_id] = timezone.now()
    flushing.keep_flushing(flush)


def flush() -> None:
    """Write what was noted. What cannot be written is kept for the next time."""
    with _lock:
        taken = dict(_uses)
        _uses.clear()
    pending = list(taken.items())
    try:
        while pending:
            batch = pending[:_BATCH]
            rows = [EmbedSession(pk=pk, last_used_at=used) for pk, used in batch]
            EmbedSession.objects.bulk_update(rows, ["last_used_at"])
            pending = pending[_BATCH:]
    except DatabaseError:
        with _lock:
            for pk, used in pending:
                _uses.setdefault(pk, used)
        logger.warning("The last use of %d sessions could not be written; it is tried again.", len(pending))
