"""API keys of portals: pasted once, used for declared purposes, never shown."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import selectors as installation_selectors
from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, Act, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import (
    Table,
    at,
    badge,
    column,
    join,
    link,
    list_url,
    mono,
    text_of,
    to,
    when,
    when_text,
)
from installations.admin.lists import NamedFilter
from installations.admin.searching import by_installation, within
from installations.admin.text import Text, sentences, visible
from installations.errors import InvalidRequest
from installations.forms import ReasonForm
from installations.models import Installation
from tokens import backend_reads
from tokens.admin.service_tables import calls_table, put_on_form
from tokens.forms import AddKeyForm, ReplaceKeyForm, end_of
from tokens.models import ApiKey, ServiceCall
from tokens.services.api_keys import KeyText, add_api_key, confirm_key_deletion, replace_api_key, revoke_api_key

# Flowlu's own pages and those who write about them do not agree (flowlu-platform §2.1).
MENUS = (
    _("Portal Settings > API Settings"),
    _("Portal Settings > For Developers > API"),
    _("System Settings > API Settings"),
    _("Personal > All settings > API"),
)


KEY_STOPS = (
    _("From the moment this is saved, on every worker, no call through this service starts with this key."),
    _("The key is wiped. A tombstone with a keyed hash stays, so that it cannot be added again."),
)


def where_to_delete(portal: str) -> str:
    """Return what to tell the portal's administrator: only they can delete the key, and nothing else ends it."""
    return gettext(
        "At Flowlu the key stays valid until an administrator of %(portal)s deletes it there, on the page of the "
        "portal's API settings. Where that is in the menu differs: %(menus)s. Deleting it is final there too."
    ) % {"portal": portal, "menus": "; ".join(map(str, MENUS))}


class AddKey(Act):
    slug = "add-key"
    label = _("Add an API key")
    summary = _("Store a key of the portal for backend jobs that need no user.")
    permission = "tokens.manage_apikey"
    empowers = True

    def applies(self, target: Installation) -> bool:
        return target.status != Installation.Status.UNINSTALLED

    def form(self, request: HttpRequest, target: Installation) -> ReasonForm:
        in_force = installation_selectors.approvals_in_force(target)
        return AddKeyForm(posted(request), approved=[row.as_approval().scope for row in in_force])

    def stops(self, target: Installation) -> Sequence[Text]:
        return (
            gettext(
                "Backend code may act as the system on this portal: for the purposes that you choose, within the "
                "scopes that you choose and that stay approved, and only if a service client is allowed to."
            ),
            gettext("Flowlu asks no user's rights for a key. Whoever may use it can do all that the key may."),
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            gettext("The key is not tried: Flowlu documents no harmless call for that. The first real call will tell."),
            gettext("The embedded application never uses it, and it never stands in for a user's token."),
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        try:
            row = add_api_key(
                installation_id=target.pk,
                label=values["label"],
                key=KeyText(values["key"]),
                scope_texts=values["scopes"],
                purposes=values["purposes"],
                expires_at=end_of(values["last_day"]),
                actor=actor,
                reason=values["reason"],
            )
        except InvalidRequest as error:
            put_on_form(form, error)
            raise
        return Outcome(gettext("%(row)s is stored. No page shows it again.") % {"row": row}, recorded=row)

    def done(self, request: HttpRequest, target: Any, outcome: Outcome) -> HttpResponse:
        """Lead to the tab that has the key now, where the operator may see it."""
        page = super().done(request, target, outcome)
        if request.user.has_perm("tokens.view_apikey"):
            return redirect("admin:installations_installation_credentials", object_id=target.pk)
        return page


class ReplaceKey(Act):
    slug = "replace"
    label = _("Replace")
    summary = _("Store a new key in its place; the old one may stay for a while.")
    permission = "tokens.manage_apikey"
    empowers = True
    form_class = ReplaceKeyForm

    def applies(self, target: ApiKey) -> bool:
        return target.state == ApiKey.State.ACTIVE and target.replaced_by_id is None

    def stops(self, target: ApiKey) -> Sequence[Text]:
        return (
            gettext("The new key takes over label, scopes and purposes. Calls go out with it from now on."),
            gettext("The old key is refused and wiped when its time is over."),
        )

    def stays(self, target: ApiKey) -> Sequence[Text]:
        return (where_to_delete(str(target.installation.portal)),)

    def perform(self, target: ApiKey, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        try:
            row = replace_api_key(
                api_key_id=target.pk,
                key=KeyText(values["key"]),
                overlap=timedelta(seconds=values["overlap"]),
                expires_at=end_of(values["last_day"]),
                actor=actor,
                reason=values["reason"],
            )
        except InvalidRequest as error:
            put_on_form(form, error)
            raise
        return Outcome(
            gettext("%(row)s takes the place of this one. Have the old one deleted at Flowlu.") % {"row": row}
        )


class RevokeKey(Act):
    slug = "revoke"
    label = _("Revoke")
    summary = _("Wipe it here at once, for good, and say where it is deleted at Flowlu.")
    permission = "tokens.revoke_apikey"
    tone = "danger"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")

    def applies(self, target: ApiKey) -> bool:
        return target.state == ApiKey.State.ACTIVE

    def stops(self, target: ApiKey) -> Sequence[Text]:
        return KEY_STOPS

    def stays(self, target: ApiKey) -> Sequence[Text]:
        return (
            *_alive_words(target),
            where_to_delete(str(target.installation.portal)),
            gettext("Record here that it was deleted, once you were told so."),
            IN_FLIGHT,
        )

    def perform(self, target: ApiKey, form: ReasonForm, actor: Actor) -> Outcome:
        changed = revoke_api_key(api_key_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            " ".join(
                (
                    gettext("Revoked and wiped here."),
                    *_alive_words(target),
                    where_to_delete(str(target.installation.portal)),
                )
            ),
            already=gettext("Nothing changed: it was revoked already."),
        )


class ConfirmDeletion(Act):
    slug = "confirm-deletion"
    label = _("Record the deletion at Flowlu")
    summary = _("State that an administrator of the portal deleted it there.")
    permission = "tokens.revoke_apikey"

    def applies(self, target: ApiKey) -> bool:
        return target.state == ApiKey.State.REVOKED and target.deletion_confirmed_at is None

    def stops(self, target: ApiKey) -> Sequence[Text]:
        return (
            gettext(
                "It is recorded with your name that the key is deleted at Flowlu. Write who told you into the reason."
            ),
        )

    def stays(self, target: ApiKey) -> Sequence[Text]:
        return (gettext("Nothing is checked: the key is wiped here, so nobody can try it."),)

    def perform(self, target: ApiKey, form: ReasonForm, actor: Actor) -> Outcome:
        changed = confirm_key_deletion(api_key_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("Recorded: the key is deleted at Flowlu."),
            already=gettext("Nothing changed: that was recorded already."),
        )


def key_badge(row: ApiKey) -> Any:
    if row.state == ApiKey.State.REVOKED:
        return badge(str(ApiKey.Ending(row.ending).label), "gone")
    if row.expires_at and row.expires_at <= timezone.now():
        return badge(gettext("expired"), "bad")
    return badge(gettext("active, replaced"), "wait") if row.replaced_by_id else badge(gettext("active"), "good")


def deletion(row: ApiKey) -> Any:
    if row.deletion_confirmed_at:
        return format_html(
            gettext("deleted, as {operator} recorded on {when}"),
            operator=visible(row.deletion_confirmed_by),
            when=when(row.deletion_confirmed_at),
        )
    return (
        gettext("in use here")
        if row.state == ApiKey.State.ACTIVE
        else badge(gettext("not confirmed to be deleted"), "wait")
    )


def key_scopes(row: ApiKey) -> Any:
    return join((visible(text, ascii_only=True) for text in row.scopes), ", ") or "–"


def _purposes(row: ApiKey) -> Any:
    return join((link(purpose) for purpose in row.purposes.all()), ", ") or "–"


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("key"), lambda row: str(row)),
        text_of("label", _("label")),
        to("installation", _("installation")),
        column("state_word", _("state"), key_badge, order="state"),
        column("scope_words", _("scopes"), key_scopes),
        column("purpose_words", _("purposes"), _purposes),
        column("expires", _("expires"), lambda row: when(row.expires_at, gettext("never")), order="expires_at"),
        column("at_flowlu", _("at Flowlu"), deletion),
    )
    list_filter = ("state", ("installation__application", NamedFilter))
    allowed_lookups = frozenset(
        {
            "state__exact",
            "deletion_confirmed_at__isnull",
            "installation__application__id__exact",
            "installation__id__exact",
            "purposes__id__exact",
        }
    )
    search_fields = ("label", "installation__portal__domain", "installation__application__app_id")
    search_ways = (within("label"), by_installation("installation"))
    search_help_text = _("Search by a part of the label, the beginning of a portal domain, or an application")
    ordering = ("-created_at", "-pk")
    can_be_exported = True
    sortable_by = ("state_word", "expires")
    facts = (
        text_of("label", _("label")),
        to("installation", _("installation")),
        column("state_word", _("state"), key_badge),
        column("print", _("fingerprint (first 8 digits of a keyed hash)"), lambda row: mono(row.fingerprint[:8])),
        column("scope_words", _("may be used within"), key_scopes),
        column("purpose_words", _("for"), _purposes),
        column("expires", _("expires"), lambda row: when(row.expires_at, gettext("never"))),
        text_of("added_by", _("added by")),
        at("created_at", _("added")),
        at("revoked_at", _("wiped"), empty=_("not wiped")),
        column("successor", _("replaced by"), lambda row: link(row.replaced_by) if row.replaced_by else "–"),
        column("at_flowlu", _("at Flowlu"), deletion),
        column("todo", _("what is left to do"), lambda row: _todo(row)),
        column("seal", _("sealed under key"), lambda row: row.seal_key_id or gettext("nothing sealed")),
    )
    act_classes: ClassVar = (ReplaceKey, RevokeKey, ConfirmDeletion)
    words_here = ("purpose", "seal")
    intro = _(
        "Keys of portals, stored sealed, for backend jobs without a user. No page shows one, not even in part. Add "
        "one on the page of its installation."
    )
    empty_text = _("No API key is stored. Add one on the page of an installation, when a backend job needs no user.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return (
            super()
            .get_queryset(request)
            .select_related("installation__portal", "installation__application", "replaced_by")
            .prefetch_related("purposes")
            .defer("sealed_key", "replaced_by__sealed_key")
        )

    def page_title(self, row: ApiKey) -> str:
        return f"{row}: {row.label}"

    def badges(self, row: ApiKey) -> Sequence[Any]:
        return [key_badge(row)]

    def audit_query(self, row: ApiKey) -> dict[str, Any]:
        return {"target_kind": "apikey", "target_id": str(row.pk)}

    def tables(self, request: HttpRequest, row: ApiKey) -> Sequence[Table]:
        calls = ServiceCall.objects.filter(api_key=row)
        return calls_table(request, calls, {"api_key__id__exact": row.pk}, title=gettext("Calls with this key"))


def _alive_words(row: ApiKey) -> Sequence[str]:
    """Say of each key that this one replaced and that works on: to revoke the new one does not end it."""
    return tuple(
        gettext("%(older)s, which it replaced, works until %(minute)s unless you revoke it as well.")
        % {"older": older, "minute": _minute(older.expires_at)}
        for older in backend_reads.replaced_and_alive(row)
    )


def _minute(moment: datetime | None) -> str:
    return when_text(moment) if moment else gettext("it is revoked")


def _todo(row: ApiKey) -> str:
    if row.state == ApiKey.State.REVOKED and row.deletion_confirmed_at is None:
        return sentences(where_to_delete(str(row.installation.portal)), gettext("Then record it here."))
    return gettext("nothing")


_API_KEYS = _("API keys")


def keys_table(request: HttpRequest, keys: QuerySet[ApiKey], query: str, *, title: Text = _API_KEYS) -> Sequence[Table]:
    """Return API keys, those in use first, for whoever may see them. Two statements."""
    if not request.user.has_perm("tokens.view_apikey"):
        return ()
    rows = keys.defer("sealed_key").select_related("installation__portal", "installation__application")
    return [
        Table(
            title,
            (
                gettext("Key"),
                gettext("Installation"),
                gettext("State"),
                gettext("Scopes"),
                gettext("Purposes"),
                gettext("Expires"),
                gettext("At Flowlu"),
            ),
            [
                (
                    link(row, f"{row.label} (#{row.pk})"),
                    link(row.installation),
                    key_badge(row),
                    key_scopes(row),
                    _purposes(row),
                    when(row.expires_at, gettext("never")),
                    deletion(row),
                )
                for row in rows.prefetch_related("purposes").order_by("state", "-created_at", "-pk")[:20]
            ],
            gettext("None is stored. Backend code acts as users only."),
            more_url=list_url(ApiKey, query),
            more=gettext("Show in the list"),
        )
    ]
