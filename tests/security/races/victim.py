"""A process that is killed on purpose at a named point of a refresh: reads nothing, and its death is its answer.

`python -m tests.security.races.victim POINT TOKEN GENERATION`
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "flowlu_admin.settings_test"
django.setup()

from django.conf import settings  # noqa: E402

from installations.flowlu.oauth_endpoint import OAuthEndpoint  # noqa: E402
from tokens.services import proving, refreshing  # noqa: E402

# point: (where, what, before or after it)
POINTS: dict[str, tuple[Any, str, str]] = {
    "before the attempt": (refreshing, "_commit_attempt", "before"),
    "the attempt is not committed": (refreshing, "_commit_attempt", "after"),
    "the attempt is committed": (OAuthEndpoint, "redeem", "before"),
    "the answer is there": (OAuthEndpoint, "redeem", "after"),
    "the pair is not committed": (refreshing, "_record", "after"),
    "the pair is stored": (refreshing, "_store", "after"),
    "the proof is not committed": (proving, "make_room_locked", "after"),
    "the pair is proven": (proving, "prove_pair", "after"),
    # These two by the endpoint, which holds the answer back until the process is gone.
    "before it is redeemed": (None, "", ""),
    "after it is redeemed": (None, "", ""),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def mined(real: Callable[..., Any], when: str) -> Callable[..., Any]:
    def step(*args: Any, **named: Any) -> Any:
        if when == "before":
            die()
        real(*args, **named)
        die()

    return step


def main(point: str, token: int, generation: int) -> None:
    settings.DEBUG = True  # plain http to the sandbox
    settings.FLOWLU_PORTAL_URL = os.environ["SANDBOX_PORTAL_URL"]
    settings.FLOWLU_PORTAL_URL_IS_SET = True
    where, name, when = POINTS[point]
    if where is not None:
        setattr(where, name, mined(getattr(where, name), when))
    refreshing.refresh_pair(token_id=token, generation=generation, trigger=refreshing.RefreshAttempt.Trigger.CALL)
    proving.prove_pair(token_id=token, generation=generation + 1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
