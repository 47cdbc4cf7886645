"""Portals and their users."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import (
    Table,
    at,
    badge,
    column,
    link,
    list_url,
    lock_badge,
    status_badge,
    text_of,
    to,
    utc,
)
from installations.admin.erasing import Erase
from installations.admin.lists import LockedFilter
from installations.admin.locks import Lock, Unlock
from installations.admin.text import visible, visible_text
from installations.models import Installation, Portal, PortalUser
from tokens.admin.revoke_acts import RevokePortal, RevokePortalUser
from tokens.admin.service_tables import acted_in_name_of
from tokens.admin.tables import tokens_table

_SHOWN = 20


def _lock(row: Any) -> Any:
    return lock_badge() if row.locked_at else "–"


@admin.register(Portal)
class PortalAdmin(ReadOnlyAdmin):
    list_display = (
        "domain",
        column("lock", "lock", _lock, order="locked_at"),
        column("installed", "live installations", lambda row: row.installed),
        at("created_at", "first seen"),
    )
    list_filter = (LockedFilter,)
    search_fields = ("domain",)
    ordering = ("domain",)
    facts = ("domain", at("created_at", "first seen"), at("locked_at", "locked since", empty="not locked"))
    act_classes = (RevokePortal, Lock, Unlock)
    intro = "Flowlu customers on whose portal one of the applications was opened."
    empty_text = "No portal was seen yet. One appears when somebody opens a registered application in it."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Portal]:
        live = Count("installations", filter=~Q(installations__status=Installation.Status.UNINSTALLED))
        counted: QuerySet[Portal] = super().get_queryset(request).annotate(installed=live)
        return counted

    def badges(self, row: Portal) -> Sequence[Any]:
        return [lock_badge("portal locked")] if row.locked_at else []

    def audit_query(self, row: Portal) -> dict[str, Any]:
        return {"target_kind": "portal", "target_id": row.domain}

    def tables(self, request: HttpRequest, row: Portal) -> Sequence[Table]:
        found = []
        if request.user.has_perm("installations.view_installation"):
            found.append(installations_table(Installation.objects.filter(portal=row), f"portal__id__exact={row.pk}"))
        if request.user.has_perm("installations.view_portaluser"):
            users = list(row.users.order_by("-last_seen_at", "-pk")[:_SHOWN])
            found.append(
                Table(
                    "Users",
                    ("User", "Name", "Role", "Last seen", "Lock"),
                    [
                        (
                            link(user, user.flowlu_user_id),
                            visible(user.name or "–"),
                            _role(user),
                            utc(user.last_seen_at),
                            _lock(user),
                        )
                        for user in users
                    ],
                    "Nobody was seen here yet.",
                    more_url=list_url(PortalUser, urlencode({"portal__id__exact": row.pk})),
                    more="All users of this portal",
                )
            )
        return found


@admin.register(PortalUser)
class PortalUserAdmin(ReadOnlyAdmin):
    list_display = (
        column("user", "Flowlu user id", lambda row: row.flowlu_user_id, order="flowlu_user_id"),
        text_of("name", "name"),
        to("portal", "portal", order="portal__domain"),
        column("role", "role at the portal", lambda row: _role(row), order="is_portal_admin"),
        column("lock", "lock", _lock, order="locked_at"),
        at("last_seen_at", "last seen"),
    )
    list_filter = (LockedFilter, "is_portal_admin")
    allowed_lookups = frozenset({"is_portal_admin__exact", "portal__id__exact"})
    list_select_related = ("portal",)
    search_fields = ("flowlu_user_id", "name", "portal__domain")
    ordering = ("-last_seen_at", "-pk")
    facts = (
        to("portal", "portal"),
        "flowlu_user_id",
        text_of("name", "name"),
        column("role", "role at the portal", lambda row: _role(row)),
        at("first_seen_at", "first seen"),
        at("last_seen_at", "last seen"),
        at("locked_at", "locked since", empty="not locked"),
        at("erased_at", "erased", empty="not erased"),
    )
    act_classes = (RevokePortalUser, Lock, Unlock, Erase)
    intro = "People who opened an application, as Flowlu named them to their own token. They are no operators."
    empty_text = "Nobody was seen yet. People appear when they open a registered application in their portal."

    def page_title(self, row: PortalUser) -> str:
        return f"{row.name or 'User'} ({row.flowlu_user_id}) of {row.portal}"

    def badges(self, row: PortalUser) -> Sequence[Any]:
        locked = (("user locked", row.locked_at), ("portal locked", row.portal.locked_at))
        erased = [badge("erased", "gone")] if row.erased_at else []
        return [*erased, *(lock_badge(word) for word, since in locked if since)]

    def audit_query(self, row: PortalUser) -> dict[str, Any]:
        return {"target_kind": "portaluser", "target_id": f"{row.portal.domain}/{row.flowlu_user_id}"}

    def tables(self, request: HttpRequest, row: PortalUser) -> Sequence[Table]:
        found = []
        if request.user.has_perm("tokens.view_oauthtoken"):
            found.append(tokens_table(request, row.tokens.all(), f"portal_user__id__exact={row.pk}", without="User"))
        if request.user.has_perm("installations.view_installation"):
            used = Installation.objects.filter(pk__in=row.tokens.values("installation"))
            found.append(
                installations_table(used, f"portal__id__exact={row.portal_id}", title="Installations they used")
            )
        found += acted_in_name_of(request, row)
        return found


def installations_table(
    found: QuerySet[Installation], query: str, *, title: str = "Installations", count: int = _SHOWN
) -> Table:
    """Return a table of installations with the way to all of them. One statement."""
    rows = found.select_related("portal", "application").order_by("-last_seen_at", "-pk")[:count]
    return Table(
        title,
        ("Installation", "Portal", "Status", "Lock", "Last seen"),
        [
            (
                link(row, f"{visible_text(row.application.name)}, generation {row.generation}"),
                link(row.portal),
                status_badge(row),
                _lock(row),
                utc(row.last_seen_at),
            )
            for row in rows
        ],
        "None yet. One appears when somebody opens the application in a portal.",
        more_url=list_url(Installation, query),
        more="Show in the list",
    )


def _role(user: PortalUser) -> Any:
    return badge("portal administrator", "plain") if user.is_portal_admin else "user"
