"""Verbs about one's own sessions: end one of the others, or all of them. They take effect at their commit."""

from django.contrib.sessions.models import Session
from django.db import transaction

from flowlu_admin.open_sessions import open_sessions
from flowlu_admin.sessions import end_other_sessions
from installations import audit
from installations.actors import Actor


def end_own_session(*, handle: str, actor: Actor) -> bool:
    """End one session of the operator who acts. Returns whether it was open; one of somebody else never is."""
    with transaction.atomic(durable=True):
        theirs = [session.row_key for session in open_sessions(int(actor.id)) if session.handle == handle]
        ended = Session.objects.filter(pk__in=theirs).delete()[0]
        if ended:
            audit.append(actor, _event(actor, ended))
    return bool(ended)


def end_own_other_sessions(*, session_key: str | None, actor: Actor) -> int:
    """End every session of the operator who acts but this one, and sign-ins that wait; returns how many."""
    with transaction.atomic(durable=True):
        ended = end_other_sessions(int(actor.id), session_key)
        if ended:
            audit.append(actor, _event(actor, ended))
    return ended


def _event(actor: Actor, ended: int) -> audit.Event:
    return audit.Event("operator.sessions_ended", "operator", actor.id, details={"sessions": ended})
