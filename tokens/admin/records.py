"""Embed sessions and the ledger of revocations."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, plural, text_of, to, utc
from installations.admin.text import visible
from tokens.admin.tables import tokens_table, user_label
from tokens.admin.upstream import cases_table
from tokens.models import EmbedSession, OAuthToken, Revocation


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


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", "revocation", lambda row: str(row)),
        column("what", "what was cut", lambda row: row.get_scope_display(), order="scope"),
        to("installation", "installation"),
        column("tokens", "tokens", lambda row: row.tokens_cut, order="tokens_cut"),
        text_of("actor_name", "who"),
        at("cut_at", "cut"),
        column("upstream_word", "at Flowlu", lambda row: row.upstream.replace("_", " "), order="upstream"),
        column("alive", "may live at Flowlu until", lambda row: _alive(row)),
    )
    list_filter = ("scope", "upstream")
    allowed_lookups = frozenset({"scope__exact", "upstream__exact", "installation__id__exact"})
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("installation__portal__domain", "installation__application__app_id", "actor_name")
    ordering = ("-cut_at", "-pk")
    facts = (
        column("facts", "what happened", lambda row: _facts(row)),
        column("flowlu", "at Flowlu", lambda row: _at_flowlu(row)),
        to("installation", "installation"),
        text_of("actor_name", "who"),
        column("reason", "why", lambda row: visible(row.reason)),
        at("cut_at", "cut"),
    )
    intro = "The ledger: what was cut here, and what is known about Flowlu's side."
    empty_text = "Nothing was revoked yet. Revoke on the page of an installation, a user or a token."

    def tables(self, request: HttpRequest, row: Revocation) -> Sequence[Table]:
        found = []
        told = row.upstream != Revocation.Upstream.NOT_POSSIBLE
        if told and request.user.has_perm("tokens.view_upstreamrevocation"):
            found.append(cases_table(row))
        if request.user.has_perm("tokens.view_oauthtoken"):
            found.append(tokens_table(request, row.tokens.all(), f"installation__id__exact={row.installation_id}"))
        return found


def _facts(row: Revocation) -> str:
    were = "was" if row.tokens_cut == 1 else "were"
    return (
        f"{plural(row.tokens_cut, 'token')} {were} cut ({row.get_scope_display()}). No call through this service "
        "started with them after that time. The secrets are wiped, and none of them can be handed in again."
    )


def _alive(row: Revocation) -> Any:
    confirmed = row.upstream == Revocation.Upstream.CONFIRMED
    return "confirmed dead" if confirmed else utc(row.possibly_alive_until, "unknown")


def _at_flowlu(row: Revocation) -> str:
    until = "Until when they are valid there is unknown: for at least one no expiry was told."
    if row.possibly_alive_until is not None:
        until = f"They may be valid there until {row.possibly_alive_until:%Y-%m-%d %H:%M} UTC."
    match row.upstream:
        case Revocation.Upstream.CONFIRMED:
            return "Flowlu confirmed for each token that was still stored that it takes it no longer."
        case Revocation.Upstream.PENDING:
            return f"Flowlu is being told and has not confirmed all of them yet. {until}"
        case Revocation.Upstream.IRREVOCABLE:
            return f"Flowlu did not confirm at least one of them, and the tries are used up. {until}"
        case Revocation.Upstream.CLOSED:
            return f"An operator closed the case of at least one of them without Flowlu's confirmation. {until}"
    return f"Nothing was revoked at Flowlu: it documents no way to. {until}"
