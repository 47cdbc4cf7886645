"""What the commands about API keys, purposes and service clients share."""

from argparse import ArgumentTypeError
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.core.management.base import CommandError, CommandParser

from installations.management.typed import secret
from tokens import backend_reads
from tokens.models import Purpose
from tokens.services.api_keys import KeyText


def key_from_input() -> KeyText:
    """Return the key, typed unseen or from the first line of standard input."""
    line = secret("The API key")
    if not line:
        raise CommandError("There is no key. Give it as the first line of standard input.")
    return KeyText(line)


def find_purposes(codes: Sequence[str]) -> list[Purpose]:
    found = backend_reads.purposes_by_code(codes)
    if missing := sorted(set(codes) - found.keys()):
        raise CommandError(f"No purpose {', '.join(missing)} is declared. Declare it first.")
    return [found[code] for code in dict.fromkeys(codes)]


def add_last_day(parser: CommandParser) -> None:
    parser.add_argument("--last-day", type=_end_of_day, metavar="YYYY-MM-DD", help="in UTC; without it, no end")


def _end_of_day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ArgumentTypeError("must be a day like 2027-01-31") from None
