"""What Flowlu is told about revocations: what it confirmed, and what an operator has to decide."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin.acts import Act, Outcome
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, to, when
from installations.admin.searching import by_installation, by_user
from installations.admin.text import Text, visible
from installations.forms import ReasonForm
from tokens.admin.refreshing import error_code
from tokens.admin.tables import user_label
from tokens.models import Revocation, UpstreamRevocation
from tokens.services.upstream import close_upstream, retry_upstream

_State = UpstreamRevocation.State
_TONE = {_State.PENDING: "wait", _State.CONFIRMED: "good", _State.IRREVOCABLE: "bad", _State.CLOSED: "gone"}
_MEANS = {
    _State.PENDING: _("Flowlu is being told. Here the token is cut already, whatever Flowlu answers."),
    _State.CONFIRMED: _("Flowlu confirmed that it takes the token no longer. What was kept to tell it is wiped."),
    _State.IRREVOCABLE: _(
        "Flowlu did not confirm it. Here the token is cut, but at Flowlu it may live on until it expires. The sealed "
        "values are kept, so that it can be tried again."
    ),
    _State.CLOSED: _("An operator closed the case unconfirmed. At Flowlu the token may live on until it expires."),
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
        gettext("Told to Flowlu"),
        (
            gettext("Case"),
            gettext("Token"),
            gettext("State"),
            gettext("Tries"),
            gettext("Code"),
            gettext("Last tried"),
            gettext("Next try"),
        ),
        [
            (
                link(row),
                link(row.oauth_token),
                state_badge(row),
                row.attempts,
                error_code(row),
                when(row.last_tried_at),
                when(row.next_try_at),
            )
            for row in rows
        ],
        gettext("Nothing: no revocation endpoint is set, or nothing that was cut still had a sealed value."),
    )


class TryAgain(Act):
    slug = "try-again"
    label = _("Try again")
    summary = _("Tell Flowlu anew, with as many tries as the first time.")
    permission = "tokens.revoke_oauthtoken"
    tone = "go"

    def applies(self, target: UpstreamRevocation) -> bool:
        return target.state == _State.IRREVOCABLE

    def heading(self, target: UpstreamRevocation) -> str:
        return gettext("Tell Flowlu again about %(oauth_token)s") % {"oauth_token": target.oauth_token}

    def stops(self, target: UpstreamRevocation) -> Sequence[Text]:
        return (
            gettext("Flowlu is told again, the refresh token first, until it confirms or the tries are used up."),
            gettext("Telling it twice does no harm."),
        )

    def stays(self, target: UpstreamRevocation) -> Sequence[Text]:
        return (gettext("Here the token stays revoked, whatever Flowlu answers."),)

    def perform(self, target: UpstreamRevocation, form: ReasonForm, actor: Actor) -> Outcome:
        begun = retry_upstream(upstream_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if not begun:
            return Outcome(gettext("Nothing to try again: it is not irrevocable any more."), changed=False)
        return Outcome(gettext("Flowlu is told again. Look here in a minute for what it answered."))


class CloseAnyway(Act):
    slug = "close"
    label = _("Close anyway")
    summary = _("Give it up unconfirmed, with your name and reason. It cannot be tried again after that.")
    permission = "tokens.close_upstream"
    tone = "danger"

    def applies(self, target: UpstreamRevocation) -> bool:
        return target.state == _State.IRREVOCABLE

    def heading(self, target: UpstreamRevocation) -> str:
        return gettext("Close the case of %(oauth_token)s without Flowlu's confirmation") % {
            "oauth_token": target.oauth_token
        }

    def stops(self, target: UpstreamRevocation) -> Sequence[Text]:
        return (
            gettext("The sealed values that were kept to tell Flowlu are wiped, so nobody can try again."),
            gettext("Your name and reason stay in the ledger and in the audit trail."),
        )

    def stays(self, target: UpstreamRevocation) -> Sequence[Text]:
        return (
            gettext(
                "The token is not revoked at Flowlu by this. It may live there until it expires or the portal's "
                "administrator removes the application."
            ),
            gettext("Here it stays revoked."),
        )

    def perform(self, target: UpstreamRevocation, form: ReasonForm, actor: Actor) -> Outcome:
        closed = close_upstream(upstream_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if not closed:
            return Outcome(gettext("It was closed or confirmed already."), changed=False)
        return Outcome(gettext("The case is closed, unconfirmed."))


@admin.register(UpstreamRevocation)
class UpstreamRevocationAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("case"), lambda row: str(row)),
        column("user", _("user"), lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("revocation", _("revocation")),
        column("state_word", _("state"), state_badge, order="state"),
        column("tries", _("tries"), lambda row: row.attempts),
        column("code", _("code"), error_code),
        at("last_tried_at", _("last tried")),
        at("next_try_at", _("next try")),
    )
    list_filter = ("state",)
    allowed_lookups = frozenset({"state__exact", "revocation__id__exact"})
    search_fields = ("oauth_token__portal_user__flowlu_user_id", "oauth_token__installation__portal__domain")
    search_ways = (by_user("oauth_token__portal_user"), by_installation("oauth_token__installation"))
    search_help_text = _(
        "Search by Flowlu user id, by the beginning of a name or of a portal's domain, or by application"
    )
    ordering = ("-created_at", "-pk")
    can_be_exported = True
    sortable_by = ("state_word", "last_tried_at", "next_try_at")
    facts = (
        column("state_word", _("state"), state_badge),
        column("means", _("that means"), lambda row: _MEANS[_State(row.state)]),
        column("code", _("last code"), error_code),
        to("revocation", _("revocation")),
        to("oauth_token", _("token")),
        column("user", _("user"), lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", _("installation")),
        column("tries", _("tries"), lambda row: row.attempts),
        at("last_tried_at", _("last tried"), empty=_("not yet")),
        at("next_try_at", _("next try"), empty=_("none")),
        at("confirmed_at", _("confirmed by Flowlu"), empty=_("not confirmed")),
        at("closed_at", _("closed"), empty=_("not closed")),
        column("closed_by", _("closed by"), lambda row: visible(row.closed_by) if row.closed_by else "–"),
        column("closed_why", _("why"), lambda row: visible(row.closed_reason) if row.closed_reason else "–"),
    )
    act_classes: ClassVar = (TryAgain, CloseAnyway)
    words_here = ("portal-administrator", "sweep")
    intro = _(
        "Revoked tokens that Flowlu is told about, where a revocation endpoint is set. What it does not confirm after "
        "a number of tries is irrevocable: try again, or have the case closed with a name and a reason."
    )
    empty_text = _("Flowlu was told nothing yet. Without FLOWLU_REVOCATION_URL revoking ends at this service.")

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

    def audit_query(self, row: UpstreamRevocation) -> dict[str, Any]:
        return {"target_kind": "token", "target_id": str(row.oauth_token_id)}
