"""How the console shows messages: what each told, and what became of it."""

from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Prefetch, Q, QuerySet
from django.utils.translation import gettext

from flowlu_admin.notices.kinds import RULES, Kind, May, may_see
from flowlu_admin.notices.models import Notice, NoticeDelivery
from installations.admin.display import badge
from installations.admin.text import translated

_TONES = {
    NoticeDelivery.State.WAITING: "wait",
    NoticeDelivery.State.SENT: "good",
    NoticeDelivery.State.FAILED: "bad",
    NoticeDelivery.State.DROPPED: "gone",
}


def state_badge(row: NoticeDelivery) -> Any:
    state = NoticeDelivery.State(row.state)
    trouble = state is NoticeDelivery.State.WAITING and row.problem
    return badge(gettext("tried in vain, tried again") if trouble else str(state.label), _TONES[state])


def with_what_may_be_seen(rows: QuerySet[NoticeDelivery], may: May) -> QuerySet[NoticeDelivery]:
    """Return the messages with what each told, marked by whether its reader may see it, for `told_kinds`."""
    seen = Q(occasion__kind__in=[kind for kind in Kind if may_see(kind, may)])
    marked = Notice.objects.annotate(may_be_seen=ExpressionWrapper(seen, BooleanField()))
    return rows.prefetch_related(Prefetch("notices", marked.select_related("occasion")))


def told_kinds(row: NoticeDelivery) -> str:
    """Return what a message of `with_what_may_be_seen` told, in words, and not how much of what its reader may not see.

    A message stays in the list of whoever lost a right since, and in that of all messages.
    """
    counts: dict[Kind, int] = {}
    hidden = False
    for notice in row.notices.all():
        if notice.may_be_seen:  # type: ignore[attr-defined]  # marked above
            kind = Kind(notice.occasion.kind)
            counts[kind] = counts.get(kind, 0) + notice.occasion.count
        else:
            hidden = True
    parts = [translated(RULES[kind].title(counts[kind])) for kind in Kind if kind in counts]
    told = "; ".join([*parts, gettext("something that you may not see")] if hidden else parts)
    return (gettext("Daily digest: %(told)s") % {"told": told} if row.daily else told) or "–"
