"""Approvals that wait for a second operator, and those that one operator made alone."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from installations import approval_requests, editions
from installations.actors import Actor
from installations.admin.acts import Act, Outcome, actor_of
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import (
    Column,
    Table,
    at,
    badge,
    column,
    join,
    link,
    mono,
    plural,
    status_badge,
    text_of,
    to,
)
from installations.admin.lists import NamedFilter
from installations.admin.manifests import edited_words, risk_badge, scope_words
from installations.admin.text import visible
from installations.catalogue import RISKS
from installations.errors import OwnRequest
from installations.forms import ReasonForm
from installations.models import ApprovalRequest, ApprovedPermission, BreakGlass, Installation
from installations.scopes import Scope, parse
from installations.trail.refusals import note_refused

State = ApprovalRequest.State
_TONES = {
    State.OPEN: "wait",
    State.CONFIRMED: "good",
    State.REFUSED: "bad",
    State.TAKEN_BACK: "gone",
    State.VOID: "gone",
    State.ALONE: "bad",
}
_SHOWN = 200  # installations on one page


def can_be_confirmed(row: ApprovalRequest) -> bool:
    return row.state == State.OPEN and row.expires_at > timezone.now()


def changes_of(row: ApprovalRequest) -> Sequence[str]:
    """Return what makes an open request void, worked out once for a page."""
    found: Sequence[str] | None = vars(row).get("changes_shown")
    if found is None:
        found = vars(row)["changes_shown"] = approval_requests.what_changed(row)
    return found


def state_badge(row: ApprovalRequest) -> Any:
    if row.state == State.OPEN and not can_be_confirmed(row):
        return badge("waited too long", "gone")
    if row.state == State.OPEN and getattr(row, "gone", False):
        return badge("cannot be confirmed any more", "gone")
    return badge(State(row.state).label, _TONES[State(row.state)])


class RequestStateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "waits for a second operator"), ("over", "decided or too old")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        waiting = ApprovalRequest.objects.waiting().values("pk")
        if self.value() == "waiting":
            return queryset.filter(pk__in=waiting)
        return queryset.exclude(pk__in=waiting) if self.value() == "over" else queryset


class _SecondPair(Act):
    """An act that the operator who asked may not do themselves. To try it is recorded."""

    permission = "installations.approve_scopes"

    def offered_to(self, request: HttpRequest, target: ApprovalRequest) -> bool:
        return actor_of(request).id != target.requested_by_id

    @abstractmethod
    def decide(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        """Call the verb and say what it did."""

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        try:
            return self.decide(target, form, actor)
        except OwnRequest:
            kind, name, installation_id = self.audited_as(target)
            note_refused(
                actor=actor,
                permission=self.permission,
                attempted=self.url_name,
                target=(kind, name),
                installation_id=installation_id,
            )
            raise


class Confirm(_SecondPair):
    slug = "confirm"
    label = "Confirm"
    summary = "Bring into force what another operator asked for. Not your own request."
    tone = "go"
    template_name = "admin/installations/approvalrequest/confirm.html"

    def applies(self, target: ApprovalRequest) -> bool:
        return can_be_confirmed(target) and not changes_of(target)

    def context(self, request: HttpRequest, target: ApprovalRequest, form: ReasonForm) -> dict[str, Any]:
        return {"tables": [scopes_table(target, _held(target)), installations_table(target)]}

    def stops(self, target: ApprovalRequest) -> Sequence[str]:
        return (
            "From their next call on, the application can do within these scopes what the user who has it open may do, "
            "on each of these installations.",
            "Installations that are pending become active.",
        )

    def stays(self, target: ApprovalRequest) -> Sequence[str]:
        return (
            "Nobody can do more than Flowlu lets them: Flowlu checks each user's own rights as well.",
            "If anything about these installations changed since it was asked for, nothing is approved and the request "
            "is void.",
        )

    def decide(self, target: ApprovalRequest, form: ReasonForm, actor: Actor) -> Outcome:
        done = approval_requests.confirm_request(request_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        active = f" {plural(done.activated, 'installation')} became active." if done.activated else ""
        had = f" {plural(done.unchanged, 'installation')} had it already." if done.unchanged else ""
        where = plural(done.installations, "installation")
        return Outcome(f"Approved on {where}: {', '.join(done.approved)}.{had}{active}")


class Refuse(Act):
    slug = "refuse"
    label = "Refuse or take back"
    summary = "Close the request; nothing is approved."
    permission = "installations.approve_scopes"
    tone = "stop"

    def applies(self, target: ApprovalRequest) -> bool:
        return target.state == State.OPEN

    def stops(self, target: ApprovalRequest) -> Sequence[str]:
        return ("The request is closed. Nobody can confirm it any more.",)

    def stays(self, target: ApprovalRequest) -> Sequence[str]:
        return ("Nothing is approved or withdrawn. The same can be asked for again.",)

    def perform(self, target: ApprovalRequest, form: ReasonForm, actor: Actor) -> Outcome:
        state = approval_requests.refuse_request(request_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome("Taken back." if state == State.TAKEN_BACK else "Refused.")


class LookAt(_SecondPair):
    slug = "look-at"
    label = "Looked at"
    summary = "Record that a second operator looked at it. Not your own."

    def applies(self, target: ApprovalRequest) -> bool:
        return target.reviewed_at is None

    def stops(self, target: ApprovalRequest) -> Sequence[str]:
        return ("It leaves the list of what needs somebody, with your name and what you write here.",)

    def stays(self, target: ApprovalRequest) -> Sequence[str]:
        return ("The approval stays as it is. Withdraw it on the installation's page if it should not have been made.",)

    def decide(self, target: ApprovalRequest, form: ReasonForm, actor: Actor) -> Outcome:
        done = approval_requests.review_break_glass(
            request_id=target.pk, actor=actor, reason=form.cleaned_data["reason"]
        )
        return Outcome.of(done, "Recorded.", already="somebody looked at it before")


def scopes_table(row: ApprovalRequest, held: Mapping[str, str] | None = None) -> Table:
    """Return what is asked for, in plain words; with what is approved now, by code, also what that changes."""
    known = editions.in_force()

    def words(scope: Scope) -> Any:
        edited = edited_words(known, scope)
        note = format_html('<span class="note-inline">{}</span>', visible(edited)) if edited else ""
        return format_html("{} {}", scope_words(known.describe(scope)), note)

    def change(scope: Scope) -> tuple[str, ...]:
        if held is None:
            return ()
        now = held.get(scope.code)
        if now == scope.level.value:
            return ("approved already",)
        return (f"from {now} to {scope.level.value}" if now else f"new, at level {scope.level.value}",)

    wanted = [parse(text) for text in row.scopes]
    wanted.sort(key=lambda scope: -RISKS.index(known.describe(scope).risk or "high"))
    return Table(
        "Scopes",
        ("Scope", "What it covers", "Risk", *(("Change",) if held is not None else ())),
        [(mono(scope), words(scope), risk_badge(known.describe(scope)), *change(scope)) for scope in wanted],
        "None.",
        kind="scopes",
    )


def _held(row: ApprovalRequest) -> dict[str, str] | None:
    """Return what is approved now where the request still waits for one installation, else None."""
    items = list(row.items.values_list("installation", flat=True)[:2])
    if row.state != State.OPEN or len(items) != 1:
        return None
    return dict(ApprovedPermission.objects.in_force().filter(installation=items[0]).values_list("code", "level"))


def installations_table(row: ApprovalRequest) -> Table:
    """Return the installations that it is bound to."""
    found = Installation.objects.filter(approval_requests__request=row).select_related("portal", "application")
    in_force = Prefetch("approved_permissions", ApprovedPermission.objects.in_force(), to_attr="in_force")
    shown = list(found.prefetch_related(in_force).order_by("portal__domain", "pk")[: _SHOWN + 1])
    count = len(shown) if len(shown) <= _SHOWN else found.count()
    return Table(
        f"On {plural(count, 'installation')}",
        ("Installation", "Status now", "Approved now"),
        [(link(each), status_badge(each), in_force_words(each)) for each in shown[:_SHOWN]],
        "None.",
        note=f"The first {_SHOWN} of them." if count > _SHOWN else "",
    )


def in_force_words(row: Any) -> str:
    """Name the scopes in force of an installation, which were read with it."""
    return ", ".join(sorted(str(each) for each in row.in_force)) or "nothing"


def _where(row: Any) -> Any:
    return plural(row.installations, "installation")


_COMMON: Sequence[str | Column] = (
    to("application", "application"),
    column("scopes_asked", "scopes", lambda row: join((mono(text) for text in row.scopes), ", ")),
    text_of("requested_by", "asked by"),
    at("requested_at", "asked"),
    column("why", "reason", lambda row: visible(row.reason)),
)


class _Requests(ReadOnlyAdmin):
    allowed_lookups = frozenset({"application__id__exact"})
    list_select_related = ("application",)
    search_fields = ("requested_by", "decided_by", "application__app_id")
    search_help_text = "Search by operator or appId"
    ordering = ("-requested_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        counted: QuerySet[Any] = (
            super()
            .get_queryset(request)
            .annotate(
                installations=Count("items"), gone=Count("items", filter=Q(items__installation__status="uninstalled"))
            )
        )
        return counted

    def tables(self, request: HttpRequest, row: Any) -> Sequence[Table]:
        if not request.user.has_perm("installations.view_installation"):
            return [scopes_table(row)]
        return [scopes_table(row, _held(row)), installations_table(row)]


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(_Requests):
    list_display = (
        column("name", "request", lambda row: f"#{row.pk}", order="pk"),
        column("state_word", "state", state_badge, order="state"),
        to("application", "application"),
        column("scopes_asked", "scopes", lambda row: join((mono(text) for text in row.scopes), ", ")),
        column("where", "on", _where),
        text_of("requested_by", "asked by"),
        at("requested_at", "asked"),
        at("expires_at", "waits until"),
    )
    list_filter = (RequestStateFilter, ("application", NamedFilter))
    facts = (
        *_COMMON,
        at("expires_at", "waits until"),
        text_of("decided_by", "decided by"),
        at("decided_at", "decided", empty="not decided"),
        column("decided_words", "why decided", lambda row: visible(row.decided_why or "–")),
    )
    act_classes = (Confirm, Refuse)
    intro = (
        "Approvals of high risk and approvals for many installations count only when a second operator confirms them. "
        "Whoever asked cannot confirm it."
    )
    empty_text = "Nothing was asked for yet. With FOUR_EYES on, approving a scope of high risk makes a request."

    def badges(self, row: ApprovalRequest) -> Sequence[Any]:
        found = [state_badge(row)]
        if can_be_confirmed(row):
            found += [badge(words, "bad") for words in changes_of(row)[:3]]
        return found

    def page_title(self, row: ApprovalRequest) -> str:
        return f"Request #{row.pk} of {row.requested_by}"

    def audit_query(self, row: ApprovalRequest) -> dict[str, Any]:
        return {"target_kind": "approvalrequest", "target_id": str(row.pk)}


class LookedAtFilter(admin.SimpleListFilter):
    title = "looked at"
    parameter_name = "looked_at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "not yet"), ("yes", "by another operator")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(reviewed_at__isnull=self.value() == "no") if self.value() else queryset


def _looked_at(row: BreakGlass) -> Any:
    return badge("looked at", "good") if row.reviewed_at else badge("nobody looked at it yet", "bad")


@admin.register(BreakGlass)
class BreakGlassAdmin(_Requests):
    list_display = (
        column("name", "approval", lambda row: f"#{row.pk}", order="pk"),
        column("looked", "looked at", _looked_at, order="reviewed_at"),
        to("application", "application"),
        column("scopes_asked", "scopes", lambda row: join((mono(text) for text in row.scopes), ", ")),
        text_of("requested_by", "approved by"),
        at("requested_at", "approved"),
        column("why", "reason", lambda row: visible(row.reason)),
    )
    list_filter = (LookedAtFilter, ("application", NamedFilter))
    facts = (
        *_COMMON,
        text_of("reviewed_by", "looked at by"),
        at("reviewed_at", "looked at", empty="not yet"),
        column("reviewed_words", "what they found", lambda row: visible(row.reviewed_why or "–")),
    )
    act_classes = (LookAt,)
    intro = "Scopes of high risk that one operator approved alone. Each waits until another operator looked at it."
    empty_text = "Nobody approved anything alone."

    def badges(self, row: BreakGlass) -> Sequence[Any]:
        return [_looked_at(row)]

    def page_title(self, row: BreakGlass) -> str:
        return f"Break-glass approval #{row.pk} of {row.requested_by}"

    def audit_query(self, row: BreakGlass) -> dict[str, Any]:
        return {"target_kind": "approvalrequest", "target_id": str(row.pk)}
