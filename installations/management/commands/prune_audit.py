"""Archive and remove the beginning of the audit trail."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.audit_command import audit_keys, bar
from installations.management.operator_command import OperatorCommand, plural
from installations.trail.pruning import prune_audit


def day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date like 2026-01-31") from None


class Command(OperatorCommand):
    help = (
        "Move the beginning of the audit trail to an archive: writes every event before a date to a new file, verifies "
        "the file, then removes them behind a signed checkpoint. Nothing younger than AUDIT_RETENTION_DAYS goes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--before", required=True, type=day, metavar="DATE", help="like 2026-01-31, UTC")
        parser.add_argument("--archive", required=True, metavar="FILE", help="a new file; keep it")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        audit_keys()
        with bar(None, "events") as progress:
            done = prune_audit(
                before=options["before"],
                archive=Path(options["archive"]),
                actor=actor,
                reason=options["reason"],
                progress=progress.update,
            )
        if not done.events:
            return "nothing removed: no event of the trail is older than that"
        return f"{plural(done.events, 'event', 'events')} archived and removed, up to {done.to}"
