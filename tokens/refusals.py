"""Remember the first call that each revocation refused, without a write in the request.

The time is noted per process and written later, the earliest one of all processes: it is the proof that the cut holds.
"""

import logging
import threading
from collections import OrderedDict
from datetime import datetime
from typing import Final

from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone

from tokens import flushing
from tokens.access import Caller
from tokens.models import Revocation

_MOST_KNOWN: Final = 1000

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_noted: dict[int, datetime] = {}
# Those whose first refusal in this process is noted or written: later ones are no news.
_known: OrderedDict[int, None] = OrderedDict()


def note_refusal(caller: Caller) -> None:
    """Note that a call was refused just now because its token was revoked; written later."""
    revocation = caller.revocation_id
    if revocation is None:
        return
    with _lock:
        if revocation in _known:
            return
        _noted[revocation] = timezone.now()
        _known[revocation] = None
        if len(_known) > _MOST_KNOWN:
            _known.popitem(last=False)
    flushing.keep_flushing(flush)


def flush() -> None:
    """Write what was noted. What cannot be written is kept for the next time."""
    with _lock:
        taken = dict(_noted)
        _noted.clear()
    for revocation, at in sorted(taken.items()):
        earlier = Q(first_refused_at__isnull=True) | Q(first_refused_at__gt=at)
        try:
            Revocation.objects.filter(earlier, pk=revocation).update(first_refused_at=at)
        except DatabaseError:
            with _lock:
                _noted.setdefault(revocation, at)
            logger.warning("The first refusal of revocation #%d could not be written; it is tried again.", revocation)


def forget() -> None:
    """Forget what this process noted and wrote: a test begins with another database."""
    with _lock:
        _noted.clear()
        _known.clear()
