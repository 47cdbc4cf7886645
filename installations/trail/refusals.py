"""Record who tried what they may not do, so that nobody can fill the trail by trying."""

import logging
from datetime import timedelta

from django.db import DatabaseError, transaction
from django.utils import timezone

from installations import audit
from installations.actors import Actor, ActorKind, Via
from installations.audit_models import RefusedAttempts

logger = logging.getLogger(__name__)

# Of one actor and one permission, in a window that begins with the first: so many are told one by one.
WINDOW = timedelta(hours=1)
TOLD = 5
_TARGET = ("console", "")


def note_refused(
    *,
    actor: Actor,
    permission: str,
    attempted: str,
    target: tuple[str, str] = _TARGET,
    installation_id: int | None = None,
) -> None:
    """Record a refused attempt, after the refusal and outside of its transaction.

    The first ones of an hour leave an event each. From then on they are counted, and one event tells the count when
    the window is over. A refusal stands whether or not it could be recorded.
    """
    details = {"attempted": attempted, "permission": permission}
    try:
        with transaction.atomic():
            row = _locked(actor, permission)
            now = timezone.now()
            events = []
            if now - row.since >= WINDOW:
                events += _told_at_the_end(row)
                row.since, row.count = now, 0
            row.count += 1
            row.save(update_fields=["since", "count"])
            if row.count <= TOLD:
                kind, name = target
                events.append(audit.Event("attempt.refused", kind, name or attempted, installation_id, details=details))
            audit.append(actor, *events)
    except DatabaseError:
        logger.exception("A refused attempt could not be recorded: %s wanted %s", actor.id, permission)


def tell_what_was_counted() -> int:
    """Tell the counts of windows that are over; returns how many. For whatever runs periodically."""
    over = RefusedAttempts.objects.filter(since__lte=timezone.now() - WINDOW, count__gt=0)
    told = 0
    for pk in list(over.values_list("pk", flat=True)):
        with transaction.atomic(durable=True):
            row = RefusedAttempts.objects.select_for_update(no_key=True).get(pk=pk)
            if timezone.now() - row.since < WINDOW or not row.count:
                continue
            events = _told_at_the_end(row)
            row.count = 0
            row.save(update_fields=["count"])
            actor = Actor(ActorKind(row.actor_kind), row.actor_id, row.actor_name, Via(row.via))
            audit.append(actor, *events)
            told += len(events)
    return told


def _locked(actor: Actor, permission: str) -> RefusedAttempts:
    key = {
        "actor_kind": str(actor.kind),
        "actor_id": actor.id,
        "via": str(actor.via),
        "permission": permission,
    }
    found, _ = RefusedAttempts.objects.get_or_create(
        **key, defaults={"actor_name": actor.name, "since": timezone.now()}
    )
    return RefusedAttempts.objects.select_for_update(no_key=True).get(pk=found.pk)


def _told_at_the_end(row: RefusedAttempts) -> list[audit.Event]:
    more = row.count - TOLD
    if more <= 0:
        return []
    details = {"permission": row.permission, "more": more, "since": audit.time_text(row.since)}
    return [audit.Event("attempt.more_refused", "permission", row.permission, details=details)]
