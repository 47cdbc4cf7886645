"""Stored tokens: who has one, in which state, and how to cut it. What they are is never shown."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.admin.acts import ConfirmFirst, actor_of, pointing_to, where_to_confirm
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, link, list_url, lock_badge, to, when
from installations.admin.lists import NamedFilter
from installations.admin.searching import by_installation, by_user
from installations.admin.text import visible_text
from installations.errors import DomainError
from installations.models import PortalUser
from tokens import selectors
from tokens.admin.leaked import leaked_view, links
from tokens.admin.refreshing import attempts_table
from tokens.admin.revoke_by import RevokeBy
from tokens.admin.revoking import STOPS, RevokeAct, pin_form, what_stays
from tokens.admin.tables import expiry, fingerprint, state_badge, user_label
from tokens.forms import RevokeForm
from tokens.models import EmbedSession, OAuthToken
from tokens.revocation_selectors import preview_revocation
from tokens.services.revocation import revoke_tokens
from tokens.targets import RevocationTarget

_AT_ONCE = 200


class RevokeOne(RevokeAct):
    slug = "revoke"
    summary = _("Cut this token, for good. Other tokens of the user stay.")

    def applies(self, target: OAuthToken) -> bool:
        return target.state != OAuthToken.State.REVOKED

    def heading(self, target: OAuthToken) -> str:
        return gettext("Revoke %(target)s of %(user_label)s on %(portal)s") % {
            "target": target,
            "user_label": user_label(target),
            "portal": target.installation.portal,
        }

    def user(self, target: OAuthToken) -> PortalUser | None:
        return target.portal_user

    def aim(self, target: OAuthToken) -> RevocationTarget:
        return RevocationTarget.of_token(target.pk)

    def command_line(self, target: OAuthToken) -> str:
        return f"--token {target.pk}"


@admin.register(OAuthToken)
class OAuthTokenAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("token"), lambda row: str(row)),
        column(
            "user", _("user"), lambda row: link(row.portal_user, user_label(row)), order="portal_user__flowlu_user_id"
        ),
        to("installation", _("installation")),
        column("state_word", _("state"), state_badge, order="state"),
        column("fingerprint", _("fingerprint"), fingerprint),
        column("expires", _("expires"), expiry, order="expires_at"),
        at("stored_at", _("stored")),
        column("open_sessions", _("sessions"), lambda row: row.open_sessions),
    )
    list_filter = ("state", ("installation__application", NamedFilter))
    indexed_filters = frozenset({"state__exact"})
    allowed_lookups = frozenset(
        {
            "state__exact",
            "installation__application__id__exact",
            "installation__id__exact",
            "portal_user__id__exact",
            "revocation__id__exact",
        }
    )
    search_fields = (
        "portal_user__flowlu_user_id",
        "portal_user__name",
        "installation__portal__domain",
        "installation__application__app_id",
    )
    search_ways = (by_user("portal_user"), by_installation("installation"))
    search_help_text = _(
        "Search by Flowlu user id, by the beginning of a name or of a portal's domain, or by application"
    )
    ordering = ("-stored_at", "-pk")
    can_be_exported = True
    sortable_by = ("state_word", "expires", "stored_at", "user")
    facts = (
        column("user", _("user"), lambda row: link(row.portal_user, user_label(row))),
        to("installation", _("installation")),
        column("state_word", _("state"), state_badge),
        column("fingerprint", _("fingerprint (first 8 digits of a keyed hash)"), fingerprint),
        column("expires", _("expires at Flowlu"), expiry),
        column(
            "refresh",
            _("refresh token"),
            lambda row: gettext("stored") if row.has_refresh_token else gettext("not stored"),
        ),
        column("pairs", _("pairs so far"), lambda row: row.generation),
        at("created_at", _("first stored")),
        at("stored_at", _("present pair stored")),
        at("stale_at", _("stale since"), empty=_("not stale")),
        at("revoked_at", _("revoked"), empty=_("not revoked")),
        column("revocation", _("revocation"), lambda row: link(row.revocation) if row.revocation else "–"),
        column("seal", _("sealed under key"), lambda row: row.seal_key_id or gettext("nothing sealed")),
    )
    act_classes: ClassVar = (RevokeOne, RevokeBy)
    actions = ["revoke_selected"]
    words_here = ("fingerprint", "stale", "seal", "unproven")
    intro = _("Tokens that are stored sealed. No page shows one, not even in part.")
    empty_text = _("No token is stored. One comes with a person who opens a registered application in their portal.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OAuthToken]:
        return selectors.tokens_with_sessions(super().get_queryset(request)).select_related("revocation")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(leaked_view)
        return [path("leaked/", view, name="tokens_oauthtoken_leaked"), *super().get_urls()]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tokens.revoke_oauthtoken")

    def page_title(self, row: OAuthToken) -> str:
        return gettext("Token #%(pk)s of %(user_label)s") % {"pk": row.pk, "user_label": user_label(row)}

    def badges(self, row: OAuthToken) -> Sequence[Any]:
        unproven = [badge(gettext("not proven yet"), "wait")] if row.needs_proof else []
        return [
            state_badge(row),
            *unproven,
            *([lock_badge(gettext("user locked"))] if row.portal_user.locked_at else []),
        ]

    def audit_query(self, row: OAuthToken) -> dict[str, Any]:
        return {"target_kind": "token", "target_id": str(row.pk)}

    def tables(self, request: HttpRequest, row: OAuthToken) -> Sequence[Table]:
        found = []
        if request.user.has_perm("tokens.view_embedsession"):
            found.append(self._sessions_table(row))
        if request.user.has_perm("tokens.view_refreshattempt"):
            found.append(attempts_table(row))
        return found

    def _sessions_table(self, row: OAuthToken) -> Table:
        sessions = list(row.sessions.defer("token_hash").order_by("-created_at", "-pk")[:20])
        return Table(
            gettext("Embed sessions"),
            (
                gettext("Session"),
                gettext("Opened"),
                gettext("Last used"),
                gettext("Ends at the latest"),
                gettext("Ended"),
            ),
            [
                (
                    link(session),
                    when(session.created_at),
                    when(session.last_used_at),
                    when(session.expires_at),
                    when(session.ended_at, gettext("not ended")),
                )
                for session in sessions
            ],
            gettext("No session lived on this token."),
            more_url=list_url(EmbedSession, f"oauth_token__id__exact={row.pk}"),
            more=gettext("Show in the list"),
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        by = next(act for act in self.acts if isinstance(act, RevokeBy))
        found = [*links(request), *([(by.url(), by.label)] if by.permitted(request) else [])]
        return super().changelist_view(request, {"list_links": found, **(extra_context or {})})

    @admin.action(permissions=["revoke"], description=_("Revoke selected tokens"))
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[OAuthToken]) -> HttpResponse | None:
        """Ask once for all that were ticked, then revoke them as one act."""
        rows = list(queryset[: _AT_ONCE + 1])
        if len(rows) > _AT_ONCE:
            message = gettext(
                "Choose at most %(at_once)s tokens at once. To cut more, use the page of an installation or portal."
            ) % {"at_once": _AT_ONCE}
            self.message_user(request, message, messages.ERROR)
            return None
        live = [row for row in rows if row.state != OAuthToken.State.REVOKED]
        if not live:
            self.message_user(request, gettext("There was nothing left to revoke."), messages.INFO)
            return None
        # What is confirmed is what was shown: the rows by their fingerprints, never "all that match".
        aim = RevocationTarget.of_fingerprints(row.access_fingerprint for row in live)
        confirmed = request.POST if "confirmed" in request.POST else None
        form = RevokeForm(confirmed, offers_drill=False, asked_at=timezone.now())
        confirm_at = where_to_confirm(request)
        if form.is_bound and form.is_valid():
            try:
                if confirm_at:
                    raise ConfirmFirst
                cut = revoke_tokens(
                    target=aim,
                    actor=actor_of(request),
                    reason=form.cleaned_data["reason"],
                    pinned=form.cleaned_data["pinned"],
                    asked_at=form.asked_at,
                )
            except DomainError as error:
                form.add_error(None, visible_text(error.public_message))
            else:
                skipped = len(rows) - len(live)
                words = ngettext(
                    "%(count)s token revoked, %(skipped)s skipped (revoked already).",
                    "%(count)s tokens revoked, %(skipped)s skipped (revoked already).",
                    cut.tokens_cut,
                ) % {"count": f"{cut.tokens_cut:,}", "skipped": skipped}
                self.message_user(request, pointing_to(request, words, cut.revocation), messages.SUCCESS)
                return None
        preview = preview_revocation(aim)
        pin_form(form, preview)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": ngettext("Revoke %(count)s selected token", "Revoke %(count)s selected tokens", len(live))
            % {"count": f"{len(live):,}"},
            "back_url": list_url(OAuthToken),
            "form": form,
            "confirm_at": confirm_at,
            "rows": live,
            "preview": preview,
            "stops": STOPS,
            "stays": what_stays(),
            "stops_heading": gettext("What stops"),
            "stays_heading": gettext("What does not stop"),
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/tokens/revoke_selected.html", context)
