"""Attempts to refresh a pair: how each ended, and whether there will be another."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, list_url, to, utc
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
    _Outcome.STARTED: (
        "A worker is asking the token endpoint now. Should it have died, the attempt is labelled as of unknown outcome "
        "within a minute or two; it is never sent again."
    ),
    _Outcome.FRESH: "The pair was replaced by a fresh one.",
    _Outcome.PERMANENT: (
        "There is no further try. When the access token no longer works, the user is asked to come back, and a new "
        "launch brings a new pair."
    ),
    _Outcome.TRANSIENT: "The refresh token was certainly not used up. It is tried again, a bounded number of times.",
    _Outcome.UNKNOWN: (
        "The endpoint may have used the refresh token up, and its answer did not arrive. It is not sent again, since a "
        "second use would end the whole sign-in; it is wiped. The access token serves until Flowlu refuses it."
    ),
    _Outcome.DISCARDED: (
        "What came was not stored: meanwhile the token was revoked, or another pair took its place. After a revocation "
        "it is on the deny list."
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
        "Refreshes by this service",
        ("Attempt", "Began", "Because of", "Ended", "Code", "Not again before"),
        [
            (
                link(row),
                utc(row.started_at),
                row.get_trigger_display(),
                outcome_badge(row),
                error_code(row),
                utc(row.retry_at),
            )
            for row in rows
        ],
        "This service has not refreshed it.",
        more_url=list_url(RefreshAttempt, f"oauth_token__id__exact={token.pk}"),
        more="Show in the list",
    )


@admin.register(RefreshAttempt)
class RefreshAttemptAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", "attempt", lambda row: str(row)),
        to("oauth_token", "token"),
        column("user", "user", lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        column("outcome_word", "ended", outcome_badge, order="outcome"),
        column("code", "code", error_code),
        column("trigger_word", "because of", lambda row: row.get_trigger_display()),
        column("tries_so_far", "try", lambda row: row.tries),
        at("started_at", "began"),
    )
    list_filter = ("outcome", "trigger")
    allowed_lookups = frozenset({"outcome__exact", "trigger__exact", "oauth_token__id__exact"})
    search_fields = ("oauth_token__portal_user__flowlu_user_id", "oauth_token__installation__portal__domain")
    search_help_text = "Search by Flowlu user id or portal domain"
    ordering = ("-started_at", "-pk")
    sortable_by = ("outcome_word", "started_at")
    facts = (
        column("outcome_word", "ended", outcome_badge),
        column("means", "that means", lambda row: _MEANS[_Outcome(row.outcome)]),
        column("code", "code", error_code),
        to("oauth_token", "token"),
        column("user", "user", lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", "installation"),
        column("trigger_word", "because of", lambda row: row.get_trigger_display()),
        column("tries_so_far", "tries of this pair, this one included", lambda row: row.tries),
        at("started_at", "began"),
        at("finished_at", "ended at", empty="not yet"),
        at("retry_at", "not again before"),
    )
    intro = (
        "When this service asked the token endpoint for a fresh pair, and what came of it. Only applications that are "
        "refreshed by this service have any."
    )
    empty_text = "This service has refreshed nothing yet. An application says in its settings who refreshes it."

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
