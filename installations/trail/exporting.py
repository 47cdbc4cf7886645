"""Export the trail as JSON Lines or CSV, streamed, with a note in the trail itself before the first byte."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from installations import audit
from installations.actors import Actor, clean_reason
from installations.audit_chain import Link
from installations.audit_files import csv_lines, header, json_lines
from installations.audit_models import AuditEvent
from installations.trail import reading

PERMISSION = "installations.export_audit"


class Format(StrEnum):
    JSON_LINES = "jsonl"
    CSV = "csv"

    @property
    def content_type(self) -> str:
        return "text/csv; charset=utf-8" if self is Format.CSV else "application/jsonl"


@dataclass(frozen=True, slots=True)
class Export:
    """What is about to be written: every event behind one point up to another, the note of the export itself last."""

    format: Format
    after: Link
    to: Link
    at: str
    events: int

    @property
    def missing(self) -> int:
        """How many numbers have no event: somebody took them out."""
        return self.to.sequence - self.after.sequence - self.events

    @property
    def file_name(self) -> str:
        return f"audit-{self.after.sequence + 1}-{self.to.sequence}.{self.format}"

    def lines(self) -> Iterator[str]:
        """Yield the file's text piece by piece. Memory does not grow with the trail."""
        found = reading.rows(after=self.after.sequence, to=self.to.sequence)
        if self.format is Format.CSV:
            return csv_lines(found)
        return json_lines(header(self.after, self.to, self.at, audit.audit_keys().newest), found)


def export_audit(*, format: Format, actor: Actor, reason: str) -> Export:
    """Record that the trail is exported, and return what there is to write.

    Raises NotPermitted, ReasonRequired.
    """
    actor.require(PERMISSION)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        to = audit.locked_head().sequence + 1  # the note of the export itself
        after = reading.start()
        audit.append(
            actor,
            audit.Event(
                "audit.exported",
                "audit trail",
                format.value,
                reason=why,
                details={"from": after.sequence + 1, "to": to},
            ),
        )
        head = audit.locked_head()
        events = AuditEvent.objects.filter(sequence__gt=after.sequence, sequence__lte=head.sequence).count()
    return Export(format, after, Link(head.sequence, head.hash), audit.time_text(timezone.now()), events)
