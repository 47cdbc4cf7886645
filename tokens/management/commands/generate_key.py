"""Make a key for TOKEN_KEYS, FINGERPRINT_KEY or AUDIT_KEY."""

from datetime import UTC, datetime
from string import ascii_lowercase
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from installations.keys import FINGERPRINT_SHOWN, KeyRingError, generate, parse_key_ring
from installations.management.output import VisibleCommand
from tokens.models import KeyRecord


class Command(VisibleCommand):
    help = (
        "Print a new random key as id:base64 on standard output, once and nowhere else. Needs no database and no other "
        "setting. Write it straight into a file: manage.py generate_key > new_key"
    )
    # It is what makes the checks pass.
    requires_system_checks: Any = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--id", metavar="ID", help="1 to 32 letters, digits, '-' or '_' (default: by today's date)")

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
    """Return today's date as an id, with a letter when a ring has one of today already."""
    taken: set[str] = set()
    for ring in KeyRecord.Ring.values:
        try:
            taken |= {key.id for key in parse_key_ring(getattr(settings, ring))}
        except KeyRingError:
            continue
    today = f"k{datetime.now(tz=UTC):%Y%m%d}"
    return next(name for name in (today, *(f"{today}{letter}" for letter in ascii_lowercase)) if name not in taken)
