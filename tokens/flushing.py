"""One background thread for each process, which writes what requests only noted, every few seconds and at exit."""

import atexit
import os
import threading
from collections.abc import Callable

from django.db import close_old_connections

FLUSH_SECONDS = 5.0

_lock = threading.Lock()
_flushes: list[Callable[[], None]] = []
_thread_of_pid: int | None = None


def keep_flushing(flush: Callable[[], None]) -> None:
    """Call `flush` every few seconds from now on, in this process. Calling this again changes nothing.

    A flush returns at once when nothing was noted, and keeps what it cannot write for the next time.
    """
    global _thread_of_pid
    if _thread_of_pid == os.getpid() and flush in _flushes:
        return
    with _lock:
        if flush not in _flushes:
            _flushes.append(flush)
            atexit.register(flush)
        if _thread_of_pid == os.getpid():
            return
        _thread_of_pid = os.getpid()
    threading.Thread(target=_flush_forever, name="background-flush", daemon=True).start()


def _flush_forever() -> None:
    pause = threading.Event()
    while True:
        pause.wait(FLUSH_SECONDS)
        for flush in list(_flushes):
            flush()
        close_old_connections()
