"""Attempts to refresh a pair: how each ended, and whether there will be another."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, list_url, to, when
from installations.admin.searching import by_installation, by_user
from tokens.admin.tables import user_label
from tokens.models import OAuthToken, RefreshAttempt

_Outcome = RefreshAttempt.Outcome
_TONE = {
    _Outcome.STARTED: "wait",
    _Outcome.FRESH: "good",
    _Outcome.PERMANENT: "bad",
    _Outcome.TRANSIENT: "wait",
    _Outcome.UNKNOWN: "bad",
    _Outcome.DISCARDED: "gone",
}
_MEANS = {
    _Outcome.STARTED: _(
        "A worker is asking the token endpoint now. Should it have died, the attempt is labelled as of unknown "
        "outcome within a minute or two; it is never sent again."
    ),
    _Outcome.FRESH: _("The pair was replaced by a fresh one."),
    _Outcome.PERMANENT: _(
        "There is no further try. When the access token no longer works, the user is asked to come back, and a new "
        "launch brings a new pair."
    ),
    _Outcome.TRANSIENT: _("The refresh token was certainly not used up. It is tried again, a bounded number of times."),
    _Outcome.UNKNOWN: _(
        "The endpoint may have used the refresh token up, and its answer did not arrive. It is not sent again, since "
        "a second use would end the whole sign-in; it is wiped. The access token serves until Flowlu refuses it."
    ),
    _Outcome.DISCARDED: _(
        "What came was not stored: meanwhile the token was revoked, or another pair took its place. After a "
        "revocation it is on the deny list."
    ),
}


def outcome_badge(attempt: RefreshAttempt) -> Any:
    outcome = _Outcome(attempt.outcome)
    return badge(str(outcome.label), _TONE[outcome])


def error_code(row: Any) -> Any:
    return row.error or "–"


def attempts_table(token: OAuthToken) -> Table:
    """Return the last attempts to refresh this token. One statement."""
    rows = list(token.refresh_attempts.order_by("-started_at", "-pk")[:20])
    return Table(
        gettext("Refreshes by this service"),
        (
            gettext("Attempt"),
            gettext("Began"),
            gettext("Because of"),
            gettext("Ended"),
            gettext("Code"),
            gettext("Not again before"),
        ),
        [
            (
                link(row),
                when(row.started_at),
                row.get_trigger_display(),
                outcome_badge(row),
                error_code(row),
                when(row.retry_at),
            )
            for row in rows
        ],
        gettext("This service has not refreshed it."),
        more_url=list_url(RefreshAttempt, f"oauth_token__id__exact={token.pk}"),
        more=gettext("Show in the list"),
    )


@admin.register(RefreshAttempt)
class RefreshAttemptAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("attempt"), lambda row: str(row)),
        to("oauth_token", _("token")),
        column("user", _("user"), lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        column("outcome_word", _("ended"), outcome_badge, order="outcome"),
        column("code", _("code"), error_code),
        column("trigger_word", _("because of"), lambda row: row.get_trigger_display()),
        column("tries_so_far", _("try"), lambda row: row.tries),
        at("started_at", _("began")),
    )
    list_filter = ("outcome", "trigger")
    allowed_lookups = frozenset({"outcome__exact", "trigger__exact", "oauth_token__id__exact"})
    search_fields = ("oauth_token__portal_user__flowlu_user_id", "oauth_token__installation__portal__domain")
    search_ways = (by_user("oauth_token__portal_user"), by_installation("oauth_token__installation"))
    search_help_text = _(
        "Search by Flowlu user id, by the beginning of a name or of a portal's domain, or by application"
    )
    ordering = ("-started_at", "-pk")
    can_be_exported = True
    sortable_by = ("outcome_word", "started_at")
    facts = (
        column("outcome_word", _("ended"), outcome_badge),
        column("means", _("that means"), lambda row: _MEANS[_Outcome(row.outcome)]),
        column("code", _("code"), error_code),
        to("oauth_token", _("token")),
        column("user", _("user"), lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", _("installation")),
        column("trigger_word", _("because of"), lambda row: row.get_trigger_display()),
        column("tries_so_far", _("tries of this pair, this one included"), lambda row: row.tries),
        at("started_at", _("began")),
        at("finished_at", _("ended at"), empty=_("not yet")),
        at("retry_at", _("not again before")),
    )
    words_here = ("stale", "unproven")
    intro = _(
        "When this service asked the token endpoint for a fresh pair, and what came of it. Only applications that are "
        "refreshed by this service have any."
    )
    empty_text = _("This service has refreshed nothing yet. An application says in its settings who refreshes it.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefreshAttempt]:
        return (
            super()
            .get_queryset(request)
            .select_related(
                "oauth_token__portal_user__portal",
                "oauth_token__installation__portal",
                "oauth_token__installation__application",
            )
            .defer("refresh_fingerprint", "oauth_token__sealed_access_token", "oauth_token__sealed_refresh_token")
        )

    def badges(self, row: RefreshAttempt) -> Sequence[Any]:
        return [outcome_badge(row)]
