"""Try whether a backup can be restored and is whole, without touching the service's own database."""

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from flowlu_admin.restoring.scratch import NotRestored, NotTried, restored
from flowlu_admin.restoring.steps import Step, from_line
from flowlu_admin.restoring.stopping import Stopping, stopping
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
        parser.add_argument(
            "--trust-dump",
            action="store_true",
            help="take a role that could harm more than the scratch database: so could who wrote the dump",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        anchor = options["anchor"] if options["anchor"] is not None else settings.AUDIT_ANCHOR_FILE
        own = settings.DATABASES["default"]
        live = str(own["NAME"]) if own["ENGINE"] == "django.db.backends.sqlite3" else ""
        steps: list[Step] = []
        began = time.monotonic()
        server = settings.DRILL_DATABASE_URL
        try:
            with (
                stopping() as signals,
                restored(
                    options["file"], server=server, live=live, signals=signals, trusted=options["trust_dump"]
                ) as url,
            ):
                steps.append(Step("restore", True, "restored into a scratch database", time.monotonic() - began))
                self._tell(steps[-1])
                with closing(_inspected(url, anchor, signals)) as inspected:
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


def _inspected(url: str, anchor: str, signals: Stopping) -> Generator[Step]:
    """Yield what a process finds whose only database is the scratch one."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL_FILE"}
    environment |= {"DATABASE_URL": url, "PYTHONPATH": str(settings.BASE_DIR)}
    # -P: no code of the folder that the caller is in. Paths in the environment are still meant from there.
    command = [sys.executable, "-P", "-m", "flowlu_admin.restoring", anchor]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as looking:  # noqa: S603 - ours
        assert looking.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            with signals.heeded():
                for line in looking.stdout:
                    yield from_line(line)
        except BaseException:
            looking.terminate()
            raise
    if looking.returncode:
        yield Step("inspection", False, f"it ended early, with {looking.returncode}; the reason is in the lines above")
