"""What a browser may be told about pages of other origins: CORS of the current-user API, and of nothing else.

It grants nothing: it lets a page send its request and read the answer. Whether the page may use the application is
decided for each request by the list of that application (`tokens/api/origins.py`, docs/adr/0028).
"""

import logging
import time
from threading import Lock
from typing import Any, Final

from corsheaders.signals import check_request_enabled
from django.db import Error
from django.http import HttpRequest

from installations.cross_origin import origins_of_all

logger = logging.getLogger(__name__)

API: Final = "/api/v1/"
KEPT_SECONDS: Final = 5


class KnownOrigins:
    """The origins that any unlocked application allows, read at most once in KEPT_SECONDS.

    Strangers may ask as often as they like, before any rate is counted: it costs the database nothing.
    """

    def __init__(self) -> None:
        self._origins: frozenset[str] = frozenset()
        self._read_at: float | None = None

        self._reading = Lock()

    def __contains__(self, origin: str) -> bool:
        if self._is_old():
            with self._reading:
                if self._is_old():
                    self._read()
        return origin in self._origins

    def _is_old(self) -> bool:
        return self._read_at is None or time.monotonic() - self._read_at >= KEPT_SECONDS

    def _read(self) -> None:
        try:
            self._origins = origins_of_all()
        except Error:
            # An answer is on its way, maybe of a call that changed something: it must not be lost for its headers.
            logger.warning("The allowed origins cannot be read; those of before stay known", exc_info=True)
        self._read_at = time.monotonic()


known = KnownOrigins()


def connect() -> None:
    """Make django-cors-headers ask here."""
    check_request_enabled.connect(_may_read, dispatch_uid="flowlu_admin.cross_origin")


def _may_read(sender: Any, request: HttpRequest, **_kwargs: Any) -> bool:
    # The path first: the signal is sent for every address of the service.
    return request.path_info.startswith(API) and request.headers.get("Origin", "") in known
