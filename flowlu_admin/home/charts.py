"""How the last weeks went, in pictures with their numbers behind each."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin import counted
from installations.admin.charts import Chart, Series, share, summed
from installations.admin.text import translated
from installations.errors import DomainError
from installations.models import Installation
from tokens.models import DayCount, RefreshAttempt, Revocation
from tokens.trends import Trend, trends

PERIODS: Final = (30, 90)  # days

_Subject = DayCount.Subject
_MAY_SEE: Final = {
    _Subject.INSTALLATION: "installations.view_installation",
    _Subject.CALL: "tokens.view_embedsession",
    _Subject.HANDSHAKE: "tokens.view_embedsession",
    _Subject.SERVICE_CALL: "tokens.view_servicecall",
    _Subject.CUT: "tokens.view_revocation",
    _Subject.REFRESH: "tokens.view_refreshattempt",
}
# Everything that is neither is a refusal: the caller can do something about it.
_FAILED: Final = frozenset({"flowlu_error", "flowlu_unavailable", "flowlu_timeout", "server_error"})
_ASKED: Final = {
    _Subject.HANDSHAKE: _("opening a session"),
    _Subject.CALL: _("call of a frontend"),
    _Subject.SERVICE_CALL: _("call of backend code"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often a request was refused for one reason."""

    code: str
    asked: str
    meaning: str
    number: int
    bar: SafeString


@dataclass(frozen=True, slots=True)
class Weeks:
    """What the first page shows of the last weeks."""

    days: int
    periods: Sequence[int]
    charts: Sequence[Chart]
    refusals: Sequence[Refusal] | None  # None: not for this operator
    since: date | None  # the first day of which calls were counted, where that is later than the first one shown


def last_weeks(request: HttpRequest) -> Weeks:
    """Return the charts for `?days=`, as far as the operator may see them. At most two statements."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in map(str, PERIODS) else PERIODS[0]
    seen = [subject for subject, needed in _MAY_SEE.items() if request.user.has_perm(needed)]
    found = trends(seen, days) if seen else {}
    refusals = [subject for subject in _ASKED if subject in found]
    calls = [found[subject] for subject in refusals]
    since = min((trend.since for trend in calls if trend.since), default=None)
    return Weeks(
        days,
        PERIODS,
        list(_charts(found, days)),
        _refusals(found, refusals) if refusals else None,
        since if since and since > calls[0].days[0] else None,
    )


def _charts(found: Mapping[DayCount.Subject, Trend], days: int) -> Iterator[Chart]:
    if trend := found.get(_Subject.INSTALLATION):
        yield _installations(trend)
    if trend := found.get(_Subject.CALL):
        yield _calls(gettext("Calls of embedded frontends"), trend, days)
    if (trend := found.get(_Subject.SERVICE_CALL)) and trend.totals():
        yield _calls(gettext("Calls of backend code"), trend, days)
    if trend := found.get(_Subject.CUT):
        yield _cuts(trend, days)
    if trend := found.get(_Subject.REFRESH):
        yield _refreshes(trend, days)


def _installations(trend: Trend) -> Chart:
    known = {day for day, _status in trend.counts}
    series = [
        Series(str(status.label), tone, [
            trend.counts.get((day, status.value), 0) if day in known else None for day in trend.days
        ])
        for status, tone in (
            (Installation.Status.ACTIVE, "good"),
            (Installation.Status.PENDING_APPROVAL, "wait"),
            (Installation.Status.SUSPENDED, "bad"),
            (Installation.Status.UNINSTALLED, "gone"),
        )
    ]  # fmt: skip
    now = ", ".join(f"{one.values[-1]:,} {one.name}" for one in series if one.values[-1])
    return Chart(
        gettext("Installations by status"),
        gettext("%(numbers)s; as the periodic jobs counted them last. A day without a column was not counted.")
        % {"numbers": now or gettext("none yet")},
        gettext("No installation was counted yet. The periodic jobs count them every five minutes."),
        series,
        trend.days,
        counted.installations,
    )


def _calls(title: str, trend: Trend, days: int) -> Chart:
    refused = {outcome for _day, outcome in trend.counts} - _FAILED - {"ok"}
    series = [
        Series(gettext("answered"), "good", trend.of("ok")),
        Series(gettext("refused"), "wait", trend.of(*refused)),
        Series(gettext("failed"), "bad", trend.of(*_FAILED)),
    ]
    return Chart(
        title,
        summed(series, days),
        gettext("None in %(days)s days.") % {"days": days},
        series,
        trend.days,
        counted.calls,
    )


def _cuts(trend: Trend, days: int) -> Chart:
    scope = Revocation.Scope
    series = [
        Series(gettext("of one user or one token"), "plain", trend.of(scope.TOKEN, scope.PORTAL_USER)),
        Series(
            gettext("of a whole installation, portal or application"),
            "wait",
            trend.of(scope.INSTALLATION, scope.PORTAL, scope.APPLICATION),
        ),
        Series(gettext("by age, or leaked"), "bad", trend.of(scope.STORED_BEFORE, scope.FINGERPRINTS)),
    ]
    return Chart(
        gettext("Tokens that were cut"),
        summed(series, days),
        gettext("None in %(days)s days.") % {"days": days},
        series,
        trend.days,
        counted.tokens,
    )


def _refreshes(trend: Trend, days: int) -> Chart:
    outcome = RefreshAttempt.Outcome
    series = [
        Series(gettext("with a fresh pair"), "good", trend.of(outcome.FRESH)),
        Series(gettext("too late, not stored"), "plain", trend.of(outcome.DISCARDED)),
        Series(gettext("failed for now"), "wait", trend.of(outcome.TRANSIENT)),
        Series(gettext("no further try"), "bad", trend.of(outcome.PERMANENT)),
        Series(gettext("of unknown outcome"), "gone", trend.of(outcome.UNKNOWN)),
    ]
    return Chart(
        gettext("Refreshes"),
        summed(series, days),
        gettext("None in %(days)s days.") % {"days": days},
        series,
        trend.days,
        counted.refreshes,
    )


def _refusals(found: Mapping[DayCount.Subject, Trend], subjects: Collection[DayCount.Subject]) -> list[Refusal]:
    rows = [
        (number, code, str(_ASKED[subject]))
        for subject in subjects
        for code, number in found[subject].totals().items()
        if code != "ok"
    ]
    most = max((number for number, _code, _asked in rows), default=0)
    meanings = _meanings()
    return [
        Refusal(code, asked, meanings.get(code, ""), number, share(number, most))
        for number, code, asked in sorted(rows, key=lambda row: (-row[0], row[1], row[2]))
    ]


def _meanings(of: type[Any] = DomainError) -> dict[str, str]:
    """Return what each code of the API tells its caller."""
    found: dict[str, str] = {}
    for kind in of.__subclasses__():
        found |= {kind.code: translated(kind.public_message), **_meanings(kind)}
    return found
