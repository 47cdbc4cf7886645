"""Portals and their users."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

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
    when,
)
from installations.admin.erasing import Erase
from installations.admin.lists import LockedFilter
from installations.admin.locks import Lock, Unlock
from installations.admin.searching import by_portal, by_user
from installations.admin.text import Text, visible, visible_text
from installations.models import Installation, Portal, PortalUser
from tokens.admin.people import sessions_table
from tokens.admin.revoke_acts import RevokePortal, RevokePortalUser
from tokens.admin.service_tables import acted_in_name_of
from tokens.admin.tables import tokens_table
from tokens.models import EmbedSession

_SHOWN = 20


def _lock(row: Any) -> Any:
    return lock_badge() if row.locked_at else "–"


@admin.register(Portal)
class PortalAdmin(ReadOnlyAdmin):
    list_display = (
        "domain",
        column("lock", _("lock"), _lock, order="locked_at"),
        column("installed", _("live installations"), lambda row: row.installed),
        at("created_at", _("first seen")),
    )
    list_filter = (LockedFilter,)
    indexed_filters = frozenset({"locked"})
    search_fields = ("domain__startswith",)
    search_help_text = _("Search by the beginning of a domain")
    ordering = ("domain",)
    can_be_exported = True
    facts = ("domain", at("created_at", _("first seen")), at("locked_at", _("locked since"), empty=_("not locked")))
    act_classes = (RevokePortal, Lock, Unlock)
    words_here = ("lock",)
    intro = _("Flowlu customers on whose portal one of the applications was opened.")
    empty_text = _("No portal was seen yet. One appears when somebody opens a registered application in it.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Portal]:
        # For each portal of the page: counted by a join, those of all portals would be counted first.
        live = Installation.objects.live().filter(portal=OuterRef("pk")).order_by().values("portal")
        installed = Coalesce(Subquery(live.annotate(rows=Count("pk")).values("rows")), 0)
        counted: QuerySet[Portal] = super().get_queryset(request).annotate(installed=installed)
        return counted

    def badges(self, row: Portal) -> Sequence[Any]:
        return [lock_badge(gettext("portal locked"))] if row.locked_at else []

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
                    gettext("Users"),
                    (gettext("User"), gettext("Name"), gettext("Role"), gettext("Last seen"), gettext("Lock")),
                    [
                        (
                            link(user, user.flowlu_user_id),
                            visible(user.name or "–"),
                            _role(user),
                            when(user.last_seen_at),
                            _lock(user),
                        )
                        for user in users
                    ],
                    gettext("Nobody was seen here yet."),
                    more_url=list_url(PortalUser, urlencode({"portal__id__exact": row.pk})),
                    more=gettext("All users of this portal"),
                )
            )
        return found


@admin.register(PortalUser)
class PortalUserAdmin(ReadOnlyAdmin):
    list_display = (
        column("user", _("Flowlu user id"), lambda row: row.flowlu_user_id, order="flowlu_user_id"),
        text_of("name", _("name")),
        to("portal", _("portal"), order="portal__domain"),
        column("role", _("role at the portal"), lambda row: _role(row), order="is_portal_admin"),
        column("lock", _("lock"), _lock, order="locked_at"),
        at("last_seen_at", _("last seen")),
    )
    list_filter = (LockedFilter, "is_portal_admin")
    indexed_filters = frozenset({"locked"})
    allowed_lookups = frozenset({"is_portal_admin__exact", "portal__id__exact"})
    list_select_related = ("portal",)
    search_fields = ("flowlu_user_id", "name", "portal__domain")
    search_ways = (by_user("pk"), by_portal("portal"))
    search_help_text = _("Search by Flowlu user id, by the beginning of a name or of the portal's domain")
    ordering = ("-last_seen_at", "-pk")
    can_be_exported = True
    facts = (
        to("portal", _("portal")),
        "flowlu_user_id",
        text_of("name", _("name")),
        column("role", _("role at the portal"), lambda row: _role(row)),
        at("first_seen_at", _("first seen")),
        at("last_seen_at", _("last seen")),
        at("locked_at", _("locked since"), empty=_("not locked")),
        at("erased_at", _("erased"), empty=_("not erased")),
    )
    act_classes = (RevokePortalUser, Lock, Unlock, Erase)
    words_here = ("portal-administrator", "lock", "erase")
    intro = _("People who opened an application, as Flowlu named them to their own token. They are no operators.")
    empty_text = _("Nobody was seen yet. People appear when they open a registered application in their portal.")

    def page_title(self, row: PortalUser) -> str:
        return gettext("%(value)s (%(flowlu_user_id)s) of %(portal)s") % {
            "value": row.name or gettext("User"),
            "flowlu_user_id": row.flowlu_user_id,
            "portal": row.portal,
        }

    def badges(self, row: PortalUser) -> Sequence[Any]:
        locked = ((gettext("user locked"), row.locked_at), (gettext("portal locked"), row.portal.locked_at))
        erased = [badge(gettext("erased"), "gone")] if row.erased_at else []
        return [*erased, *(lock_badge(word) for word, since in locked if since)]

    def audit_query(self, row: PortalUser) -> dict[str, Any]:
        return {"target_kind": "portaluser", "target_id": f"{row.portal.domain}/{row.flowlu_user_id}"}

    def tables(self, request: HttpRequest, row: PortalUser) -> Sequence[Table]:
        found = []
        if request.user.has_perm("tokens.view_oauthtoken"):
            found.append(
                tokens_table(request, row.tokens.all(), f"portal_user__id__exact={row.pk}", without=gettext("User"))
            )
        if request.user.has_perm("installations.view_installation"):
            used = Installation.objects.filter(pk__in=row.tokens.values("installation"))
            found.append(
                installations_table(
                    used, f"portal__id__exact={row.portal_id}", title=gettext("Installations they used")
                )
            )
        if request.user.has_perm("tokens.view_embedsession"):
            sessions = EmbedSession.objects.filter(oauth_token__portal_user=row)
            found.append(
                sessions_table(sessions, f"oauth_token__portal_user__id__exact={row.pk}", without=gettext("User"))
            )
        found += acted_in_name_of(request, row)
        return found


_INSTALLATIONS = _("Installations")


def installations_table(
    found: QuerySet[Installation], query: str, *, title: Text = _INSTALLATIONS, count: int = _SHOWN
) -> Table:
    """Return a table of installations with the way to all of them. One statement."""
    rows = found.select_related("portal", "application").order_by("-last_seen_at", "-pk")[:count]
    return Table(
        title,
        (gettext("Installation"), gettext("Portal"), gettext("Status"), gettext("Lock"), gettext("Last seen")),
        [
            (
                link(
                    row,
                    gettext("%(application)s, generation %(generation)s")
                    % {"application": visible_text(row.application.name), "generation": row.generation},
                ),
                link(row.portal),
                status_badge(row),
                _lock(row),
                when(row.last_seen_at),
            )
            for row in rows
        ],
        gettext("None yet. One appears when somebody opens the application in a portal."),
        more_url=list_url(Installation, query),
        more=gettext("Show in the list"),
    )


def _role(user: PortalUser) -> Any:
    return badge(gettext("portal administrator"), "plain") if user.is_portal_admin else gettext("user")
