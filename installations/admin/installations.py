"""Installations: the list of what waits and lives, and the page on which scopes are decided."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html

from installations import editions, scopes, selectors
from installations.admin.acts import ActLink
from installations.admin.approve_many import approve_many
from installations.admin.audit_trail import actor_words
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import (
    Table,
    at,
    badge,
    column,
    installation_name,
    join,
    link,
    list_url,
    lock_badge,
    locks_of,
    plural,
    status_badge,
    utc,
)
from installations.admin.installation_acts import (
    Approve,
    ApproveAlone,
    Resume,
    Review,
    RevokeAll,
    RevokeUser,
    StatePresent,
    Suspend,
    Uninstall,
    Withdraw,
    Withhold,
)
from installations.admin.lists import InstallationLockedFilter, NamedFilter
from installations.admin.locks import Lock, Unlock
from installations.admin.observed import (
    LivenessFilter,
    evidence_table,
    is_suspected_now,
    kept_liveness,
    verdict_badge,
)
from installations.admin.permissions_page import permissions_view
from installations.admin.text import visible
from installations.four_columns import utc_today
from installations.models import PENDING_FIRST, AuditEvent, Installation
from installations.review_rules import is_due, is_overdue
from tokens.admin.api_keys import AddKey, keys_table
from tokens.admin.tables import tokens_table


class AskingForMoreFilter(admin.SimpleListFilter):
    title = "decision"
    parameter_name = "decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("anew", "needs re-approval")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() != "anew":
            return queryset
        return queryset.filter(pk__in=selectors.installations_asking_for_more().values("pk"))


@admin.register(Installation)
class InstallationAdmin(ReadOnlyAdmin):
    change_form_template = "admin/installations/installation/change_form.html"
    list_display = (
        column("name", "installation", lambda row: _name(row), order="application__name"),
        column("portal", "portal", lambda row: row.portal.domain, order="portal__domain"),
        column("state", "status", lambda row: join(state_badges(row)), order="status"),
        column("locks", "locks", lambda row: join(lock_badge(word) for word, _since in locks_of(row)) or "–"),
        column("scopes", "approved", lambda row: approved_words(row)),
        column("liveness", "liveness", lambda row: kept_liveness(row), order="liveness__state"),
        at("first_seen_at", "first seen"),
        at("last_seen_at", "last seen"),
    )
    list_filter = (
        "status",
        LivenessFilter,
        AskingForMoreFilter,
        ("application", NamedFilter),
        InstallationLockedFilter,
    )
    allowed_lookups = frozenset({"status__exact", "application__id__exact", "portal__id__exact"})
    search_fields = ("portal__domain", "application__app_id")
    search_help_text = "Search by portal domain or appId"
    ordering = (PENDING_FIRST, "-first_seen_at", "-pk")
    act_classes = (
        Approve,
        ApproveAlone,
        Withhold,
        Review,
        Withdraw,
        AddKey,
        RevokeAll,
        RevokeUser,
        Suspend,
        Resume,
        Lock,
        Unlock,
        StatePresent,
        Uninstall,
    )
    actions = ("approve_selected",)
    intro = (
        "An application on a portal. Those that wait for approval come first. Liveness is what the evidence said when "
        "it was judged last: how sure that is, and how old."
    )
    empty_text = (
        "No installation was seen yet. One appears when somebody opens a registered application in their portal."
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(permissions_view, self))
        own = path("<int:object_id>/permissions/", view, name="installations_installation_permissions")
        return [own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Installation]:
        return selectors.installations_with_approvals()

    def has_approve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("installations.approve_scopes")

    @admin.action(permissions=["approve"], description="Approve scopes on selected installations")
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Installation]) -> HttpResponse | None:
        return approve_many(self, request, queryset)

    def page_title(self, row: Installation) -> str:
        return installation_name(row)

    def badges(self, row: Installation) -> Sequence[Any]:
        locks = (
            format_html('{} <span class="quiet-note">since {}</span>', lock_badge(word), utc(since))
            for word, since in locks_of(row)
        )
        return [*state_badges(row), *locks]

    def audit_query(self, row: Installation) -> dict[str, Any]:
        return {"installation_id": row.pk}

    def page_context(self, request: HttpRequest, row: Installation) -> dict[str, Any]:
        in_force = selectors.approvals_in_force(row)
        observed = selectors.liveness_of(row)
        context = super().page_context(request, row)
        if request.user.has_perm("installations.view_evidence"):
            context["tables"] = [evidence_table(row, observed), *context["tables"]]
        return {
            **context,
            "badges": [*context["badges"], verdict_badge(observed.verdict)],
            "verdict": observed.verdict,
            "uninstall_url": _uninstall_url(context["acts"]) if is_suspected_now(observed) else "",
            "installation": row,
            "locks": locks_of(row),
            "review": selectors.review_scopes(row.manifest.requested_scopes, in_force, editions.read_with(row)),
            "asked_anew": selectors.asked_anew(row),
            "waiting_requests": selectors.waiting_requests(row)
            if request.user.has_perm("installations.view_approvalrequest")
            else [],
            "next_step": next_step(row, len(in_force)),
            "may_view_application": request.user.has_perm("installations.view_application"),
            "may_view_manifest": request.user.has_perm("installations.view_manifest"),
            "may_view_portal": request.user.has_perm("installations.view_portal"),
        }

    def tables(self, request: HttpRequest, row: Installation) -> Sequence[Table]:
        found = []
        if request.user.has_perm("tokens.view_oauthtoken"):
            query = f"installation__id__exact={row.pk}"
            table = tokens_table(request, row.tokens.all(), query, title="People and tokens", without="Installation")
            found.append(table)
        found += keys_table(request, row.api_keys.all(), f"installation__id__exact={row.pk}")
        if request.user.has_perm("installations.view_auditevent"):
            found.append(_history(selectors.latest_events(row.pk), f"installation_id={row.pk}"))
        others = _generations(row)
        return [*found, others] if others else found


def _uninstall_url(acts: Sequence[ActLink]) -> str:
    """Return where the removal is confirmed, for whoever may do that."""
    return next((act.url for act in acts if act.label == Uninstall.label), "")


def state_badges(row: Installation) -> list[Any]:
    """Return the status, whether a new manifest asks for more than was decided about, and whether a review is due: the
    status stays then."""
    words = "needs a decision" if row.left_to_operator else "needs re-approval"
    anew = [badge(words, "wait")] if selectors.needs_decision(row) else []
    return [status_badge(row), *anew, *_review_badge(row)]


def _review_badge(row: Any) -> list[Any]:
    """Return whether a review of what is approved is due, from what was read with the row."""
    days = [permission.review_by for permission in row.in_force if permission.review_by]
    first = min(days, default=None)
    if first is None or row.status == Installation.Status.UNINSTALLED or not is_due(first, utc_today()):
        return []
    return [badge("review overdue", "bad") if is_overdue(first, utc_today()) else badge("review due", "wait")]


def next_step(row: Installation, approved: int) -> str:
    """Return in one sentence what state the installation is in, and what that means for its users."""
    if row.status == Installation.Status.UNINSTALLED:
        return "Uninstalled: nothing of it can be used. A new launch makes the next generation, with nothing approved."
    if row.status == Installation.Status.SUSPENDED:
        return "Suspended: every call is refused until an operator resumes it."
    if locks_of(row):
        return "Locked: every call is refused until every lock that applies is taken away."
    if row.status == Installation.Status.PENDING_APPROVAL:
        return "Waits for you: every call is refused until a scope is approved. The first approval makes it active."
    if row.left_to_operator:
        return (
            "Active: the application's policy approved what it trusts the portal's administrator for. The rest grants "
            "nothing until you approve it, or keep what is approved."
        )
    if selectors.asked_anew(row):
        return (
            "Active, and the manifest asks for more than was decided about. What is approved goes on; the new scopes "
            "grant nothing until you approve them, or keep what is approved."
        )
    if not approved:
        return "Active, but nothing is approved now: every call is refused."
    return "Active: calls that an approved scope covers are passed on to Flowlu, as the user who makes them."


def approved_words(row: Any) -> Any:
    """Return `2 of 5 scopes` for a row of the list, from what was read with it."""
    asked = {_code(text) for text in row.manifest.requested_scopes}
    approved = {permission.code for permission in row.in_force}
    extra = len(approved - asked)
    words = f"{len(approved & asked)} of {plural(len(asked), 'scope')}"
    return f"{words} + {extra} not requested" if extra else words


def _code(text: str) -> str:
    scope = scopes.read(text)
    return scope.code if scope else text


def _name(row: Installation) -> Any:
    generation = f", generation {row.generation}" if row.generation > 1 else ""
    return format_html("{}{}", visible(row.application.name), generation)


def _history(events: Sequence[AuditEvent], query: str) -> Table:
    return Table(
        "History",
        ("When", "What", "Who", "Why"),
        [
            (utc(event.occurred_at), link(event, event.verb), actor_words(event), visible(event.reason or "–"))
            for event in events
        ],
        "Nothing was recorded yet.",
        more_url=list_url(AuditEvent, query),
        more="All of it in the audit trail",
    )


def _generations(row: Installation) -> Table | None:
    others = Installation.objects.filter(portal=row.portal_id, application=row.application_id).exclude(pk=row.pk)
    found = list(others.order_by("-generation")[:10])
    if not found:
        return None
    return Table(
        "Other generations",
        ("Generation", "Status", "First seen", "Uninstalled"),
        [
            (
                link(other, f"generation {other.generation}"),
                status_badge(other),
                utc(other.first_seen_at),
                utc(other.uninstalled_at),
            )
            for other in found
        ],
        "None.",
        note="A reinstall makes a new generation. Tokens and approvals of another one count for nothing here.",
    )
