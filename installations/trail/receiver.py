"""Send an anchor to a receiver: one POST under one deadline, no redirects, no proxy, no answer read."""

import time
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from installations.errors import StateConflict
from installations.flowlu.pool import CallClock, Guard, GuardedPoolManager, call_clock, system_resolver

CONNECT_SECONDS = 5
STEP_SECONDS = 10
TOTAL_SECONDS = 20


def send_anchor(url: str, text: str, *, allow_http: bool) -> None:
    """POST one anchor; raises StateConflict unless the receiver says that it took it.

    The address is set by whoever runs the service, so it may be a private one. No text of the receiver's is repeated.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        raise StateConflict("The receiver of anchors must be an https address.")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise StateConflict("The receiver of anchors must be an address without a user name in it.")
    guard = Guard(allow_private=True, connect_timeout=CONNECT_SECONDS, resolve=system_resolver)
    clock = call_clock.set(CallClock(deadline=time.monotonic() + TOTAL_SECONDS, step=STEP_SECONDS))
    try:
        response = GuardedPoolManager(guard).urlopen(
            "POST",
            url,
            body=text.encode("ascii"),
            headers={"Content-Type": "application/json", "Connection": "close"},
            redirect=False,
            retries=False,
            preload_content=False,
        )
        status = response.status
        response.close()
    except (HTTPError, OSError, ValueError):
        status = 0
    finally:
        call_clock.reset(clock)
    if status == 0:
        raise StateConflict("The receiver of anchors could not be reached. Nothing was anchored there.")
    if not 200 <= status < 300:
        raise StateConflict(f"The receiver of anchors answered {status}. Nothing was anchored there.")
