"""Approve the same scopes on many installations of one application: looked at as an exact list, then decided once."""

from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations import editions, selectors
from installations.admin.acts import ConfirmFirst, actor_of, pointing_to, where_to_confirm, with_history
from installations.admin.approval_requests import in_force_words
from installations.admin.display import Table, link, list_url, status_badge
from installations.admin.text import sentences, visible_text
from installations.approval_requests import MANY, ManyResult, approve_for_many, pin_of
from installations.errors import DomainError
from installations.forms import ApproveManyForm
from installations.models import Installation

_STOPS: Final = (
    _(
        "From their next call on, the application can do within these scopes what the user who has it open may do, on "
        "each of these installations."
    ),
    _("The first approval makes a pending installation active."),
)
_STAYS: Final = (
    _("A scope that is approved already at this level stays as it is; another level replaces the one in force."),
    _("If anything about one of these installations changed since this page was made, nothing is approved on any."),
)
_ASKS: Final = _("With four eyes on this only asks for it: another operator has to confirm it.")


def approve_many(model_admin: Any, request: HttpRequest, queryset: QuerySet[Installation]) -> HttpResponse | None:
    """Show the exact list with a form for it, or do what the form says."""
    rows = list(queryset[: MANY + 1])
    if len(rows) > MANY:
        too_many = gettext("Choose at most %(many)s installations at once.") % {"many": MANY}
        model_admin.message_user(request, too_many, messages.ERROR)
        return None
    together = _together(rows)
    if [rows] != together:
        return _choose_some(model_admin, request, together)
    confirmed = request.POST if "confirmed" in request.POST else None
    known = editions.in_force()
    review = selectors.review_scopes(rows[0].manifest.requested_scopes, [], known)
    form = ApproveManyForm(confirmed, review=review, pin=pin_of(rows, known))
    confirm_at = where_to_confirm(request)
    if form.is_bound and form.is_valid():
        try:
            if confirm_at:
                raise ConfirmFirst
            result = approve_for_many(
                installation_ids=[row.pk for row in rows],
                requested=form.cleaned_data["scopes"],
                pinned=form.cleaned_data["pinned"],
                actor=actor_of(request),
                reason=form.cleaned_data["reason"],
            )
        except DomainError as error:
            form.add_error(None, visible_text(error.public_message))
        else:
            words = (
                pointing_to(request, _words(result), result.asked.request)
                if result.asked is not None
                else with_history(request, _words(result), {"verb": "scopes.approved"})
            )
            model_admin.message_user(request, words, messages.SUCCESS)
            return None
    four_eyes = settings.FOUR_EYES == "on"
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": ngettext(
            "Approve scopes on %(count)s installation", "Approve scopes on %(count)s installations", len(rows)
        )
        % {"count": f"{len(rows):,}"},
        "back_url": list_url(Installation),
        "form": form,
        "confirm_at": confirm_at,
        "rows": rows,
        "application": rows[0].application,
        "table": _table(rows, gettext("Exactly these installations")),
        "stops": (_ASKS, *_STOPS) if four_eyes else _STOPS,
        "stays": _STAYS,
        "stops_heading": gettext("What happens"),
        "stays_heading": gettext("What does not happen"),
        "submit": gettext("Ask for it")
        if four_eyes
        else ngettext("Approve on %(count)s installation", "Approve on %(count)s installations", len(rows))
        % {"count": f"{len(rows):,}"},
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/installations/installation/approve_many.html", context)


def _together(rows: list[Installation]) -> list[list[Installation]]:
    """Return the live ones by application: what is approved at once is asked for by one manifest's application."""
    groups: dict[int, list[Installation]] = {}
    for row in rows:
        if row.status != Installation.Status.UNINSTALLED:
            groups.setdefault(row.application_id, []).append(row)
    return list(groups.values())


def _choose_some(model_admin: Any, request: HttpRequest, together: list[list[Installation]]) -> HttpResponse:
    """Show what of the selection can be approved together, each with a button that goes on with it."""
    groups = [
        (
            _table(rows, visible_text(rows[0].application)),
            rows,
            ngettext("Go on with this %(count)s installation", "Go on with these %(count)s installations", len(rows))
            % {"count": f"{len(rows):,}"},
        )
        for rows in together
    ]
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": gettext("These cannot be approved at once"),
        "back_url": list_url(Installation),
        "groups": groups,
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/installations/installation/approve_some.html", context)


def _table(rows: list[Installation], title: str) -> Table:
    return Table(
        title,
        (gettext("Installation"), gettext("Status"), gettext("Approved now")),
        [(link(row), status_badge(row), in_force_words(row)) for row in rows],
        gettext("None."),
    )


def _words(result: ManyResult) -> str:
    if result.asked is not None:
        number = result.asked.request.pk
        if not result.asked.is_new:
            return gettext("Nothing changed: the same was asked for already (request #%(number)s).") % {
                "number": number
            }
        return gettext("Asked for, not approved yet: a second operator has to confirm request #%(number)s.") % {
            "number": number
        }
    approved = ngettext("Approved on %(count)s installation.", "Approved on %(count)s installations.", result.approved)
    had = ngettext(
        "%(count)s installation had it already.", "%(count)s installations had it already.", result.unchanged
    )
    return sentences(
        approved % {"count": f"{result.approved:,}"},
        had % {"count": f"{result.unchanged:,}"} if result.unchanged else "",
    )
