"""Write the scope catalogue to a file."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from installations import catalogue, editions
from installations.management.new_files import new_file
from installations.management.operator_command import plural
from installations.management.output import VisibleCommand


class Command(VisibleCommand):
    help = (
        "Write the scope catalogue that is in force as JSON: all of it, or with --own what operators wrote. Either can "
        "be imported with import_catalogue, and diff_manifests takes it with --catalogue."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--own", action="store_true", help="only what operators wrote")
        parser.add_argument("--output", metavar="FILE", default="-", help="a new file; - writes to standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        known = editions.in_force()
        if known.damage:
            raise CommandError(f"Edition {known.edition} of the scope catalogue is damaged: {known.damage}.")
        entries = known.own if options["own"] else known.entries
        with new_file(options["output"], self.stdout) as write:
            write(catalogue.exported(entries))
        # Standard output is the export's own.
        tell = self.note if options["output"] == "-" else self.say
        tell(f"{plural(len(entries), 'entry', 'entries')} of edition {known.edition} exported")
