"""The verb of the desk for leaked tokens."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from installations import audit
from installations.actors import Actor, clean_reason
from tokens.leak_search import Found, search
from tokens.leaks import LeakedLine

_IDS_KEPT = 1_000


def find_leaked(*, lines: Sequence[LeakedLine], actor: Actor, reason: str | None = None) -> Found:
    """Look lines up that were found in a leak, and record that it was done: counts and the ids of hits, nothing else.

    Nothing of what was handed in is stored, and a miss says no more than that it is not known here.

    The page asks for no reason: somebody would paste a token into it.

    Raises NotPermitted, ReasonRequired for a reason that is none.
    """
    actor.require("tokens.find_leaked")
    why = "" if reason is None else clean_reason(reason)
    found = search(lines)
    with transaction.atomic(durable=True):
        audit.append(actor, audit.Event("leaked.looked_up", "vault", "leaked", reason=why, details=_told(found)))
    return found


def _told(found: Found) -> dict[str, Any]:
    tokens = sorted({hit.token.pk for hit in found.hits if hit.token is not None})
    keys = sorted({hit.api_key.pk for hit in found.hits if hit.api_key is not None})
    return {
        "lines": found.lines,
        "not_known": found.unknown,
        "live": len(found.live),
        "revoked_before": len(found.hits) - len(found.live),
        "tokens": tokens[:_IDS_KEPT],
        "api_keys": keys[:_IDS_KEPT],
    }
