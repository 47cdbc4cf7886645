"""An operator's own page: what they are told, and how; a test to themselves; what was sent to them last."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from flowlu_admin.notices.kinds import CHOSEN, RULES, How, Kind, how_told, is_silenced, may_see
from flowlu_admin.notices.models import NoticeDelivery
from flowlu_admin.notices.recipients import choices_of
from flowlu_admin.notices.shown import state_badge, told_kinds, with_what_may_be_seen
from flowlu_admin.notices.telling import choose_notices, send_test
from flowlu_admin.notices.wording import problem_words
from installations.admin.acts import ConfirmFirst, actor_of, history_of_own, where_to_confirm, with_history
from installations.admin.display import Table, when
from installations.admin.text import sentences, translated
from installations.errors import RateLimited

_WORDS = [(How.AT_ONCE, _("at once")), (How.DAILY, _("once a day")), (How.OFF, _("not at all"))]
_LAST = 10


class ChoicesForm(forms.Form):
    """How somebody is told of each kind that they may see."""

    def __init__(self, kinds: Iterable[Kind], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in kinds:
            self.fields[kind] = forms.ChoiceField(
                choices=_WORDS,
                widget=forms.RadioSelect,
                label=translated(RULES[kind].label),
                help_text=translated(RULES[kind].about),
                required=True,
            )


def notices_view(request: HttpRequest) -> HttpResponse:
    """Show the operator's choices and keep what they choose; `act=test` sends them a test instead."""
    operator = request.user
    assert isinstance(operator, User)  # noqa: S101 - the site asks for a sign-in first
    if request.method == "POST" and request.POST.get("act") == "test":
        _test(request, operator)
        return redirect("admin:notices")
    may = operator.has_perm
    kinds: list[Kind] = [kind for kind in CHOSEN if may_see(kind, may)]
    chosen = choices_of(operator)
    now = {kind: how_told(kind, may, chosen) for kind in kinds}
    form = ChoicesForm(
        kinds, request.POST if request.method == "POST" else None, initial=now, use_required_attribute=False
    )
    confirm_at = ""
    if request.method == "POST" and form.is_valid():
        # Whoever has the session would otherwise see to it first that the operator hears of nothing.
        if any(is_silenced(kind, now[kind], How(form.cleaned_data[kind])) for kind in kinds):
            confirm_at = where_to_confirm(request)
        if confirm_at:
            form.add_error(None, translated(ConfirmFirst.public_message))
    if request.method == "POST" and form.is_valid():
        choices = {kind: How(form.cleaned_data[kind]) for kind in kinds}
        changed = choose_notices(operator=operator, choices=choices, actor=actor_of(request))
        if changed:
            words = with_history(request, gettext("What you are told is changed."), history_of_own(request))
            messages.success(request, words)
        else:
            messages.info(request, gettext("Nothing changed."))
        return redirect("admin:notices")
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("What you are told"),
        "form": form,
        "confirm_at": confirm_at,
        "address": operator.email,
        "sends_mail": settings.SENDS_MAIL,
        "digest_hour": f"{settings.NOTICE_DIGEST_HOUR:02}:00",
        "pause": settings.NOTICE_PAUSE_MINUTES,
        "last": _last(operator),
    }
    return TemplateResponse(request, "admin/notices.html", context)


def _test(request: HttpRequest, operator: User) -> None:
    if not (operator.email and settings.SENDS_MAIL):
        messages.error(request, gettext("No test was sent: this page says what is missing."))
        return
    try:
        delivery = send_test(operator=operator)
    except RateLimited:
        messages.error(request, gettext("You sent yourself several tests already. Wait up to an hour, then try again."))
        return
    if delivery.state == NoticeDelivery.State.SENT:
        messages.success(request, gettext("A test was sent. If it does not arrive, look among unwanted mail."))
    elif delivery.problem:
        messages.error(
            request,
            sentences(gettext("The test was not sent."), problem_words(delivery.problem)),
        )
    else:
        messages.success(request, gettext("A test is on its way. Look at this page again in a minute."))


def _last(operator: User) -> Table:
    rows = with_what_may_be_seen(NoticeDelivery.objects.filter(operator=operator), operator.has_perm)[:_LAST]
    return Table(
        gettext("What was sent to you last"),
        (gettext("What"), gettext("When"), gettext("State"), gettext("Problem")),
        [
            (told_kinds(row), when(row.created_at), state_badge(row), translated(problem_words(row.problem)) or "–")
            for row in rows
        ],
        gettext("Nothing yet."),
    )
