"""Embed sessions."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import at, column, link, to
from installations.admin.searching import by_installation, by_user
from tokens.admin.people import session_badge
from tokens.admin.tables import user_label
from tokens.models import EmbedSession, OAuthToken


class OpenFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", gettext("open")), ("over", gettext("ended or over"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        is_open = Q(ended_at__isnull=True, expires_at__gt=timezone.now())
        is_open &= ~Q(oauth_token__state=OAuthToken.State.REVOKED)
        if self.value() == "open":
            return queryset.filter(is_open)
        return queryset.exclude(is_open) if self.value() == "over" else queryset


@admin.register(EmbedSession)
class EmbedSessionAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("session"), lambda row: str(row)),
        column("user", _("user"), lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", _("installation")),
        column("state", _("state"), session_badge),
        at("created_at", _("opened")),
        at("last_used_at", _("last used")),
        at("ended_at", _("ended"), empty=_("not ended")),
    )
    list_filter = (OpenFilter,)
    allowed_lookups = frozenset(
        {"oauth_token__id__exact", "oauth_token__installation__id__exact", "oauth_token__portal_user__id__exact"}
    )
    search_fields = (
        "oauth_token__portal_user__flowlu_user_id",
        "oauth_token__portal_user__name",
        "oauth_token__installation__portal__domain",
    )
    search_ways = (by_user("oauth_token__portal_user"), by_installation("oauth_token__installation"))
    search_help_text = _(
        "Search by Flowlu user id, by the beginning of a name or of a portal's domain, or by application"
    )
    ordering = ("-created_at", "-pk")
    can_be_exported = True
    facts = (
        column("user", _("user"), lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", _("installation")),
        to("oauth_token", _("lives on")),
        column("state", _("state"), session_badge),
        at("created_at", _("opened")),
        at("last_used_at", _("last used")),
        at("expires_at", _("ends at the latest")),
        at("ended_at", _("ended"), empty=_("not ended")),
    )
    words_here = ("launch", "integration-point")
    intro = _(
        "Pages that people have open. A session also ends after some time without use. To cut one, revoke its token."
    )
    empty_text = _("No session was opened yet. One opens when somebody launches a registered application.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[EmbedSession]:
        return (
            super()
            .get_queryset(request)
            .select_related(
                "oauth_token__portal_user__portal",
                "oauth_token__installation__portal",
                "oauth_token__installation__application",
            )
            .defer("token_hash", "oauth_token__sealed_access_token", "oauth_token__sealed_refresh_token")
        )

    def badges(self, row: EmbedSession) -> Sequence[Any]:
        return [session_badge(row)]
