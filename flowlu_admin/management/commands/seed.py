"""Fill a database with a made-up world."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from tqdm import tqdm

from flowlu_admin.seeding.build import Size, build
from installations.management.output import VisibleCommand
from installations.models import Installation


class Command(VisibleCommand):
    help = (
        "Fill a database for trials with a made-up world: portals, installations in every state, approvals, users, "
        "sealed tokens that nobody knows, sessions, evidence, revocations and an audit trail that verifies. Needs "
        "DEBUG=1, or to be told that the database is for trials. Nothing takes it out again but to drop the database."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--installations", type=int, default=1000, metavar="N", help="how many (1000)")
        parser.add_argument("--tokens", type=int, metavar="M", help="how many; without it two for each installation")
        parser.add_argument("--seed", type=int, default=1, help="another number makes another world (1)")
        parser.add_argument(
            "--yes-this-database-is-for-trials", action="store_true", dest="for_trials", help="go on without DEBUG=1"
        )
        parser.add_argument(
            "--add-to-what-is-there", action="store_true", dest="add", help="go on where there are installations"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        size = _size(options)
        if not settings.DEBUG and not options["for_trials"]:
            raise CommandError(
                "Made-up rows cannot be told from others later, and never leave the audit trail. If this database is "
                "for trials only, say --yes-this-database-is-for-trials."
            )
        if not options["add"] and Installation.objects.exists():
            raise CommandError(
                "There are installations in this database. Seed an empty one, or say --add-to-what-is-there."
            )
        with tqdm(total=size.installations, unit=" installations", file=sys.stderr, disable=None) as bar:
            written = build(size, bar.update)
        rows = ", ".join(f"{count:,} {name}" for name, count in written.items())
        self.say(f"seeded: {rows}")


def _size(options: dict[str, Any]) -> Size:
    installations, tokens = options["installations"], options["tokens"]
    if installations < 1:
        raise CommandError("--installations must be 1 or more.")
    tokens = 2 * installations if tokens is None else tokens
    # A portal user has at most ten live tokens of an installation; a bound that no realistic world comes near.
    if not 0 <= tokens <= 20 * installations:
        raise CommandError("--tokens must be between 0 and twenty times the installations.")
    return Size(installations, tokens, options["seed"])
