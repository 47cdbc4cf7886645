"""Say what changed between two manifests, for a pipeline that must not widen what an application asks for."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from installations import catalogue, manifests
from installations.catalogue import Catalogue, CatalogueInvalid
from installations.errors import ManifestInvalid
from installations.management.manifest_files import read_manifest
from installations.management.output import Refusal, VisibleCommand
from installations.manifest_diff import Content, ScopeChange, diff

ESCALATES, UNREADABLE = 1, 2


class Command(VisibleCommand):
    help = (
        "Print what changed from one manifest.json to another. Exits with 1 when the new one asks for more than the "
        "old one: a new or wider scope, an unknown one, an address on another host, another appId. Exits with 2 when "
        "one of them cannot be read, else with 0. Needs no database: what operators added to the scope catalogue "
        "counts where --catalogue names a file of export_catalogue. '-' reads one of them from standard input."
    )
    # It compares two files and keeps nothing: a pipeline has no keys and no database.
    requires_system_checks: Any = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("old", metavar="OLD")
        parser.add_argument("new", metavar="NEW")
        parser.add_argument("--catalogue", metavar="FILE", help="of export_catalogue; otherwise the shipped one counts")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["old"] == options["new"] == "-":
            raise CommandError("Standard input holds one manifest: name a file for the other.", returncode=UNREADABLE)
        known = _catalogue(options["catalogue"])
        old, new = _content(options["old"], known), _content(options["new"], known)
        found = diff(old, new, known)
        for change in found.scopes:
            mark = "!" if change.escalates else " "
            self.say(f"{mark} {change.change} {change.code}: {change.words}{_risk(change, known)}")
        for field in found.fields:
            self.say(f"{'!' if field.escalates else ' '} {field.field}: {field.words}")
        if found.escalates:
            raise CommandError(
                f"The new manifest asks for more than the old one: see the lines with '!'. {found.follows}",
                returncode=ESCALATES,
            )
        self.say("no change" if found.is_empty else "nothing new is asked for")


def _risk(change: ScopeChange, known: Catalogue) -> str:
    """Return the risk of what is asked for more, as the catalogue has it."""
    entry = known.get(change.code)
    if not change.escalates or change.after is None or entry is None:
        return ""
    return f" ({entry.at(change.after).risk} risk)"


def _catalogue(name: str | None) -> Catalogue:
    if name is None:
        return catalogue.load()
    try:
        return catalogue.parse_catalogue(read_manifest(name))
    except CatalogueInvalid as error:
        raise CommandError(f"{name}: {error}", returncode=UNREADABLE) from None
    except CommandError as error:
        error.returncode = UNREADABLE
        raise


def _content(name: str, known: Catalogue) -> Content:
    try:
        parsed = manifests.parse(read_manifest(name), catalogue=known)
    except ManifestInvalid as error:
        said = f"{name}: The manifest cannot be read. Correct what is listed."
        refusal = Refusal(said, *(f"  {problem}" for problem in error.errors))
        refusal.returncode = UNREADABLE
        raise refusal from None
    except CommandError as error:
        error.returncode = UNREADABLE
        raise
    return Content(parsed.permissions, parsed.document)
