"""Register or update an application from its manifest."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import command_actor
from installations.deception import visible_text
from installations.errors import ManifestInvalid
from installations.management.manifest_files import read_manifest
from installations.management.output import Refusal, VisibleCommand
from installations.models import Application
from installations.services import import_manifest


class Command(VisibleCommand):
    help = (
        "Register the application that a manifest.json describes, or make its content the current one. "
        "The same content again changes nothing. '-' reads standard input."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--kind", choices=Application.Kind.values, help="private, unless the application is known")

    def handle(self, *args: Any, **options: Any) -> None:
        document = read_manifest(options["file"])
        try:
            result = import_manifest(document=document, kind=options["kind"], actor=command_actor())
        except ManifestInvalid as error:
            raise Refusal(error.public_message, *(f"  {problem}" for problem in error.errors)) from None
        for notice in result.notices:
            about = f" ({visible_text(notice.scope, ascii_only=True)})" if notice.scope else ""
            self.note(f"note: {notice.path}{about}: {notice.message}")
        what = "unchanged"
        if result.is_new_application:
            what = "registered"
        elif result.changed:
            affected = result.installations_affected
            asking = "1 installation asks" if affected == 1 else f"{affected} installations ask"
            what = f"updated; {asking} for its scopes now"
        self.say(f"{result.application.app_id} {result.manifest}: {what}")
