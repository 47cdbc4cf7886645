"""Approvals that wait for a second operator, and those that one operator made alone."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations import approval_requests, editions
from installations.actors import Actor
from installations.admin import counted
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
    status_badge,
    text_of,
    to,
)
from installations.admin.lists import NamedFilter
from installations.admin.manifests import edited_words, risk_badge, scope_words
from installations.admin.text import Text, sentences, visible
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
        return badge(gettext("waited too long"), "gone")
    if row.state == State.OPEN and getattr(row, "gone", False):
        return badge(gettext("cannot be confirmed any more"), "gone")
    return badge(State(row.state).label, _TONES[State(row.state)])


class RequestStateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", gettext("waits for a second operator")), ("over", gettext("decided or too old"))]

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
    label = _("Confirm")
    summary = _("Bring into force what another operator asked for. Not your own request.")
    tone = "go"
    also_needs = ("installations.view_installation",)  # nobody confirms what they may not look at
    empowers = True  # what frontends may do, of high risk or in many places: the second pair of eyes is whose it says
    template_name = "admin/installations/approvalrequest/confirm.html"

    def applies(self, target: ApprovalRequest) -> bool:
        return can_be_confirmed(target) and not changes_of(target)

    def context(self, request: HttpRequest, target: ApprovalRequest, form: ReasonForm) -> dict[str, Any]:
        return {"tables": [scopes_table(target, _held(target)), installations_table(target)]}

    def stops(self, target: ApprovalRequest) -> Sequence[Text]:
        return (
            gettext(
                "From their next call on, the application can do within these scopes what the user who has it open "
                "may do, on each of these installations."
            ),
            gettext("Installations that are pending become active."),
        )

    def stays(self, target: ApprovalRequest) -> Sequence[Text]:
        return (
            gettext("Nobody can do more than Flowlu lets them: Flowlu checks each user's own rights as well."),
            gettext(
                "If anything about these installations changed since it was asked for, nothing is approved and the "
                "request is void."
            ),
        )

    def decide(self, target: ApprovalRequest, form: ReasonForm, actor: Actor) -> Outcome:
        done = approval_requests.confirm_request(request_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        approved = ngettext(
            "Approved on %(count)s installation: %(scopes)s.",
            "Approved on %(count)s installations: %(scopes)s.",
            done.installations,
        )
        had = ngettext(
            "%(count)s installation had it already.", "%(count)s installations had it already.", done.unchanged
        )
        active = ngettext(
            "%(count)s installation became active.", "%(count)s installations became active.", done.activated
        )
        return Outcome(
            sentences(
                approved % {"count": f"{done.installations:,}", "scopes": ", ".join(done.approved)},
                had % {"count": f"{done.unchanged:,}"} if done.unchanged else "",
                active % {"count": f"{done.activated:,}"} if done.activated else "",
            )
        )


class Refuse(Act):
    slug = "refuse"
    label = _("Refuse or take back")
    summary = _("Close the request; nothing is approved.")
    permission = "installations.approve_scopes"
    tone = "stop"

    def applies(self, target: ApprovalRequest) -> bool:
        return target.state == State.OPEN

    def stops(self, target: ApprovalRequest) -> Sequence[Text]:
        return (gettext("The request is closed. Nobody can confirm it any more."),)

    def stays(self, target: ApprovalRequest) -> Sequence[Text]:
        return (gettext("Nothing is approved or withdrawn. The same can be asked for again."),)

    def perform(self, target: ApprovalRequest, form: ReasonForm, actor: Actor) -> Outcome:
        state = approval_requests.refuse_request(request_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome(gettext("Taken back.") if state == State.TAKEN_BACK else gettext("Refused."))


class LookAt(_SecondPair):
    slug = "look-at"
    label = _("Looked at")
    summary = _("Record that a second operator looked at it. Not your own.")

    def applies(self, target: ApprovalRequest) -> bool:
        return target.reviewed_at is None

    def stops(self, target: ApprovalRequest) -> Sequence[Text]:
        return (gettext("It leaves the list of what needs somebody, with your name and what you write here."),)

    def stays(self, target: ApprovalRequest) -> Sequence[Text]:
        return (
            gettext(
                "The approval stays as it is. Withdraw it on the installation's page if it should not have been made."
            ),
        )

    def decide(self, target: ApprovalRequest, form: ReasonForm, actor: Actor) -> Outcome:
        done = approval_requests.review_break_glass(
            request_id=target.pk, actor=actor, reason=form.cleaned_data["reason"]
        )
        return Outcome.of(done, gettext("Recorded."), already=gettext("Nothing changed: somebody looked at it before."))


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
            return (gettext("approved already"),)
        return (
            gettext("from %(now)s to %(value)s") % {"now": now, "value": scope.level.value}
            if now
            else gettext("new, at level %(value)s") % {"value": scope.level.value},
        )

    wanted = [parse(text) for text in row.scopes]
    wanted.sort(key=lambda scope: -RISKS.index(known.describe(scope).risk or "high"))
    return Table(
        gettext("Scopes"),
        (
            gettext("Scope"),
            gettext("What it covers"),
            gettext("Risk"),
            *((gettext("Change"),) if held is not None else ()),
        ),
        [(mono(scope), words(scope), risk_badge(known.describe(scope)), *change(scope)) for scope in wanted],
        gettext("None."),
        kind="scopes",
    )


def _held(row: ApprovalRequest) -> dict[str, str] | None:
    """Return what is approved now where the request still waits for one installation, else None."""
    items = list(row.items.values_list("installation", flat=True)[:2])
    if row.state != State.OPEN or len(items) != 1:
        return None
    return dict(ApprovedPermission.objects.in_force().filter(installation=items[0]).values_list("code", "level"))


def installations_table(row: ApprovalRequest) -> Table:
    """Return the installations that it is bound to, all of them: a second operator confirms what they have seen."""
    found = Installation.objects.filter(approval_requests__request=row).select_related("portal", "application")
    in_force = Prefetch("approved_permissions", ApprovedPermission.objects.in_force(), to_attr="in_force")
    shown = list(found.prefetch_related(in_force).order_by("portal__domain", "pk"))
    return Table(
        ngettext("On %(count)s installation", "On %(count)s installations", len(shown)) % {"count": f"{len(shown):,}"},
        (gettext("Installation"), gettext("Status now"), gettext("Approved now")),
        [(link(each), status_badge(each), in_force_words(each)) for each in shown],
        gettext("None."),
    )


def in_force_words(row: Any) -> str:
    """Name the scopes in force of an installation, which were read with it."""
    return ", ".join(sorted(str(each) for each in row.in_force)) or gettext("nothing")


def _where(row: Any) -> Any:
    return counted.installations(row.installations)


_COMMON: Sequence[str | Column] = (
    to("application", _("application")),
    column("scopes_asked", _("scopes"), lambda row: join((mono(text) for text in row.scopes), ", ")),
    text_of("requested_by", _("asked by")),
    at("requested_at", _("asked")),
    column("why", _("reason"), lambda row: visible(row.reason)),
)


class _Requests(ReadOnlyAdmin):
    allowed_lookups = frozenset({"application__id__exact"})
    list_select_related = ("application",)
    search_fields = ("requested_by", "decided_by", "application__app_id")
    search_help_text = _("Search by operator or appId")
    ordering = ("-requested_at", "-pk")
    can_be_exported = True

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
        column("name", _("request"), lambda row: f"#{row.pk}", order="pk"),
        column("state_word", _("state"), state_badge, order="state"),
        to("application", _("application")),
        column("scopes_asked", _("scopes"), lambda row: join((mono(text) for text in row.scopes), ", ")),
        column("where", _("on"), _where),
        text_of("requested_by", _("asked by")),
        at("requested_at", _("asked")),
        at("expires_at", _("waits until")),
    )
    list_filter = (RequestStateFilter, ("application", NamedFilter))
    facts = (
        *_COMMON,
        at("expires_at", _("waits until")),
        text_of("decided_by", _("decided by")),
        at("decided_at", _("decided"), empty=_("not decided")),
        column("decided_words", _("why decided"), lambda row: visible(row.decided_why or "–")),
    )
    act_classes = (Confirm, Refuse)
    words_here = ("risk", "break-glass")
    intro = _(
        "Approvals of high risk and approvals for many installations count only when a second operator confirms them. "
        "Whoever asked cannot confirm it."
    )
    empty_text = _("Nothing was asked for yet. With FOUR_EYES on, approving a scope of high risk makes a request.")

    def badges(self, row: ApprovalRequest) -> Sequence[Any]:
        found = [state_badge(row)]
        if can_be_confirmed(row):
            found += [badge(words, "bad") for words in changes_of(row)[:3]]
        return found

    def page_title(self, row: ApprovalRequest) -> str:
        return gettext("Request #%(pk)s of %(requested_by)s") % {"pk": row.pk, "requested_by": row.requested_by}

    def audit_query(self, row: ApprovalRequest) -> dict[str, Any]:
        return {"target_kind": "approvalrequest", "target_id": str(row.pk)}


class LookedAtFilter(admin.SimpleListFilter):
    title = _("looked at")
    parameter_name = "looked_at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", gettext("not yet")), ("yes", gettext("by another operator"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(reviewed_at__isnull=self.value() == "no") if self.value() else queryset


def _looked_at(row: BreakGlass) -> Any:
    return badge(gettext("looked at"), "good") if row.reviewed_at else badge(gettext("nobody looked at it yet"), "bad")


@admin.register(BreakGlass)
class BreakGlassAdmin(_Requests):
    list_display = (
        column("name", _("approval"), lambda row: f"#{row.pk}", order="pk"),
        column("looked", _("looked at"), _looked_at, order="reviewed_at"),
        to("application", _("application")),
        column("scopes_asked", _("scopes"), lambda row: join((mono(text) for text in row.scopes), ", ")),
        text_of("requested_by", _("approved by")),
        at("requested_at", _("approved")),
        column("why", _("reason"), lambda row: visible(row.reason)),
    )
    list_filter = (LookedAtFilter, ("application", NamedFilter))
    facts = (
        *_COMMON,
        text_of("reviewed_by", _("looked at by")),
        at("reviewed_at", _("looked at"), empty=_("not yet")),
        column("reviewed_words", _("what they found"), lambda row: visible(row.reviewed_why or "–")),
    )
    act_classes = (LookAt,)
    words_here = ("risk", "four-eyes")
    intro = _("Scopes of high risk that one operator approved alone. Each waits until another operator looked at it.")
    empty_text = _("Nobody approved anything alone.")

    def badges(self, row: BreakGlass) -> Sequence[Any]:
        return [_looked_at(row)]

    def page_title(self, row: BreakGlass) -> str:
        return gettext("Break-glass approval #%(pk)s of %(requested_by)s") % {
            "pk": row.pk,
            "requested_by": row.requested_by,
        }

    def audit_query(self, row: BreakGlass) -> dict[str, Any]:
        return {"target_kind": "approvalrequest", "target_id": str(row.pk)}
