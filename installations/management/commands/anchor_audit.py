"""Write the head of the audit trail down elsewhere."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from installations.actors import command_actor
from installations.errors import DomainError
from installations.management.audit_command import audit_keys
from installations.management.output import VisibleCommand
from installations.trail.anchoring import anchor


class Command(VisibleCommand):
    help = (
        "Write the signed head of the audit trail to a file of anchors, or send it to a receiver. Keep both where "
        "nobody who can write the database can write: then verify_audit finds an end that was cut off."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", metavar="FILE", help="append to this file (default: AUDIT_ANCHOR_FILE)")
        parser.add_argument("--url", metavar="URL", help="POST to this https address (default: AUDIT_ANCHOR_URL)")

    def handle(self, *args: Any, **options: Any) -> None:
        path, url = options["file"], options["url"]
        if path is None and url is None:
            path, url = settings.AUDIT_ANCHOR_FILE, settings.AUDIT_ANCHOR_URL
        if not path and not url:
            raise CommandError("Name where to anchor: --file FILE or --url URL, or set AUDIT_ANCHOR_FILE or _URL.")
        audit_keys()
        try:
            said = anchor(path=path or "", url=url or "", actor=command_actor())
        except DomainError as error:
            raise CommandError(error.public_message) from None
        self.say("; ".join(said))
