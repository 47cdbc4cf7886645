"""What Flowlu is told about revocations: what it confirmed, and what an operator has to decide."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from installations.actors import Actor
from installations.admin.acts import Act, Outcome
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, to, utc
from installations.admin.text import visible
from installations.forms import ReasonForm
from tokens.admin.refreshing import error_code
from tokens.admin.tables import user_label
from tokens.models import Revocation, UpstreamRevocation
from tokens.services.upstream import close_upstream, retry_upstream

_State = UpstreamRevocation.State
_TONE = {_State.PENDING: "wait", _State.CONFIRMED: "good", _State.IRREVOCABLE: "bad", _State.CLOSED: "gone"}
_MEANS = {
    _State.PENDING: "Flowlu is being told. Here the token is cut already, whatever Flowlu answers.",
    _State.CONFIRMED: "Flowlu confirmed that it takes the token no longer. What was kept to tell it is wiped.",
    _State.IRREVOCABLE: (
        "Flowlu did not confirm it. Here the token is cut, but at Flowlu it may live on until it expires. The sealed "
        "values are kept, so that it can be tried again."
    ),
    _State.CLOSED: "An operator closed the case unconfirmed. At Flowlu the token may live on until it expires.",
}


def state_badge(row: UpstreamRevocation) -> Any:
    state = _State(row.state)
    return badge(str(state.label), _TONE[state])


def cases_table(revocation: Revocation) -> Table:
    """Return what Flowlu was told about this revocation, what is open first. One statement."""
    rows = list(
        revocation.upstream_revocations.select_related("oauth_token")
        .defer("sealed_access_token", "sealed_refresh_token")
        .order_by("-state", "pk")[:50]
    )
    return Table(
        "Told to Flowlu",
        ("Case", "Token", "State", "Tries", "Code", "Last tried", "Next try"),
        [
            (
                link(row),
                link(row.oauth_token),
                state_badge(row),
                row.attempts,
                error_code(row),
                utc(row.last_tried_at),
                utc(row.next_try_at),
            )
            for row in rows
        ],
        "Nothing: no revocation endpoint is set, or nothing that was cut still had a sealed value.",
    )


class TryAgain(Act):
    slug = "try-again"
    label = "Try again"
    summary = "Tell Flowlu anew, with as many tries as the first time."
    permission = "tokens.revoke_oauthtoken"
    tone = "go"

    def applies(self, target: UpstreamRevocation) -> bool:
        return target.state == _State.IRREVOCABLE

    def heading(self, target: UpstreamRevocation) -> str:
        return f"Tell Flowlu again about {target.oauth_token}"

    def stops(self, target: UpstreamRevocation) -> Sequence[str]:
        return (
            "Flowlu is told again, the refresh token first, until it confirms or the tries are used up.",
            "Telling it twice does no harm.",
        )

    def stays(self, target: UpstreamRevocation) -> Sequence[str]:
        return ("Here the token stays revoked, whatever Flowlu answers.",)

    def perform(self, target: UpstreamRevocation, form: ReasonForm, actor: Actor) -> Outcome:
        begun = retry_upstream(upstream_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if not begun:
            return Outcome("Nothing to try again: it is not irrevocable any more.", changed=False)
        return Outcome("Flowlu is told again. Look here in a minute for what it answered.")


class CloseAnyway(Act):
    slug = "close"
    label = "Close anyway"
    summary = "Give it up unconfirmed, with your name and reason. It cannot be tried again after that."
    permission = "tokens.close_upstream"
    tone = "danger"

    def applies(self, target: UpstreamRevocation) -> bool:
        return target.state == _State.IRREVOCABLE

    def heading(self, target: UpstreamRevocation) -> str:
        return f"Close the case of {target.oauth_token} without Flowlu's confirmation"

    def stops(self, target: UpstreamRevocation) -> Sequence[str]:
        return (
            "The sealed values that were kept to tell Flowlu are wiped, so nobody can try again.",
            "Your name and reason stay in the ledger and in the audit trail.",
        )

    def stays(self, target: UpstreamRevocation) -> Sequence[str]:
        return (
            "The token is not revoked at Flowlu by this. It may live there until it expires or the portal's "
            "administrator removes the application.",
            "Here it stays revoked.",
        )

    def perform(self, target: UpstreamRevocation, form: ReasonForm, actor: Actor) -> Outcome:
        closed = close_upstream(upstream_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if not closed:
            return Outcome("It was closed or confirmed already.", changed=False)
        return Outcome("The case is closed, unconfirmed.")


@admin.register(UpstreamRevocation)
class UpstreamRevocationAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", "case", lambda row: str(row)),
        column("user", "user", lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("revocation", "revocation"),
        column("state_word", "state", state_badge, order="state"),
        column("tries", "tries", lambda row: row.attempts),
        column("code", "code", error_code),
        at("last_tried_at", "last tried"),
        at("next_try_at", "next try"),
    )
    list_filter = ("state",)
    allowed_lookups = frozenset({"state__exact", "revocation__id__exact"})
    search_fields = ("oauth_token__portal_user__flowlu_user_id", "oauth_token__installation__portal__domain")
    search_help_text = "Search by Flowlu user id or portal domain"
    ordering = ("-created_at", "-pk")
    sortable_by = ("state_word", "last_tried_at", "next_try_at")
    facts = (
        column("state_word", "state", state_badge),
        column("means", "that means", lambda row: _MEANS[_State(row.state)]),
        column("code", "last code", error_code),
        to("revocation", "revocation"),
        to("oauth_token", "token"),
        column("user", "user", lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", "installation"),
        column("tries", "tries", lambda row: row.attempts),
        at("last_tried_at", "last tried", empty="not yet"),
        at("next_try_at", "next try", empty="none"),
        at("confirmed_at", "confirmed by Flowlu", empty="not confirmed"),
        at("closed_at", "closed", empty="not closed"),
        column("closed_by", "closed by", lambda row: visible(row.closed_by) if row.closed_by else "–"),
        column("closed_why", "why", lambda row: visible(row.closed_reason) if row.closed_reason else "–"),
    )
    act_classes: ClassVar = (TryAgain, CloseAnyway)
    intro = (
        "Revoked tokens that Flowlu is told about, where a revocation endpoint is set. What it does not confirm after "
        "a number of tries is irrevocable: try again, or have the case closed with a name and a reason."
    )
    empty_text = "Flowlu was told nothing yet. Without FLOWLU_REVOCATION_URL revoking ends at this service."

    def get_queryset(self, request: HttpRequest) -> QuerySet[UpstreamRevocation]:
        return (
            super()
            .get_queryset(request)
            .select_related(
                "revocation",
                "oauth_token__portal_user__portal",
                "oauth_token__installation__portal",
                "oauth_token__installation__application",
            )
            .defer(
                "sealed_access_token",
                "sealed_refresh_token",
                "oauth_token__sealed_access_token",
                "oauth_token__sealed_refresh_token",
            )
        )

    def badges(self, row: UpstreamRevocation) -> Sequence[Any]:
        return [state_badge(row)]
