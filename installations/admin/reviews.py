"""The queue of reviews: approvals whose day has come and those that nobody uses, each with the evidence of its use."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import reviews
from installations.admin.base import ReadOnlyAdmin
from installations.admin.change_lists import ConsoleChangeList
from installations.admin.display import badge, column, installation_name, join, link, mono
from installations.admin.filter_counts import BOUND
from installations.admin.lists import NamedFilter
from installations.admin.records import ApprovedPermissionAdmin, approval_badge
from installations.admin.searching import by_installation, by_scope
from installations.admin.shown_reviews import ShownReview
from installations.admin.text import prose, visible, visible_text
from installations.catalogue import Risk
from installations.models import ApprovedPermission, Review
from installations.reviews import Asked

_RISK_TONE = {"high": "bad", "medium": "wait", "low": "good"}
_APPLICATION: Final = "installation__application__id__exact"
_DECISIONS = (("keep", _("Keep")), ("lower", _("Lower")), ("withdraw", _("Withdraw")))

_Filter = TypeVar("_Filter", bound=admin.ListFilter)


def review_url(row: ApprovedPermission, decision: str = "") -> str:
    """Return the address of the page where an approval is decided about, with the decision chosen."""
    chosen = {"code": row.code, "choose": decision} if decision else {}
    address = reverse("admin:installations_installation_review", kwargs={"object_id": row.installation_id})
    return f"{address}?{urlencode({**chosen, 'from': 'queue'})}"


class WaitingFilter(admin.SimpleListFilter):
    """Those that are to be decided about, unless others are asked for."""

    title = _("what")
    parameter_name = "what"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (Asked.DUE.value, gettext("due")),
            (Asked.OVERDUE.value, gettext("overdue")),
            (Asked.UNUSED.value, gettext("unused")),
            (Asked.ALL.value, gettext("every approval in force")),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": gettext("to decide")}
        yield from others

    @property
    def asked(self) -> Asked:
        """What the list is to hold; what nobody offered is the queue."""
        return next((asked for asked in Asked if asked == self.value()), Asked.TO_DECIDE)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        found = {
            Asked.DUE: reviews.due,
            Asked.OVERDUE: reviews.overdue,
            Asked.UNUSED: reviews.proposed,
            Asked.TO_DECIDE: reviews.waiting,
        }
        return queryset if self.asked is Asked.ALL else queryset.filter(found[self.asked]())


class RiskFilter(admin.SimpleListFilter):
    title = _("risk")
    parameter_name = "risk"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(risk, risk) for risk in reviews.RISKS]

    @property
    def asked(self) -> Sequence[Risk]:
        """The risks that the list is to hold; what nobody offered is all of them."""
        return [risk for risk in reviews.RISKS if risk == self.value()] or reviews.RISKS

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset if self.asked is reviews.RISKS else queryset.filter(reviews.of_risk(self.asked[0]))


class ReviewChangeList(ConsoleChangeList):
    """A page of the queue, with the use of what is on it."""

    @property
    def most_counted(self) -> int:  # type: ignore[override]  # less where each one is worked out
        return reviews.MOST_UNUSED if self._asked.proposes else BOUND

    @property
    def _asked(self) -> Asked:
        return self._filter(WaitingFilter).asked

    def _filter(self, kind: type[_Filter]) -> _Filter:
        return next(spec for spec in self.filter_specs if isinstance(spec, kind))

    @cached_property
    def parts(self) -> Sequence[QuerySet[Any]]:
        what, risk = self._filter(WaitingFilter), self._filter(RiskFilter)
        rows = self.apply_select_related(self.without(what, risk))
        # Where there is one application only there is no such filter, and the parameter is left aside unread.
        specs = (spec for spec in self.filter_specs if _APPLICATION in spec.expected_parameters())
        chosen: Iterator[dict[str, Any]] = (spec.used_parameters for spec in specs)
        application = next(chosen, {}).get(_APPLICATION)
        if not application:
            return reviews.queue(rows, what.asked, risk.asked)
        # A part with nothing of the application in it would be looked through to its end, and one with little for long.
        codes = reviews.codes_of(application)
        return reviews.queue(rows, what.asked, [each for each in risk.asked if codes[each]], codes)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = self.completed(request, list(self.result_list))

    def completed(self, request: HttpRequest, rows: list[Any]) -> list[Any]:
        may_view_purposes = request.user.has_perm("tokens.view_purpose")
        for row, line in zip(rows, reviews.lines(rows), strict=True):
            row.shown = ShownReview(line, may_view_purposes=may_view_purposes)
        return rows


def _scope(row: Any) -> SafeString:
    line = row.shown.line
    risk = badge(gettext("%(risk)s risk") % {"risk": line.risk}, _RISK_TONE[line.risk])
    title = "" if line.about.title == line.about.text else line.about.title
    return format_html(
        '{} {}<br><strong>{}</strong> <span class="quiet-note">{}</span>',
        mono(row), risk, visible(title), prose(line.about.allows),
    )  # fmt: skip


def _decide(row: Any) -> SafeString:
    line = row.shown.line
    links = [
        format_html(
            '<a href="{}" aria-label="{}">{}</a>',
            review_url(row, decision),
            gettext("%(decision)s %(scope)s of %(installation)s")
            % {
                "decision": label,
                "scope": row,
                "installation": visible_text(installation_name(row.installation)),
            },
            label,
        )
        for decision, label in _DECISIONS
        if decision != "lower" or line.lower_review
    ]
    return format_html('<span class="decide">{}</span>', join(links))


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    list_display = (
        column("installation", _("installation"), lambda row: link(row.installation)),
        column("scope", _("scope"), _scope),
        column("why", _("why it is here"), lambda row: row.shown.why),
        column("used", _("use"), lambda row: row.shown.used),
        column("decide", _("decide"), _decide),
    )
    list_display_links = None
    list_filter = (WaitingFilter, RiskFilter, ("installation__application", NamedFilter))
    counts_choices = False  # what is due or unused is worked out, and not by an index
    allowed_lookups = frozenset({_APPLICATION, "installation__id__exact"})
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("code", "installation__portal__domain", "installation__application__app_id")
    search_ways = (by_installation("installation"), by_scope)
    search_help_text = _("Search by the beginning of a portal's domain, by application or scope")
    ordering = ("review_by", "pk")
    can_be_exported = True
    not_in_files = frozenset({"decide"})  # links to where it is done
    facts = ApprovedPermissionAdmin.facts
    words_here = ("keep", "lower", "withdraw", "proposal")
    intro = _(
        "Approvals whose day of review has come, and those that nobody uses. The highest risk comes first; of each "
        "risk, those that are due by their day, then the unused ones. A proposal is gone with the next call that uses "
        "the scope. All of one installation is decided on one page."
    )
    empty_text = _("Nothing is to be reviewed. An approval appears here when its day has come, or when nobody uses it.")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ReviewChangeList]:
        return ReviewChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return reviews.in_review(Review._default_manager.get_queryset())

    def get_list_display(self, request: HttpRequest) -> Any:
        may = map(request.user.has_perm, ("installations.approve_scopes", "installations.withdraw_scopes"))
        return self.list_display if any(may) else self.list_display[:-1]

    def badges(self, row: Review) -> Sequence[Any]:
        return [approval_badge(row)]

    @property
    def view_permissions(self) -> tuple[str, ...]:
        """Return the right to see approvals, since these are the same rows, and to see what they are of."""
        return ("installations.view_approvedpermission", "installations.view_installation")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perms(self.view_permissions)
