"""Put the entries of a file in the place of all that operators wrote of the scope catalogue."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.catalogue_editing import Edit, import_catalogue, preview_import
from installations.management.manifest_files import read_manifest
from installations.management.operator_command import OperatorCommand, plural


class Command(OperatorCommand):
    help = (
        "Import the operators' part of the scope catalogue, or all of it, from a file of export_catalogue: it takes "
        "the place of what operators wrote. The same content again changes nothing. '-' reads standard input."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        document = read_manifest(options["file"])
        if options["dry_run"]:
            edit = preview_import(document)
            self._tell(edit)
            return f"would change {plural(len(edit.changes), 'entry', 'entries')}; nothing is saved"
        edit = import_catalogue(document=document, actor=actor, reason=options["reason"])
        self._tell(edit)
        if not edit.changed:
            return f"edition {edit.catalogue.edition}: unchanged"
        less, again = edit.touched.less, edit.touched.again
        told = (
            f", {plural(again, 'approval reaches', 'approvals reach')} again what an earlier edit took" if again else ""
        )
        return (
            f"edition {edit.catalogue.edition} is in force: {plural(len(edit.changes), 'entry', 'entries')} changed, "
            f"{plural(less, 'approval reaches', 'approvals reach')} less{told}"
        )

    def _tell(self, edit: Edit) -> None:
        for change in edit.changes:
            self.note(f"{change.code}: {change.summary}")
            for sign, lines in (("+", change.wider), ("-", change.narrower), ("!", change.risks)):
                for line in lines:
                    self.note(f"  {sign} {line}")
