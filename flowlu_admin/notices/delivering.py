"""Send what is due. Safe in any number of processes at once.

Who moves a message's next try on from what was read has that try, so no two processes send it knowingly. One that is
killed between the server's yes and its own note of it leaves a message that is sent once more, with the same id.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from flowlu_admin.notices.kinds import How, Kind
from flowlu_admin.notices.mail import send_mail
from flowlu_admin.notices.models import NoticeDelivery, NoticeOccasion
from flowlu_admin.notices.outcome import Outcome
from flowlu_admin.notices.recipients import reader, webhooks
from flowlu_admin.notices.webhook import post_webhook
from flowlu_admin.notices.wording import Line, Message, message
from tokens.backoff import wait_seconds

LEASE: Final = timedelta(minutes=5)  # longer than any try takes
MOST_TRIES: Final = 12  # with the waits between them, about half a day
_BASE_SECONDS: Final = 60.0
_GOES_OUT_AS_ONE: Final = 200

State = NoticeDelivery.State
logger = logging.getLogger(__name__)


def _never() -> bool:
    return False


def deliver_due(stopped: Callable[[], bool] = _never, *, seconds: float = 45.0) -> int:
    """Try every message that is due, the longest waiting first; returns how many were sent.

    Where nothing gets through, the rest for the same place waits for the next run: one server that is down must not
    keep the others waiting.
    """
    until = time.monotonic() + seconds
    sent, down = 0, set[str]()
    due = NoticeDelivery.objects.filter(state=State.WAITING, due_at__lte=timezone.now()).order_by("due_at", "pk")
    for row in due.select_related("operator")[:_GOES_OUT_AS_ONE]:
        if stopped() or time.monotonic() > until:
            break
        if _place(row) in down or not _claim(row):
            continue
        # More than are made after an answer: each of them ended with its process.
        outcome = _send(row) if row.tries <= MOST_TRIES else Outcome("worker_lost", final=True)
        _settle(row, outcome)
        sent += not outcome.problem
        if outcome.unreached:
            down.add(_place(row))
    return sent


def _place(row: NoticeDelivery) -> str:
    return row.recipient if row.channel == NoticeDelivery.Channel.WEBHOOK else "mail"


def _claim(row: NoticeDelivery) -> bool:
    """Take the next try; False where another process did."""
    mine = NoticeDelivery.objects.filter(pk=row.pk, state=State.WAITING, due_at=row.due_at)
    won = mine.update(due_at=timezone.now() + LEASE, tries=F("tries") + 1)
    row.tries += 1
    return bool(won)


def _send(row: NoticeDelivery) -> Outcome:
    """Send it to whom it is for, if that is still somebody, with what they may still be told."""
    message_id = str(row.uuid)
    if row.channel == NoticeDelivery.Channel.WEBHOOK:
        hook = next((hook for hook in webhooks() if hook.recipient == row.recipient), None)
        if hook is None:
            return Outcome("not_configured", final=True)
        told = _message(row, lambda kind: True)
        return post_webhook(told, hook, message_id) if told else Outcome("no_longer", final=True)
    # Read anew at every try: who was removed, or lost a right, is told nothing from that commit on.
    person = reader(row.operator_id)
    told = _message(row, lambda kind: person.how(kind) is not How.OFF) if person else None
    if person is None or told is None:
        return Outcome("no_longer", final=True)
    return send_mail(told, person.operator.email, message_id)


def _message(row: NoticeDelivery, is_told: Callable[[Kind], bool]) -> Message | None:
    told: dict[str, bool] = {}
    lines = []
    for occasion in NoticeOccasion.objects.filter(notices__delivery=row).order_by("happened_at", "pk"):
        kind = Kind(occasion.kind)
        if told.setdefault(kind, is_told(kind)):
            url = f"{settings.PUBLIC_URL}{occasion.path}" if occasion.path else ""
            lines.append(Line(kind, occasion.label, url, occasion.happened_at, occasion.count))
    return message(lines, daily=row.daily) if lines else None


def _settle(row: NoticeDelivery, outcome: Outcome) -> None:
    """Note what came of the try, unless the message is settled already."""
    now = timezone.now()
    changes: dict[str, object] = {"problem": outcome.problem}
    if not outcome.problem:
        changes |= {"state": State.SENT, "ended_at": now}
    elif outcome.problem in ("no_longer", "not_configured"):
        changes |= {"state": State.DROPPED, "ended_at": now}
    elif outcome.final or row.tries >= MOST_TRIES:
        changes |= {"state": State.FAILED, "ended_at": now}
        logger.error("Notice #%d was given up: %s", row.pk, outcome.problem)
    else:
        changes["due_at"] = now + timedelta(seconds=wait_seconds(row.tries, _BASE_SECONDS))
    NoticeDelivery.objects.filter(pk=row.pk, state=State.WAITING).update(**changes)


def prune_notices(stopped: Callable[[], bool] = _never) -> int:
    """Remove messages that ended, and occasions, which are older than `NOTICE_DAYS`; returns how many messages."""
    if not settings.NOTICE_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.NOTICE_DAYS)
    removed = 0
    while not stopped():
        with transaction.atomic():
            old = NoticeDelivery.objects.filter(created_at__lt=before).exclude(state=State.WAITING)
            keys = list(old.order_by("created_at").values_list("pk", flat=True)[:500])
            NoticeDelivery.objects.filter(pk__in=keys).delete()
            gone = NoticeOccasion.objects.filter(created_at__lt=before, notices__delivery__isnull=True)
            stale = list(gone.order_by("created_at").values_list("pk", flat=True).distinct()[:500])
            NoticeOccasion.objects.filter(pk__in=stale).delete()
        removed += len(keys)
        if not keys and not stale:
            break
    return removed
