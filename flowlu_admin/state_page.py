"""What the service stands on, for who may see it: the keys that rows need, and the periodic jobs."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.display import NOTHING, Table, age, badge, join, mono, when
from installations.admin.text import Text, sentences
from installations.keys import FINGERPRINT_SHOWN, KeyRingError
from tokens.key_report import KeyLine, Ring, Standing, standings
from tokens.models import SweepRun
from tokens.sweeps import JOBS, LEASE

SEES_KEYS: Final = "installations.view_auditevent"
SEES_JOBS: Final = "installations.view_installation"

_RINGS: Final[Mapping[str, Text]] = {
    Ring.TOKEN_KEYS: _("seals tokens, API keys, second factors and operators' sessions"),
    Ring.FINGERPRINT_KEY: _("finds tokens and API keys again, and refuses revoked ones"),
    Ring.AUDIT_KEY: _("chains the audit trail"),
}
_STANDINGS: Final[Mapping[Standing, tuple[Text, str]]] = {
    Standing.NEWEST: (_("newest"), "good"),
    Standing.OLD: (_("old, needed"), "plain"),
    Standing.UNUSED: (_("not needed"), "gone"),
    Standing.MISSING: (_("missing"), "bad"),
    Standing.WRONG: (_("another key"), "bad"),
}
_LATE: Final = timedelta(minutes=15)  # all that is due is looked at once a minute
ABOUT_JOBS: Final[Mapping[str, Text]] = {
    "anchor_audit": _("Anchors the end of the audit trail, so that a cut-off end is seen."),
    "count_days": _("Counts what the charts show."),
    "cut_in_background": _("Goes on with long revocations."),
    "deliver_notices": _("Sends what operators and the webhook are told."),
    "judge_liveness": _("Judges by the evidence whether installations are still there."),
    "label_lost_attempts": _("Notes which refreshes ended with nobody knowing how."),
    "look_for_notices": _("Looks for what operators are to be told."),
    "note_use_of_scopes": _("Works out which approved scopes nobody uses."),
    "probe_quiet": _("Asks Flowlu about installations that nothing was heard of."),
    "prune_evidence": _("Removes old observations."),
    "prune_notices": _("Removes old notices."),
    "prune_refresh_attempts": _("Removes old refreshes."),
    "prune_replaced_fingerprints": _("Forgets the fingerprints of tokens that were replaced long ago."),
    "prune_scope_usage": _("Removes old counts of use."),
    "prune_service_calls": _("Removes old calls of backend code."),
    "prune_sessions": _("Removes sessions that are over."),
    "refresh_what_expires": _("Refreshes tokens that are about to expire, where the server does that."),
    "tell_refusals": _("Writes refused attempts that were only counted into the audit trail."),
    "tell_upstream": _("Tells Flowlu which tokens were revoked."),
    "wipe_expired": _("Wipes tokens that are over."),
    "wipe_expired_api_keys": _("Wipes API keys whose last day is past."),
    "wipe_orphans": _("Wipes tokens that nothing can use any more."),
}


def state_view(request: HttpRequest) -> HttpResponse:
    """Show what of it the operator may see. A number of statements that does not grow with the rows."""
    may: Callable[[str], bool] = request.user.has_perm
    if not (may(SEES_KEYS) or may(SEES_JOBS)):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("Keys and periodic jobs"),
        "tables": [*([_keys()] if may(SEES_KEYS) else []), *([_jobs()] if may(SEES_JOBS) else [])],
    }
    return TemplateResponse(request, "admin/state.html", context)


def _keys() -> Table:
    problem, rows = "", []
    try:
        rows = [
            (join((mono(ring.ring), _RINGS[Ring(ring.ring)])), *_key(ring.ring, line))
            for ring in standings()
            for line in ring.keys
        ]
    except KeyRingError:
        problem = gettext("A key ring cannot be read. manage.py key_status says which, and why.")
    return Table(
        gettext("Keys"),
        (gettext("Ring"), gettext("Key, fingerprint"), gettext("State"), gettext("What to do")),
        rows,
        problem,
        note=gettext(
            "The value of a key is shown nowhere: its fingerprint tells it from others. manage.py key_status also says "
            "how many rows lie under each, and manage.py rewrap_tokens moves them to the newest."
        ),
    )


def _key(ring: str, line: KeyLine) -> tuple[Any, ...]:
    words, tone = _STANDINGS[line.standing]
    shown = filter(None, (line.key_id, line.shown_fingerprint))
    return join(map(mono, shown)), badge(words, tone), _advice(ring, line) or NOTHING


def _advice(ring: str, line: KeyLine) -> str:
    match line.standing:
        case Standing.MISSING:
            lost = gettext("What lies under it cannot be read until it is back.")
            where = gettext("Put it back into %(ring)s, behind the newest one, and restart.")
            return sentences(lost, where % {"ring": ring})
        case Standing.WRONG:
            needed = ", ".join(digest[:FINGERPRINT_SHOWN] for digest in line.recorded)
            which = gettext("Rows need the one with the fingerprint %(needed)s.") % {"needed": needed} if needed else ""
            return sentences(gettext("This is not the key that rows were written with."), which)
        case Standing.OLD:
            return gettext("Keep it. After a rewrap this page says whether rows still need it.")
        case Standing.UNUSED:
            return gettext("Nothing is lost without it: it is staged, or can be taken out of %(ring)s.") % {
                "ring": ring
            }
    return ""


def _jobs() -> Table:
    runs = {run.name: run for run in SweepRun.objects.all()}
    now = timezone.now()
    rows = [(job.name, runs.get(job.name), timedelta(seconds=job.every_seconds)) for job in JOBS]
    # What fails is above, then what is late.
    rows.sort(key=lambda row: (-_trouble(row[1], row[2], now), row[0]))
    return Table(
        gettext("Periodic jobs"),
        (gettext("Job"), gettext("State"), gettext("Last run"), gettext("It did"), gettext("Every")),
        [
            (
                join((mono(name), format_html('<span class="quiet-note">{}</span>', ABOUT_JOBS[name]))),
                _state(run, every, now),
                when(run.started_at if run else None, gettext("never")),
                f"{run.done:,}" if run and run.finished_at else NOTHING,
                age(every),
            )
            for name, run, every in rows
        ],
        "",
        note=gettext(
            "Celery's worker and beat run them, or manage.py sweep. Why one fails is in the log of what runs them."
        ),
    )


def _trouble(run: SweepRun | None, every: timedelta, now: datetime) -> int:
    """Return how bad it is: 2 for one that fails, 1 for one that does not come to its turn."""
    if run is None or run.started_at is None:
        return 1
    if run.failing_since:
        return 2
    return int(now - run.started_at > every + _LATE)


def _state(run: SweepRun | None, every: timedelta, now: datetime) -> Any:
    if run is None or run.started_at is None:
        return badge(gettext("never ran"), "wait")
    if run.failing_since:
        since = format_html(gettext("since {when}"), when=when(run.failing_since))
        return join((badge(gettext("fails"), "bad"), since))
    if _trouble(run, every, now):
        return badge(gettext("late"), "bad")
    under_way = run.finished_at is None or run.finished_at < run.started_at
    if under_way and now < run.started_at + LEASE:
        return badge(gettext("under way"), "wait")
    return badge(gettext("well"), "good")
