"""Purposes: for what backend code may act, who answers for it, and how it is used."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, Act, CreateAct, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, join, link, list_url, mono, text_of, when
from installations.admin.text import Text, visible
from installations.errors import InvalidRequest
from installations.forms import ReasonForm
from installations.seen import digest_of
from tokens import backend_use
from tokens.admin.api_keys import keys_table
from tokens.admin.service_tables import UnusedFilter, calls_table, put_on_form, unused_badge, use_chart, use_table
from tokens.forms import DeclarePurposeForm, PurposeForm, end_of, last_day_of
from tokens.models import Purpose, ServiceCall, ServiceClient
from tokens.services.purposes import change_purpose, declare_purpose, shown_of, switch_purpose


class Declare(CreateAct):
    label = _("Declare a purpose")
    permission = "tokens.manage_purpose"
    empowers = True
    form_class = DeclarePurposeForm

    def stops(self, target: Any) -> Sequence[Text]:
        return (
            gettext(
                "Backend code can name this purpose in its calls, once a service client is allowed to. Code of this "
                "service itself needs no client."
            ),
        )

    def stays(self, target: Any) -> Sequence[Text]:
        return (
            gettext("It approves nothing: each call also needs a scope that is approved for the installation."),
            gettext(
                "As a user, only what that user may do at Flowlu can be done, with a token that they handed over here."
            ),
        )

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        try:
            row = declare_purpose(
                code=values["code"],
                description=values["description"],
                scope_texts=values["scopes"],
                acts_as=values["acts_as"],
                owner=values["owner"],
                expires_at=end_of(values["last_day"]),
                enabled=values["enabled"],
                actor=actor,
                reason=values["reason"],
            )
        except InvalidRequest as error:
            put_on_form(form, error)
            raise
        return Outcome(
            gettext("The purpose %(code)s is declared. Allow it to a service client next.") % {"code": row.code},
            recorded=row,
        )


class Change(Act):
    slug = "change-purpose"
    label = _("Change")
    summary = _("What it says, which scopes it names, who answers for it, how long it goes on.")
    permission = "tokens.manage_purpose"
    empowers = True

    def form(self, request: HttpRequest, target: Purpose) -> ReasonForm:
        initial = {
            "description": target.description,
            "scopes": "\n".join(target.scopes),
            "owner": target.owner,
            "last_day": last_day_of(target.expires_at),
        }
        form = PurposeForm(posted(request), initial=initial)
        form.show(digest_of(shown_of(target)))
        return form

    def stops(self, target: Purpose) -> Sequence[Text]:
        return (
            gettext("It holds from the next call on. A scope that is left out is refused with scope_not_in_purpose."),
            gettext("A scope that is added counts for every client that may act for this purpose."),
        )

    def stays(self, target: Purpose) -> Sequence[Text]:
        return (
            gettext(
                "Its code and whom it acts as stay: clients rely on them. Declare another purpose for another use."
            ),
        )

    def perform(self, target: Purpose, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        # A day says less than a moment: what was not touched stays as it is.
        untouched = values["last_day"] == last_day_of(target.expires_at)
        try:
            changed = change_purpose(
                purpose_id=target.pk,
                description=values["description"],
                scope_texts=values["scopes"],
                owner=values["owner"],
                expires_at=target.expires_at if untouched else end_of(values["last_day"]),
                seen=values["seen"],
                actor=actor,
                reason=values["reason"],
            )
        except InvalidRequest as error:
            put_on_form(form, error)
            raise
        return Outcome.of(
            changed,
            gettext("The purpose %(code)s is changed.") % {"code": target.code},
            already=gettext("Nothing changed: it says this already."),
        )


class SwitchOn(Act):
    slug = "switch-on"
    label = _("Switch on")
    summary = _("Let its clients act for it again.")
    permission = "tokens.manage_purpose"
    empowers = True
    tone = "go"

    def applies(self, target: Purpose) -> bool:
        return not target.enabled

    def stops(self, target: Purpose) -> Sequence[Text]:
        return (
            gettext(
                "From the moment this is saved, on every worker, calls for it are let through again, as far as "
                "everything else allows them."
            ),
        )

    def stays(self, target: Purpose) -> Sequence[Text]:
        return (
            gettext(
                "Locks, and clients that are off, stay so. One that is expired stays refused until it is prolonged."
            ),
        )

    def perform(self, target: Purpose, form: ReasonForm, actor: Actor) -> Outcome:
        changed = switch_purpose(purpose_id=target.pk, on=True, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("The purpose %(code)s is on.") % {"code": target.code},
            already=gettext("Nothing changed: it was on already."),
        )


class SwitchOff(Act):
    slug = "switch-off"
    label = _("Switch off")
    summary = _("Refuse every call for it, of every client.")
    permission = "tokens.switch_off_purpose"
    tone = "stop"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")

    def applies(self, target: Purpose) -> bool:
        return target.enabled

    def stops(self, target: Purpose) -> Sequence[Text]:
        return (
            gettext(
                "From the moment this is saved, on every worker, every call for it is refused with purpose_disabled, "
                "whoever makes it."
            ),
        )

    def stays(self, target: Purpose) -> Sequence[Text]:
        return (
            gettext("Clients, API keys and tokens stay. Other purposes of the same client go on."),
            IN_FLIGHT,
        )

    def perform(self, target: Purpose, form: ReasonForm, actor: Actor) -> Outcome:
        changed = switch_purpose(purpose_id=target.pk, on=False, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("The purpose %(code)s is off. No call for it starts from now on.") % {"code": target.code},
            already=gettext("Nothing changed: it was off already."),
        )


def purpose_badge(row: Purpose) -> Any:
    if not row.enabled:
        return badge(gettext("off"), "bad")
    over = row.expires_at is not None and row.expires_at <= timezone.now()
    return badge(gettext("expired"), "bad") if over else badge(gettext("on"), "good")


@admin.register(Purpose)
class PurposeAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("purpose"), lambda row: mono(row.code), order="code"),
        column("state", _("state"), purpose_badge, order="enabled"),
        column("kind", _("acts as"), lambda row: row.get_acts_as_display(), order="acts_as"),
        column("scope_words", _("scopes"), lambda row: _scopes(row)),
        text_of("owner", _("owner")),
        column("expires", _("expires"), lambda row: when(row.expires_at, gettext("never")), order="expires_at"),
        column("used", _("calls, 30 days"), lambda row: f"{row.used:,}"),
    )
    list_filter = ("enabled", UnusedFilter, "acts_as")
    allowed_lookups = frozenset({"enabled__exact", "acts_as__exact"})
    search_fields = ("code", "description", "owner")
    ordering = ("code",)
    can_be_exported = True
    facts = (
        column("name", _("code"), lambda row: mono(row.code)),
        column("state", _("state"), purpose_badge),
        column("description", _("what for"), lambda row: visible(row.description)),
        column("kind", _("acts as"), lambda row: row.get_acts_as_display()),
        column("scope_words", _("scopes at most"), lambda row: _scopes(row)),
        text_of("owner", _("who answers for it")),
        column("expires", _("expires"), lambda row: when(row.expires_at, gettext("never"))),
        at("created_at", _("declared")),
    )
    act_classes: ClassVar = (Declare, Change, SwitchOn, SwitchOff)
    words_here = ("act-as",)
    intro = _("For what backend code may use a stored token or API key. What is not declared here is refused.")
    empty_text = _("No purpose is declared: backend code can do nothing. Declare the first one.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Purpose]:
        since = timezone.now() - timedelta(days=backend_use.USE_DAYS)
        calls = ServiceCall.objects.filter(purpose=OuterRef("pk"), at__gte=since).order_by()
        used = calls.values("purpose").annotate(number=Count("pk")).values("number")
        counted: QuerySet[Purpose] = super().get_queryset(request).annotate(used=Coalesce(Subquery(used), 0))
        return counted

    def page_title(self, row: Purpose) -> str:
        return gettext("Purpose %(code)s") % {"code": row.code}

    def badges(self, row: Purpose) -> Sequence[Any]:
        return [purpose_badge(row)]

    def audit_query(self, row: Purpose) -> dict[str, Any]:
        return {"target_kind": "purpose", "target_id": row.code}

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        context = super().page_context(request, row)
        unused = [unused_badge()] if backend_use.unused_purposes().filter(pk=row.pk).exists() else []
        calls = ServiceCall.objects.filter(purpose=row)
        return {**context, "badges": [*context["badges"], *unused], "charts": use_chart(request, calls)}

    def tables(self, request: HttpRequest, row: Purpose) -> Sequence[Table]:
        calls = ServiceCall.objects.filter(purpose=row)
        found = [*use_table(request, calls, "portal_user", title=gettext("Use per user"), without=gettext("People"))]
        found += use_table(request, calls, "service_client", title=gettext("Use per client"))
        if request.user.has_perm("tokens.view_serviceclient"):
            found.append(_clients(row))
        if row.acts_as == Purpose.ActsAs.SYSTEM:
            found += keys_table(request, row.api_keys.all(), f"purposes__id__exact={row.pk}")
        found += calls_table(
            request, calls, {"purpose__id__exact": row.pk}, title=gettext("Last calls"), without=gettext("Purpose")
        )
        return found


def _scopes(row: Purpose) -> Any:
    return join(mono(text) for text in row.scopes) or "–"


def _clients(row: Purpose) -> Table:
    return Table(
        gettext("Clients that may act for it"),
        (gettext("Client"), gettext("State"), gettext("Last used")),
        [
            (
                link(client),
                badge(gettext("on"), "good") if client.enabled else badge(gettext("off"), "bad"),
                when(client.last_used_at, gettext("never")),
            )
            for client in row.service_clients.defer("key_hash").order_by("name")[:50]
        ],
        gettext("None yet. Allow it on the page of a service client."),
        more_url=list_url(ServiceClient, f"purposes__id__exact={row.pk}"),
        more=gettext("Show in the list"),
    )
