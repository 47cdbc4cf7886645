"""The pages of operators: who may sign in, what they may do, and the acts that change that."""

from collections.abc import Sequence
from typing import Any, ClassVar

from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from flowlu_admin.forms import GroupsForm
from flowlu_admin.models import Operator
from flowlu_admin.operator_accounts import (
    MANAGE,
    MANAGE_SUPERUSER,
    as_seen,
    remove_operator,
    restore_operator,
    set_operator_groups,
    sign_out_operator,
)
from installations.actors import Actor
from installations.admin.acts import Act, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, join, link, list_url, plural, utc
from installations.admin.lists import NamedFilter
from installations.admin.text import visible
from installations.forms import ReasonForm
from installations.models import ApprovalRequest, AuditEvent
from installations.seen import digest_of


def _groups(row: Operator) -> Any:
    if row.is_superuser:
        return badge("superuser", "wait")
    named = sorted(group.name for group in row.groups.all())
    if own := len(row.user_permissions.all()):
        named.append(f"{plural(own, 'right')} given from a shell")
    return visible(", ".join(named)) if named else "none: sees nothing"


def _state(row: Operator) -> Any:
    return badge("active", "good") if row.is_active else badge("removed", "gone")


def _factor(row: Any) -> Any:
    return badge("set up", "good") if row.has_factor else badge("none", "wait")


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
    label = "Remove"
    summary = "Let them do nothing any more. The account stays, for what they did to be named."
    tone = "danger"
    stops_heading = "What stops"
    stays_heading = "What stays"

    def stops(self, target: Operator) -> Sequence[str]:
        return (
            "From the moment this is saved, they can neither sign in nor go on in a session that is open, here or by a "
            "command.",
            "What they asked for and no second operator confirmed is void.",
        )

    def stays(self, target: Operator) -> Sequence[str]:
        return (
            "What they approved stays in force. Look through it if you do not trust it: the audit trail names all of "
            "it, and their page leads there.",
            "Service keys and API keys that they handled stay valid. Replace those that they may have kept.",
            "A shell on the machine is not taken away by this.",
            "What they sent in the same moment may still be done, as if it had come just before.",
        )

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        done = remove_operator(operator_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if done is None:
            return Outcome("Nothing changed: they were removed already.", changed=False)
        sessions, requests = plural(done.sessions_ended, "session"), plural(done.requests_voided, "request")
        return Outcome(f"{target.get_username()} is removed: {sessions} ended, {requests} made void.")


class Restore(_OperatorAct):
    slug = "restore"
    label = "Restore"
    summary = "Let them sign in again."
    active = False

    def stops(self, target: Operator) -> Sequence[str]:
        return ("They can sign in again, with the password, the second factor and the groups that they had.",)

    def stays(self, target: Operator) -> Sequence[str]:
        return ("Sessions that ended do not come back, and requests that became void stay void.",)

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        changed = restore_operator(operator_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        name = target.get_username()
        return Outcome.of(changed, f"{name} may sign in again.", already=f"{name} was not removed")


class SignOut(_OperatorAct):
    slug = "sign-out"
    label = "Sign out everywhere"
    summary = "End every session of theirs. They may sign in anew."
    tone = "stop"
    stops_heading = "What stops"
    stays_heading = "What does not stop"

    def stops(self, target: Operator) -> Sequence[str]:
        return ("Every browser in which they are signed in has to sign in anew.",)

    def stays(self, target: Operator) -> Sequence[str]:
        return (
            "Whoever knows the password and holds the second factor signs in again at once. Where an account was taken "
            "over, remove it.",
        )

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        ended = sign_out_operator(operator_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome(f"{plural(ended, 'session')} of {target.get_username()} ended.")


class ChangeGroups(_OperatorAct):
    slug = "groups"
    label = "Change groups"
    summary = "Choose what they may do."
    form_class = GroupsForm

    def applies(self, target: Operator) -> bool:
        return target.is_active and not target.is_superuser

    def form(self, request: HttpRequest, target: Operator) -> ReasonForm:
        groups = sorted(target.groups.values_list("name", flat=True))
        form = GroupsForm(posted(request), initial={"groups": groups})
        form.show(digest_of(as_seen(groups)))
        return form

    def stops(self, target: Operator) -> Sequence[str]:
        return (
            "From the moment this is saved, they may do what the chosen groups may, in open sessions too.",
            "Rights that were given to them one by one, from a shell, stay beside that.",
        )

    def stays(self, target: Operator) -> Sequence[str]:
        return (
            "What they did stays. A request of theirs that needs a right they lose cannot be confirmed any more.",
            "You can add only groups that may nothing that you may not.",
        )

    def perform(self, target: Operator, form: ReasonForm, actor: Actor) -> Outcome:
        changed = set_operator_groups(
            operator_id=target.pk,
            groups=form.cleaned_data["groups"],
            actor=actor,
            reason=form.cleaned_data["reason"],
            seen=form.cleaned_data["seen"],
        )
        name = target.get_username()
        return Outcome.of(changed, f"{name} is in other groups now.", already=f"{name} was in these groups")


@admin.register(Operator)
class OperatorAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", "operator", lambda row: visible(row.get_username()), order="username"),
        column("state", "state", _state, order="is_active"),
        column("may", "groups", _groups),
        column("factor", "second factor", _factor),
        at("last_login", "last sign-in", empty="never"),
        at("date_joined", "created"),
    )
    list_filter = ("is_active", "is_superuser", ("groups", NamedFilter))
    allowed_lookups = frozenset({"is_active__exact", "is_superuser__exact", "groups__id__exact"})
    search_fields = ("username", "email")
    search_help_text = "Search by name or mail address"
    ordering = ("-is_active", "username")
    facts = (
        column("name", "name", lambda row: visible(row.get_username())),
        column("mail", "mail address", lambda row: visible(row.email or "none")),
        column("state", "state", _state),
        column("may", "groups", _groups),
        column("factor", "second factor", _factor),
        at("last_login", "last sign-in", empty="never"),
        at("date_joined", "created"),
    )
    act_classes = (ChangeGroups, SignOut, Remove, Restore)
    intro = "Who may sign in to this console, and what each may do. New ones are made with manage.py create_operator."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operator]:
        factors = Authenticator.objects.filter(user=OuterRef("pk"), type=Authenticator.Type.TOTP)
        rows: QuerySet[Operator] = super().get_queryset(request)
        return (
            rows.filter(is_staff=True)
            .annotate(has_factor=Exists(factors))
            .prefetch_related("groups", "user_permissions")
        )

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Everybody may look at the own page: what they may do, and what was done in their name."""
        return super().has_view_permission(request, obj) or (obj is not None and obj.pk == request.user.pk)

    def badges(self, row: Operator) -> Sequence[Any]:
        return [_state(row), *([badge("superuser", "wait")] if row.is_superuser else [])]

    def page_title(self, row: Operator) -> str:
        return row.get_username()

    def audit_query(self, row: Operator) -> dict[str, Any]:
        return {"target_kind": "operator", "target_id": str(row.pk)}

    def tables(self, request: HttpRequest, row: Operator) -> Sequence[Table]:
        found = []
        if request.user.has_perm("installations.view_approvalrequest"):
            found.append(_waiting(row))
        sees_trail = request.user.has_perm("installations.view_auditevent")
        if sees_trail or request.user.pk == row.pk:
            found.append(_activity(row, sees_trail=sees_trail))
        return found


def _waiting(row: Operator) -> Table:
    rows = ApprovalRequest.objects.waiting().filter(requested_by_id=str(row.pk)).order_by("requested_at")[:20]
    return Table(
        "Requests that wait for a second operator",
        ("Request", "Asked", "Scopes"),
        [(link(request), utc(request.requested_at), visible(", ".join(request.scopes))) for request in rows],
        "None waits.",
    )


def _activity(row: Operator, *, sees_trail: bool) -> Table:
    events = AuditEvent.objects.filter(actor_kind="operator", actor_id=str(row.pk)).order_by("-sequence")[:20]
    return Table(
        "What they did last",
        ("What", "When", "Target", "Why"),
        [
            (
                link(event, event.verb) if sees_trail else event.verb,
                utc(event.occurred_at),
                join((event.target_kind, visible(event.target_id))),
                visible(event.reason or "–"),
            )
            for event in events
        ],
        "Nothing yet.",
        more_url=list_url(AuditEvent, f"actor_kind=operator&actor_id={row.pk}") if sees_trail else "",
        more="Show all of it in the audit trail",
    )
