"""How a drill is stopped: SIGINT, SIGTERM and SIGHUP end it where they may, not while something is made or dropped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """What was asked by signals: the first one ends the process, once it may, and the others change nothing."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._heeding = False

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let a signal end what runs in the block, and one that came earlier end it at once: both by SystemExit."""
        self._heeding = True
        try:
            self.end_if_asked()
            yield
        finally:
            self._heeding = False

    def end_if_asked(self) -> None:
        if self._asked is not None:
            self._heeding = False  # what drops the scratch is not interrupted by the next signal
            raise SystemExit(128 + self._asked)

    def note(self, number: int, _frame: FrameType | None = None) -> None:
        """Take a signal."""
        if self._asked is None:
            self._asked = number
            if self._heeding:
                self.end_if_asked()


@contextmanager
def stopping() -> Iterator[Stopping]:
    """Keep signals from ending the block but where it heeds them; one that was kept ends the process after it."""
    asked = Stopping()
    # What is ignored stays so: nohup has it.
    taken = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, asked.note) for number in taken}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    asked.end_if_asked()
