"""One timeline of an installation: what was recorded, what was observed, what backend code called."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.audit_trail import actor_words
from installations.admin.display import link, when
from installations.admin.text import Text, visible
from installations.models import AuditEvent, Evidence, Installation
from tokens import backend_use
from tokens.admin.service_tables import acted_as, client_words, outcome_badge, purpose_words

SHOWN: Final = 50
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Seventeen digits of microseconds are a year that Python's calendar has.
_CURSOR: Final = re.compile(r"(\d{1,17})-([0-2])-(\d{1,18})")
_Mark = tuple[datetime, int, int]  # when, the kind's place in KINDS, and the row


@dataclass(frozen=True, slots=True)
class Kind:
    """One source of what happened."""

    slug: str
    label: Text
    needs: str


KINDS: Final = (
    Kind("recorded", _("recorded in the audit trail"), "installations.view_auditevent"),
    Kind("observed", _("observed"), "installations.view_evidence"),
    Kind("called", _("called by backend code"), "tokens.view_servicecall"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    at: datetime
    kind: Kind
    what: Any
    who: Any
    more: Any
    mark: _Mark

    @property
    def moment(self) -> Any:
        return when(self.at)


@dataclass(frozen=True, slots=True)
class Activity:
    """A piece of the timeline, the newest first."""

    entries: Sequence[Entry]
    choices: Sequence[tuple[Text, str, bool]]  # label, address, whether it is chosen
    older_url: str
    is_first: bool


def activity_of(request: HttpRequest, row: Installation) -> Activity:
    """Return the piece that `?kind=` and `?before=` ask for, of what the operator may see. At most three statements.

    An address that is not understood shows the newest of everything.
    """
    kinds = [kind for kind in KINDS if request.user.has_perm(kind.needs)]
    chosen = next((kind for kind in kinds if kind.slug == request.GET.get("kind")), None)
    before = _read_mark(request.GET.get("before", ""))
    shown = [kind for kind in kinds if chosen in (None, kind)]
    found = [entry for kind in shown for entry in _entries(kind, row, before)]
    found.sort(key=lambda entry: _order(entry.mark), reverse=True)
    entries = found[:SHOWN]
    kept = {"kind": chosen.slug} if chosen else {}
    choices: list[tuple[Text, str, bool]] = [(gettext("everything"), "?", chosen is None)]
    choices += [(kind.label, f"?{urlencode({'kind': kind.slug})}", kind is chosen) for kind in kinds]
    older = f"?{urlencode({**kept, 'before': _write_mark(entries[-1].mark)})}" if len(found) > SHOWN else ""
    return Activity(entries, choices if len(kinds) > 1 else [], older, before is None)


def _order(mark: _Mark) -> tuple[datetime, int, int]:
    """Of the same time the first kind comes first, and of one kind the last row."""
    at, place, pk = mark
    return at, -place, pk


def _entries(kind: Kind, row: Installation, before: _Mark | None) -> Iterator[Entry]:
    place = KINDS.index(kind)
    if kind.slug == "recorded":
        events = AuditEvent.objects.filter(installation_id=row.pk)
        for event in _older(events, "occurred_at", "sequence", place, before):
            mark = (event.occurred_at, place, event.sequence)
            what = link(event, event.verb)
            yield Entry(event.occurred_at, kind, what, actor_words(event), visible(event.reason or "–"), mark)
    elif kind.slug == "observed":
        for seen in _older(row.evidence.all(), "observed_at", "pk", place, before):
            mark = (seen.observed_at, place, seen.pk)
            what = link(seen, Evidence.Kind(seen.kind).label)
            yield Entry(seen.observed_at, kind, what, "–", visible(seen.detail or "–"), mark)
    else:
        calls = backend_use.calls_with_names(row.service_calls.all())
        for call in _older(calls, "at", "pk", place, before):
            who = format_html(
                gettext("{client} as {whom} for {purpose}"),
                client=client_words(call), whom=acted_as(call), purpose=purpose_words(call),
            )  # fmt: skip
            what = link(call, call.call or gettext("not a call"))
            yield Entry(call.at, kind, what, who, outcome_badge(call), (call.at, place, call.pk))


def _older(rows: QuerySet[Any], at: str, pk: str, place: int, before: _Mark | None) -> QuerySet[Any]:
    """Return one more row than is shown, so that it is known whether there are older ones."""
    if before is not None:
        moment, kind, last = before
        rest = Q(**{f"{at}__lt": moment})
        if place == kind:
            rest |= Q(**{at: moment, f"{pk}__lt": last})
        elif place > kind:
            rest |= Q(**{at: moment})
        rows = rows.filter(rest)
    return rows.order_by(f"-{at}", f"-{pk}")[: SHOWN + 1]


def _write_mark(mark: _Mark) -> str:
    at, place, pk = mark
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}-{place}-{pk}"


def _read_mark(text: str) -> _Mark | None:
    found = _CURSOR.fullmatch(text) if text.isascii() else None
    if found is None:
        return None
    return _EPOCH + timedelta(microseconds=int(found[1])), int(found[2]), int(found[3])
