"""The list of messages: to whom, what became of each and why. No address of a webhook is shown, which is a secret."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowlu_admin.notices.models import NoticeDelivery
from flowlu_admin.notices.recipients import webhooks
from flowlu_admin.notices.shown import state_badge, told_kinds, with_what_may_be_seen
from flowlu_admin.notices.wording import problem_words
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import at, column, mono
from installations.admin.text import visible


def _to(row: NoticeDelivery) -> Any:
    if row.operator is not None:
        return visible(row.operator.get_username())
    hosts = {hook.recipient: hook.host for hook in webhooks()}
    host = hosts.get(row.recipient)
    if host is None:
        return gettext("webhook at an address that is configured no more")
    return visible(gettext("webhook at %(host)s") % {"host": host})


def _problem(row: NoticeDelivery) -> str:
    return problem_words(row.problem) or "–"


@admin.register(NoticeDelivery)
class NoticeDeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        column("number", _("notice"), lambda row: f"#{row.pk}", order="pk"),
        column("told", _("what"), told_kinds),
        column("to", _("to whom"), _to),
        column("state", _("state"), state_badge, order="state"),
        column("tries", _("tries"), lambda row: row.tries),
        column("problem", _("last problem"), _problem),
        at("created_at", _("made")),
    )
    list_filter = ("state", "channel", "daily")
    allowed_lookups = frozenset({"state__exact", "channel__exact", "daily__exact", "operator__id__exact"})
    ordering = ("-created_at", "-pk")
    can_be_exported = True
    facts = (
        column("told", _("what"), told_kinds),
        column("to", _("to whom"), _to),
        column("state", _("state"), state_badge),
        column("tries", _("tries"), lambda row: row.tries),
        column("problem", _("last problem"), _problem),
        at("created_at", _("made")),
        column("next", _("next try"), lambda row: _next(row)),
        at("ended_at", _("sent or ended")),
        column("id", _("id, the same at every try"), lambda row: mono(row.uuid)),
    )
    intro = _("Messages to operators and webhooks. Each operator chooses on a page of their own what they are told.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticeDelivery]:
        rows: QuerySet[NoticeDelivery] = super().get_queryset(request)
        return with_what_may_be_seen(rows.select_related("operator"), request.user.has_perm)


def _next(row: NoticeDelivery) -> Any:
    return at("due_at", "")(row) if row.state == NoticeDelivery.State.WAITING else "none"
