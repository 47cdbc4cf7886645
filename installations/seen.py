"""What an operator saw before they changed it: a digest that a form carries and a verb compares. Pure."""

import json
from collections.abc import Mapping
from hashlib import sha256

from installations.errors import StateConflict
from installations.said import said


def digest_of(state: Mapping[str, object]) -> str:
    """Return the digest of a state that consists of what JSON has."""
    return sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def check_seen(seen: str | None, now: Mapping[str, object], what: str) -> None:
    """Raise StateConflict unless it still is what was seen. None: nobody says what they saw, as a command does."""
    if seen is not None and seen != digest_of(now):
        raise StateConflict(said("%(what)s was changed while you were reading it. Look at it again.", what=what))
