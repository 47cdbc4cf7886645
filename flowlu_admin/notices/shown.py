"""How the console shows messages: what each told, and what became of it."""

from typing import Any

from django.utils.translation import gettext

from flowlu_admin.notices.kinds import RULES, Kind
from flowlu_admin.notices.models import NoticeDelivery
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


def told_kinds(row: NoticeDelivery) -> str:
    """Return what a message told, in words. Its notices and their occasions are read with it."""
    counts: dict[Kind, int] = {}
    for notice in row.notices.all():
        kind = Kind(notice.occasion.kind)
        counts[kind] = counts.get(kind, 0) + notice.occasion.count
    told = "; ".join(translated(RULES[kind].title(counts[kind])) for kind in Kind if kind in counts)
    return (gettext("Daily digest: %(told)s") % {"told": told} if row.daily else told) or "–"
