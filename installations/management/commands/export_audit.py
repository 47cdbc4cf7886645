"""Export the audit trail."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from installations.actors import Actor, command_actor
from installations.errors import DomainError
from installations.management.audit_command import audit_keys, bar
from installations.management.new_files import new_file
from installations.management.operator_command import operator, plural
from installations.management.output import VisibleCommand
from installations.trail.exporting import Export, Format, export_audit


class Command(VisibleCommand):
    help = (
        "Export the audit trail. JSON Lines can be verified with verify_audit --file; CSV is for spreadsheets. The "
        "export is itself an event of the trail."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=[each.value for each in Format], default=Format.JSON_LINES.value)
        parser.add_argument("--output", metavar="FILE", default="-", help="a new file; - writes to standard output")
        parser.add_argument("--operator", metavar="NAME", help="who exports; needs the permission")
        parser.add_argument("--reason", default="Exported by command.", metavar="TEXT", help="for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        audit_keys()
        actor = operator(options["operator"]) if options["operator"] is not None else command_actor()
        with new_file(options["output"], self.stdout) as write:
            export = self._start(Format(options["format"]), actor, options["reason"])
            with bar(export.events, "events") as progress:
                for line in export.lines():
                    write(line)
                    progress.update(1)
        # Standard output is the export's own.
        tell = self.note if options["output"] == "-" else self.say
        tell(
            f"{plural(export.events, 'event', 'events')} exported, {export.after.sequence + 1} to {export.to.sequence}"
        )
        if export.missing:
            numbers = plural(export.missing, "number has", "numbers have")
            self.note(f"{numbers} no event: somebody took them out. Run manage.py verify_audit")

    def _start(self, format: Format, actor: Actor, reason: str) -> Export:
        try:
            return export_audit(format=format, actor=actor, reason=reason)
        except DomainError as error:
            raise CommandError(error.public_message) from None
