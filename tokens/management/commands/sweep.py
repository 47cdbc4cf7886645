"""Run the periodic jobs that are due, once or again and again."""

import signal
import threading
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import close_old_connections

from installations.management.output import VisibleCommand
from tokens import sweeps


class Command(VisibleCommand):
    help = (
        "Run the periodic jobs that are due: label lost refreshes, refresh what is in use, tell Flowlu what was "
        "revoked, wipe what is of no more use. Safe to run in many places at once. Celery's beat does the same."
    )
    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--every", type=int, metavar="SECONDS", help="go on, with a look every so many seconds, until Ctrl-C"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        every = options["every"]
        if every is not None and every < 1:
            raise CommandError("--every takes a number of seconds of at least 1.")
        stop = threading.Event()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def leave(_number: int, _frame: Any) -> None:
            if stop.is_set():
                raise KeyboardInterrupt  # the second time without waiting for the request that is under way
            stop.set()

        for number in before:
            signal.signal(number, leave)
        try:
            failed = self._sweep(stop, quiet=False)
            while every is not None and not stop.wait(every):
                close_old_connections()
                self._sweep(stop, quiet=True)
        except KeyboardInterrupt:
            return
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if failed and every is None:
            raise CommandError(f"Failed: {', '.join(failed)}. The reason is in the log.")

    def _sweep(self, stop: threading.Event, *, quiet: bool) -> list[str]:
        """Sweep once; in a loop only what was done is worth a line."""
        swept = sweeps.run_due(stopped=stop.is_set)
        if not quiet or swept.failed or any(swept.done.values()):
            self.say(swept)
            self.stdout.flush()
        return swept.failed
