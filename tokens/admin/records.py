"""Embed sessions."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import at, badge, column, link, to
from tokens.admin.tables import user_label
from tokens.models import EmbedSession, OAuthToken


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("over", "ended or over")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        is_open = Q(ended_at__isnull=True, expires_at__gt=timezone.now())
        is_open &= ~Q(oauth_token__state=OAuthToken.State.REVOKED)
        if self.value() == "open":
            return queryset.filter(is_open)
        return queryset.exclude(is_open) if self.value() == "over" else queryset


def _state(row: EmbedSession) -> Any:
    if row.ended_at:
        return badge("ended", "gone")
    if row.oauth_token.state == OAuthToken.State.REVOKED:
        return badge("cut: token revoked", "gone")
    return badge("open", "good") if row.expires_at > timezone.now() else badge("over", "gone")


@admin.register(EmbedSession)
class EmbedSessionAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", "session", lambda row: str(row)),
        column("user", "user", lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", "installation"),
        column("state", "state", _state),
        at("created_at", "opened"),
        at("last_used_at", "last used"),
        at("ended_at", "ended", empty="not ended"),
    )
    list_filter = (OpenFilter,)
    allowed_lookups = frozenset({"oauth_token__id__exact"})
    search_fields = (
        "oauth_token__portal_user__flowlu_user_id",
        "oauth_token__portal_user__name",
        "oauth_token__installation__portal__domain",
    )
    search_help_text = "Search by Flowlu user id, name or portal domain"
    ordering = ("-created_at", "-pk")
    facts = (
        column("user", "user", lambda row: link(row.oauth_token.portal_user, user_label(row.oauth_token))),
        to("oauth_token.installation", "installation"),
        to("oauth_token", "lives on"),
        column("state", "state", _state),
        at("created_at", "opened"),
        at("last_used_at", "last used"),
        at("expires_at", "ends at the latest"),
        at("ended_at", "ended", empty="not ended"),
    )
    intro = (
        "Pages that people have open. A session also ends after some time without use. To cut one, revoke its token."
    )
    empty_text = "No session was opened yet. One opens when somebody launches a registered application."

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
        return [_state(row)]
