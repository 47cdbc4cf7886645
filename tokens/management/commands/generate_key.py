"""Make a key for TOKEN_KEYS, FINGERPRINT_KEY or AUDIT_KEY."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from installations.keys import FINGERPRINT_SHOWN, KeyRingError, generate
from installations.management.output import VisibleCommand


class Command(VisibleCommand):
    help = (
        "Print a new random key as id:base64 on standard output, once and nowhere else. Needs no database and no other "
        "setting. Write it straight into a file: manage.py generate_key > new_key"
    )
    # It is what makes the checks pass.
    requires_system_checks: Any = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--id", metavar="ID", help="1 to 32 letters, digits, '-' or '_' (default: by the time)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            key, text = generate(_next_id() if options["id"] is None else options["id"])
        except KeyRingError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(text)
        self.note(
            f"Key {key.id}, fingerprint {key.fingerprint[:FINGERPRINT_SHOWN]}. Keep it apart from the database and its "
            "backups; nobody can make it again. To rotate, put it last into the ring, restart every process, then put "
            "it first and restart again (docs/operations.md)."
        )


def _next_id() -> str:
    """Return the time as an id: two keys of one day, as a leak asks for, can stand in one ring."""
    return f"k{datetime.now(tz=UTC):%Y%m%d-%H%M%S}"
