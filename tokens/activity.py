"""Remember when sessions and service clients were last used without a write in the request.

Uses are kept per process and written every few seconds by a background thread and at exit, so a killed worker loses at
most the last interval: a session may then end that much early, never late. Times are kept to the second.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone

from tokens import flushing
from tokens.access import Caller
from tokens.models import EmbedSession, ServiceClient

# Fresh enough: a session is written at most this often, whatever it does.
_AT_MOST_EVERY = 60.0
_BATCH = 500

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_Kind = type[EmbedSession] | type[ServiceClient]
_uses: dict[tuple[_Kind, int], datetime] = {}


def note_use(caller: Caller) -> None:
    """Note that the caller's session is in use; written later."""
    if caller.session_used_seconds_ago < min(_AT_MOST_EVERY, settings.EMBED_SESSION_IDLE / 10):
        return
    _note(EmbedSession, caller.session_id)


def note_client_use(client_id: int, last_used_at: datetime | None) -> None:
    """Note that a service client is in use; written later."""
    if last_used_at is None or (timezone.now() - last_used_at).total_seconds() >= _AT_MOST_EVERY:
        _note(ServiceClient, client_id)


def _note(kind: _Kind, pk: int) -> None:
    with _lock:
        _uses[kind, pk] = timezone.now()
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
            _write(EmbedSession, batch)
            _write(ServiceClient, batch)
            pending = pending[_BATCH:]
    except DatabaseError:
        with _lock:
            for what, used in pending:
                _uses.setdefault(what, used)
        logger.warning("The last use of %d sessions and clients could not be written; it is tried again.", len(pending))


def forget() -> None:
    """Drop what was noted and is not written yet."""
    with _lock:
        _uses.clear()


def _write(kind: _Kind, batch: Sequence[tuple[tuple[_Kind, int], datetime]]) -> None:
    """Write the uses of each second as of its beginning: a few short statements instead of one with a value a row."""
    together: defaultdict[datetime, list[int]] = defaultdict(list)
    for (its_kind, pk), used in batch:
        if its_kind is kind:
            together[used.replace(microsecond=0)].append(pk)
    for used_at, found in together.items():
        rows = kind._default_manager.filter(Q(last_used_at=None) | Q(last_used_at__lt=used_at), pk__in=found)
        rows.update(last_used_at=used_at)
