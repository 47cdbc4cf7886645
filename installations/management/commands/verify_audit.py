"""Verify the audit trail, or an exported file of it."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from installations.actors import command_actor
from installations.audit_chain import Anchor, Finding
from installations.audit_files import ExportReader
from installations.keys import KeyRing
from installations.management.audit_command import anchors_in, audit_keys, bar, opened
from installations.management.operator_command import plural
from installations.management.output import VisibleCommand
from installations.trail.verifying import DatabaseVerification, record_verification

SHOWN = 50


class Command(VisibleCommand):
    help = (
        "Verify the audit trail with AUDIT_KEY: finds every edited, removed, added or exchanged event. With anchors it "
        "also finds a cut-off end. With --file an exported file is verified; that needs no database. Exit code 1 when "
        "something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anchor", metavar="FILE", help="anchors written by anchor_audit (default: AUDIT_ANCHOR_FILE)"
        )
        parser.add_argument("--file", metavar="EXPORT", help="an export or archive in JSON Lines; - is not taken")

    def execute(self, *args: Any, **options: Any) -> Any:
        # Whoever verifies an export has AUDIT_KEY and nothing else of what the checks ask a service for.
        options["skip_checks"] = options["skip_checks"] or options["file"] is not None
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        ring = audit_keys()
        named = options["anchor"] if options["anchor"] is not None else settings.AUDIT_ANCHOR_FILE
        anchors = anchors_in(named, ring) if named else []
        if options["file"] is not None:
            self._verify_file(options["file"], ring, anchors)
            return
        try:
            self._verify_database(ring, anchors)
        except DatabaseError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CommandError(f"The trail cannot be read from the database: {reason}") from None

    def _verify_database(self, ring: KeyRing, anchors: list[Anchor]) -> None:
        checked = DatabaseVerification(ring, anchors)
        found = self._walk(checked, lambda: checked.events, checked.expected)
        try:
            record_verification(checked=checked, findings=found.total(), anchored=bool(anchors), actor=command_actor())
        except DatabaseError:
            self.note("This verification could not be recorded in the trail.")
        self._conclude(f"{plural(checked.events, 'event', 'events')} up to {checked.last}", anchors, found)

    def _verify_file(self, path: str, ring: KeyRing, anchors: list[Anchor]) -> None:
        with opened(path) as stream:
            reader = ExportReader(stream, ring, anchors)
            found = self._walk(reader, lambda: reader.read, None)
        first, last = reader.after.sequence + 1, reader.to.sequence if reader.to else None
        where = f", {first} to {last}" if last is not None else ""
        self._conclude(f"{plural(reader.events, 'event', 'events')} in the file{where}", anchors, found)

    def _walk(self, findings: Iterable[Finding], count: Callable[[], int], total: int | None) -> Counter[str]:
        found: Counter[str] = Counter()
        with bar(total, "events") as progress:
            progress.set_postfix_str("", refresh=False)
            for finding in findings:
                progress.update(count() - progress.n)
                found[finding.kind] += 1
                if found.total() <= SHOWN:
                    progress.clear()
                    self.note(finding)
            progress.update(count() - progress.n)
        if found.total() > SHOWN:
            self.note(f"and {found.total() - SHOWN} more")
        return found

    def _conclude(self, what: str, anchors: list[Anchor], found: Counter[str]) -> None:
        if found:
            kinds = ", ".join(f"{kind}: {count}" for kind, count in found.most_common())
            raise CommandError(f"BROKEN: {what}, {plural(found.total(), 'finding', 'findings')} ({kinds})")
        held = f", and {plural(len(anchors), 'anchor', 'anchors')}" if anchors else ""
        missing = "" if anchors else "; without an anchor a cut-off end would not show"
        self.say(f"intact: {what}{held}{missing}")
