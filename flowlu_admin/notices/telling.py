"""Verbs that decide what is told to whom: look for what is new, and choose how to be told.

A look reads without a lock, and writes what it found together with the cursor that it moves on from what it read. Of
two looks at once one writes; one that is killed wrote nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from flowlu_admin.notices import sources
from flowlu_admin.notices.kinds import CHOSEN, RULES, How, Kind, default_for, may_see
from flowlu_admin.notices.models import (
    Notice,
    NoticeChoice,
    NoticeCondition,
    NoticeCursor,
    NoticeDelivery,
    NoticeOccasion,
)
from flowlu_admin.notices.occasions import Found, digest_is_due, fold
from flowlu_admin.notices.recipients import Reader, choices_of, operator_recipient, readers, webhooks
from installations import audit
from installations.actors import Actor
from installations.errors import StateConflict
from installations.said import said
from tokens import background
from tokens.rates import take

Channel = NoticeDelivery.Channel
State = NoticeDelivery.State
DELIVER = "notices.deliver"


def look() -> int:
    """Write down what there is to tell since the last look, and for whom; returns how many messages are to be sent.

    The first look ever only begins: what happened before is told to nobody, but states that hold are.
    """
    now = timezone.now()
    cursor = NoticeCursor.objects.filter(pk=NoticeCursor.ONLY).first()
    if cursor is None:
        cursor = _begin(now)
    found, sequence = sources.events_after(cursor.sequence)
    until = max(cursor.until, now - sources.SETTLED)
    found += [*sources.suspected_between(cursor.until, until), *sources.reviews_between(cursor.until, until)]
    holding = list(sources.holding(cursor.sequence))
    with transaction.atomic(durable=True):
        held = NoticeCursor.objects.select_for_update(no_key=True).get(pk=NoticeCursor.ONLY)
        if (held.sequence, held.until) != (cursor.sequence, cursor.until):
            return 0  # another look told it
        found += _begun(holding, now)
        people = readers()
        _write(fold(found, sources.lists()), people)
        digest = digest_is_due(now, settings.NOTICE_DIGEST_HOUR, held.digest_at)
        made = _pack(people, now, digest=digest)
        # A trail that became shorter is told once and then read from where it ends now.
        held.sequence, held.until = min(sequence, sources.newest_event()), until
        if digest:
            held.digest_at = now
        held.save()
        if made:
            background.after_commit(DELIVER)
    return made


def _begin(now: datetime) -> NoticeCursor:
    began = {"sequence": sources.newest_event(), "until": now - sources.SETTLED, "digest_at": now}
    return NoticeCursor.objects.get_or_create(pk=NoticeCursor.ONLY, defaults=began)[0]


def _begun(holding: Sequence[sources.Holding], now: datetime) -> list[Found]:
    """Remember the states that hold, forget those that ended, and return the ones that are new."""
    known = {(row.kind, row.key): row for row in NoticeCondition.objects.all()}
    names = {(str(one.kind), one.key) for one in holding}
    NoticeCondition.objects.filter(pk__in=[row.pk for name, row in known.items() if name not in names]).delete()
    new = [one for one in holding if (str(one.kind), one.key) not in known]
    NoticeCondition.objects.bulk_create(NoticeCondition(kind=one.kind, key=one.key, began_at=now) for one in new)
    return [Found(one.kind, f"{one.key} {now.isoformat()}", now, one.label, one.path) for one in new]


def _write(found: Iterable[Found], people: Sequence[Reader]) -> None:
    for one in found:
        values = {"happened_at": one.at, "count": one.count, "label": one.label, "path": one.path}
        occasion, is_new = NoticeOccasion.objects.get_or_create(kind=one.kind, key=one.key, defaults=values)
        if is_new:
            Notice.objects.bulk_create(_notices(occasion, one, people))


def _notices(occasion: NoticeOccasion, found: Found, people: Sequence[Reader]) -> list[Notice]:
    told = [Notice(occasion=occasion, recipient=hook.recipient) for hook in webhooks()]
    for person in people:
        how = person.how(found.kind)
        if how is not How.OFF and str(person.operator.pk) != found.by:
            recipient = operator_recipient(person.operator)
            told.append(Notice(occasion=occasion, recipient=recipient, daily=how is How.DAILY))
    return told


def _pack(people: Sequence[Reader], now: datetime, *, digest: bool) -> int:
    """Make one message of what waits for each recipient whose time has come; returns how many."""
    made = 0
    for recipient, operator in _recipients(people):
        waiting = Notice.objects.filter(recipient=recipient, delivery__isnull=True)
        for daily, is_time in ((False, _may_tell_now(recipient, waiting, now)), (True, digest)):
            here = waiting.filter(daily=daily)
            if is_time and here.exists():
                here.update(delivery=_delivery(recipient, operator, daily=daily))
                made += 1
    return made


def _recipients(people: Sequence[Reader]) -> list[tuple[str, User | None]]:
    unsent = set(Notice.objects.filter(delivery__isnull=True).values_list("recipient", flat=True).distinct())
    known: list[tuple[str, User | None]] = [(hook.recipient, None) for hook in webhooks()]
    known += [(operator_recipient(person.operator), person.operator) for person in people]
    return [(recipient, operator) for recipient, operator in known if recipient in unsent]


def _may_tell_now(recipient: str, waiting: QuerySet[Notice], now: datetime) -> bool:
    """Return whether no message went a short time ago; what is urgent does not wait for that."""
    urgent = [kind for kind, rule in RULES.items() if rule.urgent]
    if waiting.filter(daily=False, occasion__kind__in=urgent).exists():
        return True
    last = NoticeDelivery.objects.filter(recipient=recipient, daily=False).aggregate(last=Max("created_at"))["last"]
    return last is None or last + timedelta(minutes=settings.NOTICE_PAUSE_MINUTES) <= now


def _delivery(recipient: str, operator: User | None, *, daily: bool) -> NoticeDelivery:
    channel = Channel.WEBHOOK if operator is None else Channel.MAIL
    return NoticeDelivery.objects.create(recipient=recipient, channel=channel, operator=operator, daily=daily)


def choose_notices(*, operator: User, choices: Mapping[Kind, How], actor: Actor) -> bool:
    """Keep how an operator wants to be told of each kind; returns whether anything changed.

    In the audit trail: whoever takes an account over may want it to hear of nothing. What they may not see, and what
    does not differ from before, is left as it is.

    Raises StateConflict where somebody chooses for another operator.
    """
    if actor.id != str(operator.pk):
        raise StateConflict(said("Each operator chooses for themselves."))
    with transaction.atomic(durable=True):
        User.objects.select_for_update(no_key=True).get(pk=operator.pk)
        kept = choices_of(operator)
        changed = {}
        for kind in CHOSEN:
            wanted = choices.get(kind)
            if wanted is None or not may_see(kind, operator.has_perm):
                continue
            if wanted != kept.get(kind, default_for(kind, operator.has_perm)):
                NoticeChoice.objects.update_or_create(operator=operator, kind=kind, defaults={"how": wanted})
                changed[str(kind)] = str(wanted)
        if changed:
            audit.append(
                actor, audit.Event("operator.notices_chosen", "operator", str(operator.pk), details=dict(changed))
            )
    return bool(changed)


def send_test(*, operator: User) -> NoticeDelivery:
    """Send a message to the operator themselves, the way of any other; what became of it is in the row.

    Raises RateLimited when they asked for several within the hour.
    """
    take(settings.NOTICE_TEST_RATE, "notice test", str(operator.pk))
    now = timezone.now()
    with transaction.atomic(durable=True):
        delivery = _delivery(operator_recipient(operator), operator, daily=False)
        occasion = NoticeOccasion.objects.create(
            kind=Kind.TEST, key=str(delivery.uuid), happened_at=now, label="Mail from this console reaches you."
        )
        Notice.objects.create(occasion=occasion, recipient=delivery.recipient, delivery=delivery)
        background.after_commit(DELIVER)
    delivery.refresh_from_db()
    return delivery
