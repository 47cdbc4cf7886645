"""The pages of operators: who may sign in, what they may do, and the acts that change that."""

from collections.abc import Sequence
from typing import Any, ClassVar

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from flowlu_admin.factors import APP, KEY
from flowlu_admin.forms import GroupsForm
from flowlu_admin.granting import MANAGE, MANAGE_SUPERUSER, GivesMore
from flowlu_admin.invitation_admin import InvitationAdmin
from flowlu_admin.models import Invitation, Operator
from flowlu_admin.notices.admin import NoticeDeliveryAdmin
from flowlu_admin.oidc.accounts import company_account_of
from flowlu_admin.oidc.provider import is_on
from flowlu_admin.open_sessions import open_sessions
from flowlu_admin.operator_accounts import (
    as_seen,
    remove_operator,
    reset_second_factors,
    restore_operator,
    set_operator_groups,
    sign_out_operator,
)
from installations.actors import Actor
from installations.admin import counted
from installations.admin.acts import Act, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, join, link, list_url, when
from installations.admin.lists import NamedFilter
from installations.admin.text import Text, visible
from installations.errors import StateConflict
from installations.forms import ReasonForm
from installations.models import ApprovalRequest, AuditEvent
from installations.seen import digest_of
from installations.trail.refusals import note_refused

__all__ = ["InvitationAdmin", "NoticeDeliveryAdmin", "OperatorAdmin"]


def _groups(row: Operator) -> Any:
    if row.is_superuser:
        return badge(gettext("superuser"), "wait")
    named = sorted(group.name for group in row.groups.all())
    if own := len(row.user_permissions.all()):
        named.append(
            ngettext("%(count)s right given from a shell", "%(count)s rights given from a shell", own)
            % {"count": f"{own:,}"}
        )
    return visible(", ".join(named)) if named else gettext("none: sees nothing")


def _state(row: Operator) -> Any:
    return badge(gettext("active"), "good") if row.is_active else badge(gettext("removed"), "gone")


def _factor(row: Any) -> Any:
    return badge(gettext("set up"), "good") if row.apps or row.keys else badge(gettext("none"), "wait")


def _factors(row: Any) -> Any:
    named = [gettext("authenticator app")] * row.apps + [counted.security_keys(row.keys)] * bool(row.keys)
    return ", ".join(named) or badge(gettext("none"), "wait")


def _company(row: Operator) -> Any:
    if not is_on():
        return gettext("sign-in with one is off")
    linked = company_account_of(row.pk)
    return join((badge(gettext("linked"), "good"), when(linked.linked_at))) if linked else gettext("none")


class _OperatorAct(Act):
    permission = MANAGE
    active: ClassVar[bool] = True  # the state in which the act makes sense

    def applies(self, target: Operator) -> bool:
        return target.is_active == self.active

    def offered_to(self, request: HttpRequest, target: Operator) -> bool:
        return request.user.pk != target.pk and (not target.is_superuser or request.user.has_perm(MANAGE_SUPERUSER))

    def audited_as(self, target: Any) -> tuple[str, str, int | None]:
        return "operator", str(target.pk), None


class Remove(_OperatorAct):
    slug = "remove"
    label = _("Remove")
    summary = _("Let them do nothing any more. The account stays, for what they did to be named.")
    tone = "danger"
    stops_heading = _("What stops")
    stays_heading = _("What stays")

    def stops(self, target: Operator) -> Sequence[Text]:
        return (
            gettext(
                "From the moment this is saved, they can neither sign in nor go on in a session that is open, here or "
                "by a command."
            ),
            gettext(
                "What they asked for and no second operator confirmed is void, and whom they invited cannot come any "
                "more."
            ),
        )

    def stays(self, target: Operator) -> Sequence[Text]:
        return (
            gettext(
                "What they approved stays in force. Look through it if you do not trust it: the audit trail names all "
                "of it, and their page leads there."
            ),
            gettext("Service keys and API keys that they handled stay valid. Replace those that they may have kept."),
            gettext("A shell on the machine is not taken away by this."),
            gettext("What they sent in the same moment may still be done, as if it had come just before."),
        )

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        done = remove_operator(operator_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if done is None:
            return Outcome(gettext("Nothing changed: they were removed already."), changed=False)
        sessions, requests = counted.sessions(done.sessions_ended), counted.requests(done.requests_voided)
        withdrawn = counted.invitations(done.invitations_withdrawn)
        return Outcome(
            gettext("%(username)s is removed: %(sessions)s ended, %(requests)s made void, %(withdrawn)s withdrawn.")
            % {"username": target.get_username(), "sessions": sessions, "requests": requests, "withdrawn": withdrawn}
        )


class Restore(_OperatorAct):
    slug = "restore"
    label = _("Restore")
    summary = _("Let them sign in again.")
    empowers = True
    active = False

    def stops(self, target: Operator) -> Sequence[Text]:
        return (gettext("They can sign in again, with the password, the second factor and the groups that they had."),)

    def stays(self, target: Operator) -> Sequence[Text]:
        return (
            gettext("Sessions that ended do not come back, and requests that became void stay void."),
            gettext("You can restore only an account that may nothing that you may not."),
        )

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        try:
            changed = restore_operator(operator_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        except GivesMore as error:
            # Recorded like any other refusal, and said where it can be read what to do.
            kind, name, _installation = self.audited_as(target)
            note_refused(actor=actor, permission=error.permission, attempted=self.url_name, target=(kind, name))
            raise StateConflict(error.public_message) from None
        name = target.get_username()
        return Outcome.of(
            changed,
            gettext("%(name)s may sign in again.") % {"name": name},
            already=gettext("Nothing changed: %(name)s was not removed.") % {"name": name},
        )


class SignOut(_OperatorAct):
    slug = "sign-out"
    label = _("Sign out everywhere")
    summary = _("End every session of theirs. They may sign in anew.")
    tone = "stop"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")

    def stops(self, target: Operator) -> Sequence[Text]:
        return (gettext("Every browser in which they are signed in has to sign in anew."),)

    def stays(self, target: Operator) -> Sequence[Text]:
        return (
            gettext(
                "Whoever knows the password and holds the second factor signs in again at once. Where an account was "
                "taken over, remove it."
            ),
        )

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        ended = sign_out_operator(operator_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome(
            ngettext("%(count)s session of %(username)s ended.", "%(count)s sessions of %(username)s ended.", ended)
            % {"count": f"{ended:,}", "username": target.get_username()}
        )


class ResetFactors(_OperatorAct):
    slug = "reset-factors"
    label = _("Reset second factors")
    summary = _("Take every second factor away, where all of them are lost. They can add another one.")
    tone = "danger"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")

    def stops(self, target: Operator) -> Sequence[Text]:
        return (
            gettext("Their authenticator app, security keys and recovery codes open nothing any more."),
            gettext("Every browser in which they are signed in has to sign in anew."),
        )

    def stays(self, target: Operator) -> Sequence[Text]:
        return (
            gettext("Whoever signs in next with their password sets up the second factor.")
            if settings.OPERATOR_MFA == "required"
            else gettext("Whoever signs in next needs the password alone: this console requires no second factor."),
            gettext(
                "Make sure, and not by mail, that it is them who ask. Where somebody else may know the password, let "
                "them set another one first."
            ),
        )

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        changed = reset_second_factors(operator_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        name = target.get_username()
        done = (
            gettext("%(name)s sets up a second factor anew.")
            if settings.OPERATOR_MFA == "required"
            else gettext("%(name)s has no second factor now, and needs none to sign in.")
        )
        return Outcome.of(
            changed,
            done % {"name": name},
            already=gettext("Nothing changed: %(name)s had none.") % {"name": name},
        )


class ChangeGroups(_OperatorAct):
    slug = "groups"
    label = _("Change groups")
    summary = _("Choose what they may do.")
    empowers = True
    form_class = GroupsForm

    def applies(self, target: Operator) -> bool:
        # Of a removed account too: who may not restore it with its groups takes them first.
        return not target.is_superuser

    def form(self, request: HttpRequest, target: Operator) -> ReasonForm:
        groups = sorted(target.groups.values_list("name", flat=True))
        form = GroupsForm(posted(request), initial={"groups": groups})
        form.show(digest_of(as_seen(groups)))
        return form

    def stops(self, target: Operator) -> Sequence[Text]:
        return (
            gettext("From the moment this is saved, they may do what the chosen groups may, in open sessions too."),
            gettext("Rights that were given to them one by one, from a shell, stay beside that."),
        )

    def stays(self, target: Operator) -> Sequence[str]:
        lines = [
            gettext(
                "What they did stays. A request of theirs that needs a right they lose cannot be confirmed any more."
            ),
            gettext("You can add only groups that may nothing that you may not."),
        ]
        if is_on() and settings.OIDC_GROUP_MAP:
            mapped = sorted({name for names in settings.OIDC_GROUP_MAP.values() for name in names})
            lines.append(
                gettext(
                    "Whoever signs in with a company account gets and loses these as the company's provider says: "
                    "%(mapped)s."
                )
                % {"mapped": ", ".join(mapped)}
            )
        return lines

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        changed = set_operator_groups(
            operator_id=target.pk,
            groups=form.cleaned_data["groups"],
            actor=actor,
            reason=form.cleaned_data["reason"],
            seen=form.cleaned_data["seen"],
        )
        name = target.get_username()
        return Outcome.of(
            changed,
            gettext("%(name)s is in other groups now.") % {"name": name},
            already=gettext("Nothing changed: %(name)s was in these groups.") % {"name": name},
        )


@admin.register(Operator)
class OperatorAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("operator"), lambda row: visible(row.get_username()), order="username"),
        column("state", _("state"), _state, order="is_active"),
        column("may", _("groups"), _groups),
        column("factor", _("second factor"), _factor),
        at("last_login", _("last sign-in"), empty=_("never")),
        at("date_joined", _("created")),
    )
    list_filter = ("is_active", "is_superuser", ("groups", NamedFilter))
    allowed_lookups = frozenset({"is_active__exact", "is_superuser__exact", "groups__id__exact", "groups__isnull"})
    search_fields = ("username", "email")
    search_help_text = _("Search by name or mail address")
    ordering = ("-is_active", "username")
    can_be_exported = True
    facts = (
        column("name", _("name"), lambda row: visible(row.get_username())),
        column("mail", _("mail address"), lambda row: visible(row.email or gettext("none"))),
        column("state", _("state"), _state),
        column("may", _("groups"), _groups),
        column("factor", _("second factor"), _factors),
        column("company", _("company account"), _company),
        at("last_login", _("last sign-in"), empty=_("never")),
        at("date_joined", _("created")),
    )
    act_classes = (ChangeGroups, SignOut, ResetFactors, Remove, Restore)
    intro = _("Who may sign in to this console, and what each may do.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operator]:
        rows: QuerySet[Operator] = super().get_queryset(request)
        return (
            rows.filter(is_staff=True)
            .annotate(apps=_how_many(APP), keys=_how_many(KEY))
            .prefetch_related("groups", "user_permissions")
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        intro = str(self.intro)
        if self.admin_site.get_model_admin(Invitation).has_view_permission(request):
            invitations = format_html('<a href="{}">{}</a>', list_url(Invitation), gettext("Invitations"))
            intro = format_html(gettext("{intro} New ones are invited: see {page}."), intro=intro, page=invitations)
        return super().changelist_view(request, {"intro": intro, **(extra_context or {})})

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Everybody may look at the own page: what they may do, and what was done in their name."""
        return super().has_view_permission(request, obj) or (obj is not None and obj.pk == request.user.pk)

    def badges(self, row: Operator) -> Sequence[Any]:
        return [_state(row), *([badge(gettext("superuser"), "wait")] if row.is_superuser else [])]

    def page_title(self, row: Operator) -> str:
        return row.get_username()

    def audit_query(self, row: Operator) -> dict[str, Any]:
        return {"target_kind": "operator", "target_id": str(row.pk)}

    def tables(self, request: HttpRequest, row: Operator) -> Sequence[Table]:
        found = []
        if request.user.pk == row.pk or request.user.has_perm(MANAGE):
            found.append(_sessions(row, own=request.user.pk == row.pk))
        if request.user.has_perm("installations.view_approvalrequest"):
            found.append(_waiting(row))
        sees_trail = request.user.has_perm("installations.view_auditevent")
        if sees_trail or request.user.pk == row.pk:
            found.append(_activity(row, sees_trail=sees_trail))
        return found


def _how_many(kind: str) -> Coalesce:
    of_one = Authenticator.objects.filter(user=OuterRef("pk"), type=kind).values("user")
    return Coalesce(Subquery(of_one.annotate(found=Count("pk")).values("found")), 0)


def _sessions(row: Operator, *, own: bool) -> Table:
    return Table(
        gettext("Open sessions"),
        (gettext("Browser"), gettext("Address"), gettext("Signed in"), gettext("Last used")),
        [
            (each.browser or "–", each.address or "–", when(each.began_at), when(each.seen_at))
            for each in open_sessions(row.pk)
        ],
        gettext("They are signed in nowhere."),
        note=gettext("The last use is known to ten minutes."),
        more_url=reverse("admin:sessions") if own else "",
        more=gettext("End sessions of yours"),
    )


def _waiting(row: Operator) -> Table:
    rows = ApprovalRequest.objects.waiting().filter(requested_by_id=str(row.pk)).order_by("requested_at")[:20]
    return Table(
        gettext("Requests that wait for a second operator"),
        (gettext("Request"), gettext("Asked"), gettext("Scopes")),
        [(link(request), when(request.requested_at), visible(", ".join(request.scopes))) for request in rows],
        gettext("None waits."),
    )


def _activity(row: Operator, *, sees_trail: bool) -> Table:
    events = AuditEvent.objects.filter(actor_kind="operator", actor_id=str(row.pk)).order_by("-sequence")[:20]
    return Table(
        gettext("What they did last"),
        (gettext("What"), gettext("When"), gettext("Target"), gettext("Why")),
        [
            (
                link(event, event.verb) if sees_trail else event.verb,
                when(event.occurred_at),
                join((event.target_kind, visible(event.target_id))),
                visible(event.reason or "–"),
            )
            for event in events
        ],
        gettext("Nothing yet."),
        more_url=list_url(AuditEvent, f"actor_kind=operator&actor_id={row.pk}") if sees_trail else "",
        more=gettext("Show all of it in the audit trail"),
    )
