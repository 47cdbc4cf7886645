"""Try whether a backup can be restored and is whole, without touching the service's own database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from flowlu_admin.restoring.scratch import NotRestored, NotTried, restored
from flowlu_admin.restoring.steps import Step, from_line
from installations.management.output import VisibleCommand

NOT_TRIED = 2


class Command(VisibleCommand):
    help = (
        "Restore a backup (pg_dump --format=custom, or a file of SQLite) into a scratch database, made for it and "
        "dropped again, migrate it, verify its audit trail and unseal every row with today's keys. The service's own "
        "database is not touched. Exit code 0 when the backup is good, 1 when it is not, 2 when it could not be tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the backup")
        parser.add_argument(
            "--anchor", metavar="FILE", help="anchors written by anchor_audit (default: AUDIT_ANCHOR_FILE)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        anchor = options["anchor"] if options["anchor"] is not None else settings.AUDIT_ANCHOR_FILE
        own = settings.DATABASES["default"]
        live = str(own["NAME"]) if own["ENGINE"] == "django.db.backends.sqlite3" else ""
        steps: list[Step] = []
        began = time.monotonic()
        server = settings.DRILL_DATABASE_URL
        try:
            with _terminated_in_order(), restored(options["file"], server=server, live=live) as url:
                steps.append(Step("restore", True, "restored into a scratch database", time.monotonic() - began))
                self._tell(steps[-1])
                with closing(_inspected(url, anchor)) as inspected:
                    for step in inspected:
                        steps.append(step)
                        self._tell(step)
        except NotRestored as error:
            raise CommandError(f"NOT good: it cannot be restored: {error}.") from None
        except NotTried as error:
            raise CommandError(str(error), returncode=NOT_TRIED) from None
        seconds = time.monotonic() - began
        bad = [step.name for step in steps if not step.good]
        if bad:
            raise CommandError(f"NOT good: {', '.join(bad)}. It took {seconds:.1f} s; the scratch database is dropped.")
        self.say(f"GOOD: restored, migrated and looked through in {seconds:.1f} s; the scratch database is dropped.")

    def _tell(self, step: Step) -> None:
        self.say(f"{'ok' if step.good else 'BAD':<4}{step.seconds:8.1f} s  {step.name}: {step.words}")


def _inspected(url: str, anchor: str) -> Generator[Step]:
    """Yield what a process finds whose only database is the scratch one."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL_FILE"}
    environment |= {"DATABASE_URL": url, "PYTHONPATH": str(settings.BASE_DIR)}
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "flowlu_admin.restoring", anchor], env=environment, stdout=subprocess.PIPE, text=True
    ) as looking:
        assert looking.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            for line in looking.stdout:
                yield from_line(line)
        except BaseException:
            looking.terminate()
            raise
    if looking.returncode:
        yield Step("inspection", False, f"it ended early, with {looking.returncode}; the reason is in the lines above")


@contextmanager
def _terminated_in_order() -> Iterator[None]:
    """Have the scratch database dropped by a SIGTERM as well, as by Ctrl-C."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
