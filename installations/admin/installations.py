"""Installations: the list of what waits and lives, and the page on which scopes are decided."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations import editions, scopes, selectors
from installations.admin.acts import ActLink
from installations.admin.approve_many import approve_many
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import (
    Table,
    at,
    badge,
    column,
    installation_name,
    join,
    link,
    lock_badge,
    locks_of,
    status_badge,
    when,
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
from installations.admin.installation_tabs import tab_links, tab_urls
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
from installations.admin.searching import by_application, by_portal
from installations.admin.text import visible
from installations.four_columns import utc_today
from installations.liveness import Verdict
from installations.models import PENDING_FIRST, Installation
from installations.review_rules import is_due, is_overdue
from tokens.admin.api_keys import AddKey


class AskingForMoreFilter(admin.SimpleListFilter):
    title = _("decision")
    parameter_name = "decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("anew", gettext("needs re-approval"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() != "anew":
            return queryset
        return selectors.installations_asking_for_more(queryset)


@admin.register(Installation)
class InstallationAdmin(ReadOnlyAdmin):
    change_form_template = "admin/installations/installation/change_form.html"
    list_display = (
        column("name", _("installation"), lambda row: _name(row), order="application__name"),
        column("portal", _("portal"), lambda row: row.portal.domain, order="portal__domain"),
        column("state", _("status"), lambda row: join(state_badges(row)), order="status"),
        column("locks", _("locks"), lambda row: join(lock_badge(word) for word, _since in locks_of(row)) or "–"),
        column("scopes", _("approved"), lambda row: approved_words(row)),
        column("liveness", _("liveness"), lambda row: kept_liveness(row), order="liveness__state"),
        at("first_seen_at", _("first seen")),
        at("last_seen_at", _("last seen")),
    )
    list_filter = (
        "status",
        LivenessFilter,
        AskingForMoreFilter,
        ("application", NamedFilter),
        InstallationLockedFilter,
    )
    indexed_filters = frozenset({"status__exact", "liveness", "locked"})
    allowed_lookups = frozenset({"status__exact", "application__id__exact", "portal__id__exact"})
    search_fields = ("portal__domain", "application__app_id")
    search_ways = (by_portal("portal"), by_application("application"))
    search_help_text = _("Search by the beginning of a portal's domain, or by appId or name of an application")
    ordering = (PENDING_FIRST, "-first_seen_at", "-pk")
    can_be_exported = True
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
    words_here = ("generation", "liveness", "lock", "withdraw")
    intro = _(
        "An application on a portal. Those that wait for approval come first. Liveness is what the evidence said when "
        "it was judged last: how sure that is, and how old."
    )
    empty_text = _(
        "No installation was seen yet. One appears when somebody opens a registered application in their portal."
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(permissions_view, self))
        own = path("<int:object_id>/permissions/", view, name="installations_installation_permissions")
        return [own, *tab_urls(self), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Installation]:
        return selectors.installations_with_approvals()

    def has_approve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("installations.approve_scopes")

    @admin.action(permissions=["approve"], description=_("Approve scopes on selected installations"))
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Installation]) -> HttpResponse | None:
        return approve_many(self, request, queryset)

    def page_title(self, row: Installation) -> str:
        return installation_name(row)

    def badges(self, row: Installation) -> Sequence[Any]:
        locks = (
            format_html(
                '{} <span class="quiet-note">{}</span>',
                lock_badge(word),
                format_html(gettext("since {when}"), when=when(since)),
            )
            for word, since in locks_of(row)
        )
        return [*state_badges(row), *locks]

    def header(self, row: Installation, verdict: Verdict | None = None) -> Sequence[Any]:
        """Return what stands above every tab: its state, its locks, and whether it is still there by the evidence."""
        verdict = selectors.liveness_of(row, count=0).verdict if verdict is None else verdict
        return [*self.badges(row), verdict_badge(verdict)]

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
            "badges": self.header(row, observed.verdict),
            "verdict": observed.verdict,
            "uninstall_url": _uninstall_url(context["acts"]) if is_suspected_now(observed) else "",
            "tabs": tab_links(request, row.pk, ""),
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
        others = _generations(row)
        return [others] if others else []


def _uninstall_url(acts: Sequence[ActLink]) -> str:
    """Return where the removal is confirmed, for whoever may do that."""
    return next((act.url for act in acts if act.label == Uninstall.label), "")


def state_badges(row: Installation) -> list[Any]:
    """Return the status, whether a new manifest asks for more than was decided about, and whether a review is due: the
    status stays then."""
    words = gettext("needs a decision") if row.left_to_operator else gettext("needs re-approval")
    anew = [badge(words, "wait")] if selectors.needs_decision(row) else []
    return [status_badge(row), *anew, *_review_badge(row)]


def _review_badge(row: Any) -> list[Any]:
    """Return whether a review of what is approved is due, from what was read with the row."""
    days = [permission.review_by for permission in row.in_force if permission.review_by]
    first = min(days, default=None)
    if first is None or row.status == Installation.Status.UNINSTALLED or not is_due(first, utc_today()):
        return []
    return [
        badge(gettext("review overdue"), "bad")
        if is_overdue(first, utc_today())
        else badge(gettext("review due"), "wait")
    ]


def next_step(row: Installation, approved: int) -> str:
    """Return in one sentence what state the installation is in, and what that means for its users."""
    if row.status == Installation.Status.UNINSTALLED:
        return gettext(
            "Uninstalled: nothing of it can be used. A new launch makes the next generation, with nothing approved."
        )
    if row.status == Installation.Status.SUSPENDED:
        return gettext("Suspended: every call is refused until an operator resumes it.")
    if locks_of(row):
        return gettext("Locked: every call is refused until every lock that applies is taken away.")
    if row.status == Installation.Status.PENDING_APPROVAL:
        return gettext(
            "Waits for you: every call is refused until a scope is approved. The first approval makes it active."
        )
    if row.left_to_operator:
        return gettext(
            "Active: the application's policy approved what it trusts the portal's administrator for. The rest grants "
            "nothing until you approve it, or keep what is approved."
        )
    if selectors.asked_anew(row):
        return gettext(
            "Active, and the manifest asks for more than was decided about. What is approved goes on; the new scopes "
            "grant nothing until you approve them, or keep what is approved."
        )
    if not approved:
        return gettext("Active, but nothing is approved now: every call is refused.")
    return gettext("Active: calls that an approved scope covers are passed on to Flowlu, as the user who makes them.")


def approved_words(row: Any) -> Any:
    """Return `2 of 5 scopes` for a row of the list, from what was read with it."""
    asked = {_code(text) for text in row.manifest.requested_scopes}
    approved = {permission.code for permission in row.in_force}
    extra = len(approved - asked)
    words = ngettext("%(approved)s of %(count)s scope", "%(approved)s of %(count)s scopes", len(asked)) % {
        "approved": len(approved & asked),
        "count": f"{len(asked):,}",
    }
    return gettext("%(words)s + %(extra)s not requested") % {"words": words, "extra": extra} if extra else words


def _code(text: str) -> str:
    scope = scopes.read(text)
    return scope.code if scope else text


def _name(row: Installation) -> Any:
    generation = gettext(", generation %(generation)s") % {"generation": row.generation} if row.generation > 1 else ""
    return format_html("{}{}", visible(row.application.name), generation)


def _generations(row: Installation) -> Table | None:
    others = Installation.objects.filter(portal=row.portal_id, application=row.application_id).exclude(pk=row.pk)
    found = list(others.order_by("-generation")[:10])
    if not found:
        return None
    return Table(
        gettext("Other generations"),
        (gettext("Generation"), gettext("Status"), gettext("First seen"), gettext("Uninstalled")),
        [
            (
                link(other, gettext("generation %(generation)s") % {"generation": other.generation}),
                status_badge(other),
                when(other.first_seen_at),
                when(other.uninstalled_at),
            )
            for other in found
        ],
        gettext("None."),
        note=gettext("A reinstall makes a new generation. Tokens and approvals of another one count for nothing here."),
    )
