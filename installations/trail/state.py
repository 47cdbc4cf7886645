"""What a page says about the trail without reading it: how long it is, and when it was last verified and anchored."""

from dataclasses import dataclass
from datetime import datetime

from installations import audit
from installations.audit_models import AuditEvent
from installations.trail import reading


@dataclass(frozen=True, slots=True)
class TrailState:
    events: int
    first: int
    verified: AuditEvent | None
    anchored: AuditEvent | None

    @property
    def found(self) -> int:
        """How many findings the last verification had."""
        return _findings(self.verified)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a verification found wrong, and when."""

    count: int
    at: datetime


def last_findings() -> Findings | None:
    """Return what the last verification found, if it found anything. One statement, as a rule."""
    verified = reading.newest_genuine(("audit.verified",), audit.audit_keys())
    found = _findings(verified)
    return Findings(found, verified.occurred_at) if verified and found else None


def _findings(verified: AuditEvent | None) -> int:
    return int(verified.details["findings"]) if verified else 0


def trail_state() -> TrailState:
    """Return the state, from a handful of statements. A note that was written in without the key is not believed."""
    ring = audit.audit_keys()
    head, start = reading.head(), reading.start()
    last = head.sequence if head else 0
    return TrailState(
        max(0, last - start.sequence),
        start.sequence + 1,
        reading.newest_genuine(("audit.verified",), ring),
        reading.newest_genuine(("audit.anchored",), ring),
    )
