"""The pages of invitations: who was invited to what, whether they came, and the acts that invite and withdraw."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowlu_admin.forms import InviteForm
from flowlu_admin.granting import MANAGE
from flowlu_admin.invitations import Invited, invite_operator, send_invitation_again, withdraw_invitation
from flowlu_admin.models import Invitation, Operator
from installations.actors import Actor
from installations.admin.acts import Act, CreateAct, Outcome
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import at, badge, change_url, column, when_text
from installations.admin.text import Text, visible
from installations.errors import InvalidRequest
from installations.forms import ReasonForm
from installations.saying import translated

_TONE = {
    Invitation.State.WAITING: "wait",
    Invitation.State.ACCEPTED: "good",
    Invitation.State.WITHDRAWN: "gone",
    Invitation.State.EXPIRED: "gone",
}
_WHAT_IT_GIVES = _(
    "A mail with a link goes to the address. Whoever opens it, once and before it expires, chooses a name and a "
    "password and is an operator in these groups."
)


def _state(row: Invitation) -> Any:
    if row.state == Invitation.State.WAITING and row.mailed_at is None:
        return badge(gettext("not mailed"), "bad")
    return badge(str(row.state.label), _TONE[row.state])


def _groups(row: Invitation) -> Any:
    return visible(", ".join(row.groups)) if row.groups else gettext("none: sees nothing")


def _inviter(row: Invitation) -> Any:
    return visible(row.invited_by.get_username()) if row.invited_by else gettext("a shell")


def _account(row: Invitation) -> Any:
    if row.account is None:
        return gettext("none yet")
    address = change_url(Operator(pk=row.account.pk))
    return format_html('<a href="{}">{}</a>', address, visible(row.account.get_username()))


def _outcome(done: Invited) -> Outcome:
    # One that makes nothing by itself: it has to be sent again.
    if not done.mailed:
        return Outcome(
            gettext(
                "The mail server did not take the mail, so nobody has the link. The invitation is kept: look at the "
                "log, then send it again."
            ),
            changed=False,
        )
    ends = when_text(done.invitation.expires_at)
    return Outcome(
        gettext("%(email)s was invited. The link holds until %(ends)s.")
        % {"email": visible(done.invitation.email), "ends": ends}
    )


class Invite(CreateAct):
    label = _("Invite an operator")
    permission = MANAGE
    empowers = True
    form_class = InviteForm

    def stops(self, target: Any) -> Sequence[Text]:
        return (
            _WHAT_IT_GIVES,
            gettext("Their first sign-in asks them to set up a second factor, where the console requires one."),
        )

    def stays(self, target: Any) -> Sequence[Text]:
        return (
            gettext(
                "You can invite only to groups that may nothing that you may not. Should you lose a right before it "
                "is accepted, the link opens nothing."
            ),
            gettext("Nobody sees the link but who reads the mail; this console does not show it."),
        )

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        try:
            done = invite_operator(email=values["email"], groups=values["groups"], actor=actor, reason=values["reason"])
        except InvalidRequest as error:
            for field, text in error.fields.items():
                form.add_error(field, f"{translated(text)}.")
            raise
        return replace(_outcome(done), recorded=done.invitation)


class _InvitationAct(Act):
    permission = MANAGE

    def applies(self, target: Invitation) -> bool:
        return target.code_hash is not None


class SendAgain(_InvitationAct):
    slug = "send-again"
    label = _("Send again")
    summary = _("Mail a new link. The old one opens nothing any more.")
    empowers = True

    def stops(self, target: Invitation) -> Sequence[Text]:
        return (gettext("A new mail goes to the same address. The link in the earlier one opens nothing from now on."),)

    def stays(self, target: Invitation) -> Sequence[Text]:
        return (gettext("The groups stay. You answer for the invitation from now on, so you must have what it gives."),)

    def perform(self, target: Invitation, form: ReasonForm, actor: Actor) -> Outcome:
        return _outcome(send_invitation_again(invitation_id=target.pk, actor=actor, reason=form.cleaned_data["reason"]))


class Withdraw(_InvitationAct):
    slug = "withdraw"
    label = _("Withdraw")
    summary = _("Let nobody use the link.")
    tone = "stop"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")

    def stops(self, target: Invitation) -> Sequence[Text]:
        return (gettext("From the moment this is saved, the link opens nothing. The address can be invited anew."),)

    def stays(self, target: Invitation) -> Sequence[Text]:
        return (gettext("An account that was made with it already. Remove that operator instead."),)

    def perform(self, target: Invitation, form: ReasonForm, actor: Actor) -> Outcome:
        changed = withdraw_invitation(invitation_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("The invitation is withdrawn."),
            already=gettext("Nothing changed: it was withdrawn already."),
        )


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = (
        column("address", _("mail address"), lambda row: visible(row.email), order="email"),
        column("state", _("state"), _state),
        column("may", _("groups"), _groups),
        column("inviter", _("invited by"), _inviter, order="invited_by__username"),
        at("invited_at", _("invited")),
        at("expires_at", _("holds until")),
    )
    list_select_related = ("invited_by", "account")
    search_fields = ("email",)
    search_help_text = _("Search by mail address")
    ordering = ("-invited_at", "-pk")
    can_be_exported = True
    facts = (
        column("address", _("mail address"), lambda row: visible(row.email)),
        column("state", _("state"), _state),
        column("may", _("groups"), _groups),
        column("inviter", _("invited by"), _inviter),
        at("invited_at", _("invited")),
        at("mailed_at", _("mailed"), empty=_("not yet")),
        at("expires_at", _("holds until")),
        at("accepted_at", _("accepted")),
        at("withdrawn_at", _("withdrawn")),
        column("account", _("account"), _account),
    )
    act_classes = (Invite, SendAgain, Withdraw)
    intro = _("Who was invited to be an operator, and whether they came. A link holds once, and not for ever.")
    empty_text = _("Nobody was invited yet. Invite somebody here, or with manage.py invite_operator.")

    def badges(self, row: Invitation) -> Sequence[Any]:
        return [_state(row)]

    def audit_query(self, row: Invitation) -> dict[str, Any]:
        return {"target_kind": "invitation", "target_id": str(row.pk)}
