"""Verify the trail in the database, and note in it that this was done."""

from collections.abc import Iterable, Iterator

from django.db import transaction

from installations import audit
from installations.actors import Actor
from installations.audit_chain import START, Anchor, Finding, Kind, Signature, Walk
from installations.keys import KeyRing
from installations.models import ApprovedPermission, Installation
from installations.trail import reading


class DatabaseVerification:
    """One pass over the trail while the service goes on writing. Iterate for the findings, then read the counts."""

    def __init__(self, ring: KeyRing, anchors: Iterable[Anchor] = ()) -> None:
        self._ring = ring
        self._checked: set[int] = set()  # the checkpoints whose signature was looked at
        self._walk = Walk(ring, reading.start(), anchors)
        self.expected = self._expected()

    @property
    def events(self) -> int:
        return self._walk.events

    @property
    def last(self) -> int:
        return self._walk.last.sequence

    def __iter__(self) -> Iterator[Finding]:
        walk = self._walk
        yield from self._check_checkpoint()
        for row in reading.rows():
            if row["sequence"] != walk.last.sequence + 1:
                # A beginning may have been removed since the walk began.
                yield from self._check_checkpoint()
                walk.skip_to(reading.start())
            yield from walk.step(row)
        # The head is read after the events, so that it is never behind them; what it is ahead by must be there now.
        head = reading.head()
        while head is not None and head.sequence > walk.last.sequence:
            before = walk.last.sequence
            for row in reading.rows(after=before):
                yield from walk.step(row)
            if walk.last.sequence == before:
                break
            head = reading.head()
        yield from self._check_checkpoint()
        if walk.last == START and not walk.events and (head is None or head == START):
            yield from _check_empty()
        if head is None:
            if walk.last != START:
                yield Finding(Kind.HEAD, walk.last.sequence, "nothing says where the chain ends: that row is gone")
            head = walk.last
        yield from walk.end(head)

    def _check_checkpoint(self) -> Iterator[Finding]:
        first = reading.start().sequence
        if first in self._checked:
            return
        self._checked.add(first)
        signature = reading.checkpoint_signature(self._ring)
        if signature is Signature.UNKNOWN_KEY:
            words = "the checkpoint there is under an audit key that AUDIT_KEY does not have"
            yield Finding(Kind.UNKNOWN_KEY, first, words)
        elif signature is Signature.WRONG:
            words = "the checkpoint there, which stands for removed events, has a wrong signature"
            yield Finding(Kind.SIGNATURE, first, words)

    def _expected(self) -> int:
        head = reading.head()
        return max(0, head.sequence - self._walk.last.sequence) if head else 0


def _check_empty() -> Iterator[Finding]:
    """Yield a finding when the trail says that nothing ever happened, and other tables say that something did."""
    for model in (ApprovedPermission, Installation):
        if model.objects.exists():
            words = f"the trail is empty although there are {model._meta.verbose_name_plural}"
            yield Finding(Kind.MISSING, 1, words)
            return


def record_verification(*, checked: DatabaseVerification, findings: int, anchored: bool, actor: Actor) -> None:
    """Note in the trail up to where it was verified and with what result."""
    with transaction.atomic(durable=True):
        audit.append(
            actor,
            audit.Event(
                "audit.verified",
                "audit trail",
                str(checked.last),
                details={"events": checked.events, "findings": findings, "with_anchor": anchored},
            ),
        )
