"""Purposes: for what backend code may act, who answers for it, and how it is used."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from installations.actors import Actor
from installations.admin.acts import FROM_COMMIT_ON, IN_FLIGHT, Act, CreateAct, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, at, badge, column, join, link, list_url, mono, text_of, utc
from installations.admin.text import visible
from installations.errors import InvalidRequest
from installations.forms import ReasonForm
from installations.seen import digest_of
from tokens import backend_reads
from tokens.admin.api_keys import keys_table
from tokens.admin.service_tables import calls_table, put_on_form, use_table
from tokens.forms import DeclarePurposeForm, PurposeForm, end_of, last_day_of
from tokens.models import Purpose, ServiceCall, ServiceClient
from tokens.services.purposes import change_purpose, declare_purpose, shown_of, switch_purpose


class Declare(CreateAct):
    label = "Declare a purpose"
    permission = "tokens.manage_purpose"
    form_class = DeclarePurposeForm

    def stops(self, target: Any) -> Sequence[str]:
        return (
            "Backend code can name this purpose in its calls, once a service client is allowed to. Code of this "
            "service itself needs no client.",
        )

    def stays(self, target: Any) -> Sequence[str]:
        return (
            "It approves nothing: each call also needs a scope that is approved for the installation.",
            "As a user, only what that user may do at Flowlu can be done, with a token that they handed over here.",
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
        return Outcome(f"The purpose {row.code} is declared. Allow it to a service client next.")


class Change(Act):
    slug = "change-purpose"
    label = "Change"
    summary = "What it says, which scopes it names, who answers for it, how long it goes on."
    permission = "tokens.manage_purpose"

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

    def stops(self, target: Purpose) -> Sequence[str]:
        return (
            "It holds from the next call on. A scope that is left out is refused with scope_not_in_purpose.",
            "A scope that is added counts for every client that may act for this purpose.",
        )

    def stays(self, target: Purpose) -> Sequence[str]:
        return ("Its code and whom it acts as stay: clients rely on them. Declare another purpose for another use.",)

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
        return Outcome.of(changed, f"The purpose {target.code} is changed.", already="it says this already")


class SwitchOn(Act):
    slug = "switch-on"
    label = "Switch on"
    summary = "Let its clients act for it again."
    permission = "tokens.manage_purpose"
    tone = "go"

    def applies(self, target: Purpose) -> bool:
        return not target.enabled

    def stops(self, target: Purpose) -> Sequence[str]:
        return (f"{FROM_COMMIT_ON} calls for it are let through again, as far as everything else allows them.",)

    def stays(self, target: Purpose) -> Sequence[str]:
        return ("Locks, and clients that are off, stay so. One that is expired stays refused until it is prolonged.",)

    def perform(self, target: Purpose, form: ReasonForm, actor: Actor) -> Outcome:
        changed = switch_purpose(purpose_id=target.pk, on=True, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(changed, f"The purpose {target.code} is on.", already="it was on already")


class SwitchOff(Act):
    slug = "switch-off"
    label = "Switch off"
    summary = "Refuse every call for it, of every client."
    permission = "tokens.switch_off_purpose"
    tone = "stop"
    stops_heading = "What stops"
    stays_heading = "What does not stop"

    def applies(self, target: Purpose) -> bool:
        return target.enabled

    def stops(self, target: Purpose) -> Sequence[str]:
        return (f"{FROM_COMMIT_ON} every call for it is refused with purpose_disabled, whoever makes it.",)

    def stays(self, target: Purpose) -> Sequence[str]:
        return (
            "Clients, API keys and tokens stay. Other purposes of the same client go on.",
            IN_FLIGHT,
        )

    def perform(self, target: Purpose, form: ReasonForm, actor: Actor) -> Outcome:
        changed = switch_purpose(purpose_id=target.pk, on=False, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            f"The purpose {target.code} is off. No call for it starts from now on.",
            already="it was off already",
        )


def purpose_badge(row: Purpose) -> Any:
    if not row.enabled:
        return badge("off", "bad")
    over = row.expires_at is not None and row.expires_at <= timezone.now()
    return badge("expired", "bad") if over else badge("on", "good")


@admin.register(Purpose)
class PurposeAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", "purpose", lambda row: mono(row.code), order="code"),
        column("state", "state", purpose_badge, order="enabled"),
        column("kind", "acts as", lambda row: row.get_acts_as_display(), order="acts_as"),
        column("scope_words", "scopes", lambda row: _scopes(row)),
        text_of("owner", "owner"),
        column("expires", "expires", lambda row: utc(row.expires_at, "never"), order="expires_at"),
        column("used", "calls, 30 days", lambda row: f"{row.used:,}"),
    )
    list_filter = ("enabled", "acts_as")
    allowed_lookups = frozenset({"enabled__exact", "acts_as__exact"})
    search_fields = ("code", "description", "owner")
    ordering = ("code",)
    facts = (
        column("name", "code", lambda row: mono(row.code)),
        column("state", "state", purpose_badge),
        column("description", "what for", lambda row: visible(row.description)),
        column("kind", "acts as", lambda row: row.get_acts_as_display()),
        column("scope_words", "scopes at most", lambda row: _scopes(row)),
        text_of("owner", "who answers for it"),
        column("expires", "expires", lambda row: utc(row.expires_at, "never")),
        at("created_at", "declared"),
    )
    act_classes: ClassVar = (Declare, Change, SwitchOn, SwitchOff)
    intro = "For what backend code may use a stored token or API key. What is not declared here is refused."
    empty_text = "No purpose is declared: backend code can do nothing. Declare the first one."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Purpose]:
        since = timezone.now() - timedelta(days=backend_reads.USE_DAYS)
        calls = ServiceCall.objects.filter(purpose=OuterRef("pk"), at__gte=since).order_by()
        used = calls.values("purpose").annotate(number=Count("pk")).values("number")
        counted: QuerySet[Purpose] = super().get_queryset(request).annotate(used=Coalesce(Subquery(used), 0))
        return counted

    def page_title(self, row: Purpose) -> str:
        return f"Purpose {row.code}"

    def badges(self, row: Purpose) -> Sequence[Any]:
        return [purpose_badge(row)]

    def audit_query(self, row: Purpose) -> dict[str, Any]:
        return {"target_kind": "purpose", "target_id": row.code}

    def tables(self, request: HttpRequest, row: Purpose) -> Sequence[Table]:
        calls = ServiceCall.objects.filter(purpose=row)
        found = [*use_table(request, calls, "portal_user", title="Use per user", without="People")]
        found += use_table(request, calls, "service_client", title="Use per client")
        if request.user.has_perm("tokens.view_serviceclient"):
            found.append(_clients(row))
        if row.acts_as == Purpose.ActsAs.SYSTEM:
            found += keys_table(request, row.api_keys.all(), f"purposes__id__exact={row.pk}")
        found += calls_table(request, calls, {"purpose__id__exact": row.pk}, title="Last calls", without="Purpose")
        return found


def _scopes(row: Purpose) -> Any:
    return join(mono(text) for text in row.scopes) or "–"


def _clients(row: Purpose) -> Table:
    return Table(
        "Clients that may act for it",
        ("Client", "State", "Last used"),
        [
            (
                link(client),
                badge("on", "good") if client.enabled else badge("off", "bad"),
                utc(client.last_used_at, "never"),
            )
            for client in row.service_clients.defer("key_hash").order_by("name")[:50]
        ],
        "None yet. Allow it on the page of a service client.",
        more_url=list_url(ServiceClient, f"purposes__id__exact={row.pk}"),
        more="Show in the list",
    )
