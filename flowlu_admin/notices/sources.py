"""What there is to tell: read from the audit trail, from rows that came into a state, and from states that hold now.

The trail is read by its numbers, which are given in the order of the commits: nothing is passed over. A time is looked
at only once it is `SETTLED` old, since a transaction may write one and commit a little later.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from django.db.models import Q
from django.utils import timezone

from flowlu_admin.notices.kinds import Kind
from flowlu_admin.notices.occasions import LONGEST, MOST, Found, as_one
from flowlu_admin.redaction import redact
from installations import selectors
from installations.admin.display import change_url, installation_name, list_url
from installations.deception import one_line
from installations.keys import KeyRingError
from installations.models import (
    Application,
    ApprovalRequest,
    ApprovedPermission,
    AuditEvent,
    AuditHead,
    BreakGlass,
    Installation,
    Liveness,
    Review,
)
from installations.said import said, said_of
from installations.trail.state import last_findings
from tokens import key_report
from tokens.models import Revocation

SETTLED: Final = timedelta(minutes=2)
_AT_ONCE: Final = 5_000  # events of one look; the next one goes on
_QUIET: Final = timedelta(days=1)  # without a failure to unseal, the next one is told anew
_MANY: Final = ("installation", "portal", "application", "stored_before", "fingerprints")


@dataclass(frozen=True, slots=True)
class Holding:
    """A state that holds now. `key` tells it from others of its kind."""

    kind: Kind
    key: str
    label: str
    path: str = ""


def lists() -> dict[Kind, str]:
    """Return the list that shows all of a kind."""
    return {
        Kind.WAITS: list_url(Installation, "status__exact=pending_approval"),
        Kind.ESCALATION: list_url(Installation, "decision=anew"),
        Kind.SUSPECTED: list_url(Installation, f"liveness={Liveness.State.SUSPECTED}"),
        Kind.FOUR_EYES: list_url(ApprovalRequest, "state=waiting"),
        Kind.BREAK_GLASS: list_url(BreakGlass, "looked_at=no"),
        Kind.BULK_REVOCATION: list_url(Revocation),
    }


def readable(*parts: object) -> str:
    """Return a text that may be told: one visible line, without what looks like a secret, and not long."""
    return one_line(redact("".join(map(str, parts))))[:LONGEST]


def newest_event() -> int:
    """Return the number of the last event of the trail."""
    return AuditHead.objects.filter(id=AuditHead.ONLY).values_list("sequence", flat=True).first() or 0


def events_after(sequence: int) -> tuple[list[Found], int]:
    """Return what the events after this number are to be told as, and the number of the last that was looked at."""
    newest = newest_event()
    rows = AuditEvent.objects.filter(sequence__gt=sequence, sequence__lte=newest, verb__in=_BY_VERB)
    events = list(rows.order_by("sequence")[:_AT_ONCE])
    last = events[-1].sequence if len(events) == _AT_ONCE else newest
    found: list[Found] = []
    for verb, tell in _BY_VERB.items():
        if here := [event for event in events if event.verb == verb]:
            found += tell(here)
    return found, last


def _waiting_installations(events: Sequence[AuditEvent]) -> Iterator[Found]:
    """Give those of the new installations that wait: what a policy approved whole does not."""
    at = {int(event.target_id): event for event in events}
    undecided = Q(status=Installation.Status.PENDING_APPROVAL) | Q(left_to_operator=True)
    rows = Installation.objects.live().filter(undecided, pk__in=at).select_related("portal", "application")
    for row in rows.order_by("pk"):
        event = at[row.pk]
        label = readable(installation_name(row))
        yield Found(Kind.WAITS, f"event {event.sequence}", event.occurred_at, label, change_url(row))


def _escalations(events: Sequence[AuditEvent]) -> Iterator[Found]:
    """Give the applications for which an import left something to decide."""
    asking = selectors.installations_asking_for_more()
    for app_id, event in {event.target_id: event for event in events}.items():
        count = asking.filter(application__app_id=app_id).count()
        application = Application.objects.filter(app_id=app_id).first()
        if count and application:
            label = readable(
                application.name[:100],
                ": ",
                said_of("%(count)s installation to decide about", "%(count)s installations to decide about", count),
            )
            path = list_url(Installation, f"decision=anew&application__id__exact={application.pk}")
            yield Found(Kind.ESCALATION, f"event {event.sequence}", event.occurred_at, label, path)


def _second_operator(events: Sequence[AuditEvent]) -> Iterator[Found]:
    """Give the requests that still wait; whoever asked cannot confirm, and is not told."""
    at = {int(event.target_id): event for event in events}
    for row in ApprovalRequest.objects.waiting().filter(pk__in=at).order_by("pk"):
        yield _request(Kind.FOUR_EYES, row, at[row.pk], by=row.requested_by_id)


def _alone(events: Sequence[AuditEvent]) -> Iterator[Found]:
    at = {int(event.target_id): event for event in events}
    for row in BreakGlass.objects.filter(pk__in=at).order_by("pk"):
        yield _request(Kind.BREAK_GLASS, row, at[row.pk])


def _request(kind: Kind, row: ApprovalRequest, event: AuditEvent, *, by: str = "") -> Found:
    label = readable("by ", row.requested_by, ": ", ", ".join(row.scopes))
    return Found(kind, f"event {event.sequence}", event.occurred_at, label, change_url(row), by=by)


def _bulk_revocations(events: Sequence[AuditEvent]) -> Iterator[Found]:
    """Give the revocations that are done and aimed at more than one user."""
    done = {event.details["revocation"]: event for event in events if event.details.get("done", True)}
    for row in Revocation.objects.filter(pk__in=done, scope__in=_MANY).order_by("pk"):
        event = done[row.pk]
        label = readable(
            row.get_scope_display(),
            ", ",
            row.target_label[:100],
            ": ",
            said_of("%(count)s token", "%(count)s tokens", row.tokens_cut),
        )
        yield Found(Kind.BULK_REVOCATION, f"event {event.sequence}", event.occurred_at, label, change_url(row))


_BY_VERB: Final[dict[str, Callable[[Sequence[AuditEvent]], Iterator[Found]]]] = {
    "approval_request.made": _second_operator,
    "approval.made_alone": _alone,
    "installation.first_seen": _waiting_installations,
    "manifest.imported": _escalations,
    "tokens.revoked": _bulk_revocations,
}


def suspected_between(after: datetime, until: datetime) -> Iterator[Found]:
    """Give the installations that came under suspicion after one time and up to another.

    A portal's long outage may bring very many at once: those are counted, and not read.
    """
    rows = Liveness.objects.filter(state=Liveness.State.SUSPECTED, since__gt=after, since__lte=until)
    rows = rows.select_related("installation__portal", "installation__application").order_by("since", "pk")
    some = list(rows[: MOST + 1])
    if len(some) <= MOST:
        yield from map(_suspected, some)
        return
    last = rows.last() or some[-1]  # each of them may have been seen alive meanwhile
    yield as_one(Kind.SUSPECTED, _suspected(some[0]), _suspected(last), rows.count(), lists())


def _suspected(row: Liveness) -> Found:
    here = row.installation
    assert row.since is not None  # noqa: S101 - it was asked for
    key = f"{here.pk} {row.since.isoformat()}"
    return Found(Kind.SUSPECTED, key, row.since, readable(installation_name(here)), change_url(here))


def reviews_between(after: datetime, until: datetime) -> Iterator[Found]:
    """Give how many approvals came due for review on the days after one time and up to another."""
    first, last = after.astimezone(UTC).date(), until.astimezone(UTC).date()
    if first == last:
        return
    due = ApprovedPermission.objects.in_force().filter(review_by__gt=first, review_by__lte=last)
    count = due.exclude(installation__status=Installation.Status.UNINSTALLED).count()
    if count:
        yield Found(Kind.REVIEW_DUE, f"day {last}", until, f"on or before {last}", list_url(Review), count)


def holding(read_to: int) -> Iterator[Holding]:
    """Give the states that hold now and are to be told when they begin. `read_to` is the last event looked at."""
    yield from _trail(read_to)
    yield from _unsealed()
    try:
        problems = key_report.problems()
    except KeyRingError:
        problems = [said("a key ring cannot be read")]
    for line in problems:
        # Of the whole line, which may be longer than a key of a row.
        yield Holding(Kind.KEY_MISSING, sha256(line.encode()).hexdigest(), readable(line, ": run manage.py key_status"))


def _trail(read_to: int) -> Iterator[Holding]:
    newest = newest_event()
    if newest < read_to:
        words = f"it ends at event {newest}, and event {read_to} was read before: its end was cut off"
        yield Holding(Kind.AUDIT_FAILED, f"cut at {newest}", words, list_url(AuditEvent))
    try:
        findings = last_findings()
    except KeyRingError:
        return
    if findings:
        words = said_of(
            "the last verification had %(count)s finding: run manage.py verify_audit",
            "the last verification had %(count)s findings: run manage.py verify_audit",
            findings.count,
        )
        yield Holding(Kind.AUDIT_FAILED, "verified", words, list_url(AuditEvent))


def _unsealed() -> Iterator[Holding]:
    since = timezone.now() - _QUIET
    failed = Q(verb="token.undecryptable") | Q(verb="keys.rewrap_finished", details__left_alone__gt=0)
    if AuditEvent.objects.filter(failed, occurred_at__gte=since).exists():
        words = said("check TOKEN_KEYS before anything else: manage.py key_status")
        yield Holding(Kind.UNDECRYPTABLE, "tokens", words, list_url(AuditEvent, "verb=token.undecryptable"))
