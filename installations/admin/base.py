"""Base of every model page: rows are looked at, and changed only through acts that call a verb."""

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.contrib.auth import get_permission_codename
from django.core.exceptions import BadRequest
from django.db.models import BigIntegerField, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.acts import Act, CreateAct, note_refusal, offered
from installations.admin.change_lists import ConsoleChangeList
from installations.admin.display import Column, Table, list_url
from installations.admin.list_export import export_url, url_pattern
from installations.admin.saved_filters import shown_filters
from installations.admin.searching import LONGEST, MOST_WORDS, Way, is_too_much, searched
from installations.admin.text import Text, visible_text
from installations.models import AuditEvent


def _is_key(text: str) -> bool:
    """Return whether a text is written like the number of a row, and small enough for one."""
    # Compared by length before it is read: reading a long number takes its time.
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(BigIntegerField.MAX_BIGINT))
    return digits and int(text) <= BigIntegerField.MAX_BIGINT


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only, not when it runs
    """View only, whatever permissions an operator holds.

    Lookups that are not listed, NUL and chosen rows that are no numbers are refused with 400.
    """

    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    # Django counts every choice to its end, over the whole list: see `filter_counts`.
    show_facets = admin.ShowFacets.NEVER
    change_form_template = "admin/console/change_form.html"
    change_list_template = "admin/console/change_list.html"
    # Names that the address of the list may filter by. Anything else would be an oracle for columns that are not
    # shown, and the stock rule lets every own column pass.
    allowed_lookups: ClassVar[frozenset[str]] = frozenset()
    # What the page of an object says, line by line: names of fields and columns.
    facts: ClassVar[Sequence[str | Column]] = ()
    act_classes: ClassVar[Sequence[type[Act]]] = ()
    # How a list of many rows is searched, instead of what Django makes of `search_fields`. These say that it can be.
    search_ways: ClassVar[Sequence[Way]] = ()
    # Whether filters say how many, and the parameters of those whose rows an index finds in the whole list.
    counts_choices: ClassVar[bool] = True
    indexed_filters: ClassVar[frozenset[str]] = frozenset()
    # Whether who sees the list may take it away as a file. The columns that are no data are named beside it.
    can_be_exported: ClassVar[bool] = False
    not_in_files: ClassVar[frozenset[str]] = frozenset()
    intro: ClassVar[Text] = ""
    empty_text: ClassVar[Text] = _("Nothing here yet.")
    # Keys of terms of the glossary that sentences and columns of these pages use and no heading explains.
    words_here: ClassVar[Sequence[str]] = ()

    def __init__(self, model: Any, admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        self.acts = [act(self) for act in self.act_classes]

    @property
    def view_permissions(self) -> tuple[str, ...]:
        """Return what it takes to see the list."""
        return (f"{self.opts.app_label}.{get_permission_codename('view', self.opts)}",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.facts

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": self.facts})]

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """Say that there is no such object, and not what stood in the address."""
        self.message_user(
            request,
            gettext("There is no such %(verbose_name)s. Perhaps it is gone.") % {"verbose_name": opts.verbose_name},
            messages.WARNING,
        )
        return HttpResponseRedirect(reverse("admin:index"))

    def action_checkbox(self, obj: Any) -> SafeString:
        """Return the box of a row. Its label, which only a screen reader says, is made of what strangers wrote."""
        label = gettext("Select %(obj)s") % {"obj": visible_text(str(obj))}
        # Not by Django's widget, whose template took a fifth of the time of a page.
        return format_html(
            '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">',
            ACTION_CHECKBOX_NAME, obj.pk, label,
        )  # fmt: skip

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        simple = {
            item.parameter_name
            for item in self.list_filter
            if isinstance(item, type) and issubclass(item, admin.SimpleListFilter)
        }
        return lookup in self.allowed_lookups or lookup in simple

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConsoleChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if self.search_ways:
            return searched(queryset, search_term, self.search_ways), False
        return super().get_search_results(request, queryset, search_term)

    def get_urls(self) -> list[URLPattern]:
        # Before the stock ones, which take any text for a key.
        own = [act.url_pattern() for act in self.acts]
        if self.can_be_exported:
            own.append(url_pattern(self))
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._note_refused_action(request)
        links = [(act.url(), act.label) for act in self.acts if isinstance(act, CreateAct) and act.permitted(request)]
        context = {
            "intro": self.intro,
            "words_here": self.words_here,
            "empty_text": self.empty_text,
            "list_links": links,
            **shown_filters(self, request),
            "export_url": export_url(self, request) if self.can_be_exported else "",
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        # PostgreSQL takes no NUL and would fail the request; nothing that is kept holds one.
        if any("\0" in value for values in request.GET.lists() for value in (values[0], *values[1])):
            raise DisallowedModelAdminLookup("A parameter of a list holds a NUL character.")
        if is_too_much(request.GET.get(SEARCH_VAR, "")):
            words = gettext("A list is searched for at most %(characters)s characters and %(words)s words.")
            messages.error(request, words % {"characters": LONGEST, "words": MOST_WORDS})
            raise IncorrectLookupParameters
        return super().get_changelist_instance(request)

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse | None:
        """Run the action on the chosen rows. What no box of the list holds would fail in the statement that asks."""
        if not all(map(_is_key, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise BadRequest("A chosen row is no number.")
        return super().response_action(request, *args, **kwargs)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        # An address may hold `_to_field=` with nothing behind it, which the stock page takes for a field's name.
        return super().get_object(request, object_id, from_field or None)

    def _note_refused_action(self, request: HttpRequest) -> None:
        """Record an action that was posted by an operator to whom it is not offered; Django drops it without a word."""
        name = request.POST.get("action", "")
        if request.method != "POST" or name not in (self.actions or ()) or name in self.get_actions(request):
            return
        wanted = getattr(getattr(self, name), "allowed_permissions", ["view"])[0]
        permission = f"{self.opts.app_label}.{wanted}_{self.opts.model_name}"
        chosen = [key for key in request.POST.getlist(ACTION_CHECKBOX_NAME) if _is_key(key)]
        target = (str(self.opts.model_name), ", ".join(chosen[:10]))
        note_refusal(request, permission, f"{self.opts.app_label}_{self.opts.model_name}: {name}", target)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = extra_context or {}
        if row is not None and self.has_view_permission(request, row):
            context = {**self.page_context(request, row), **context}
        return super().change_view(request, object_id, form_url, context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the audit trail: the stock history knows nothing of what verbs do."""
        row = self.get_object(request, object_id)
        query = self.audit_query(row) if row is not None else None
        if query is None or not self.has_view_permission(request, row):
            raise Http404
        return HttpResponseRedirect(list_url(AuditEvent, urlencode(query)))

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        query = self.audit_query(row)
        return {
            "title": visible_text(self.page_title(row)),
            "subtitle": None,
            "may_list": self.has_view_permission(request),
            "badges": self.badges(row),
            "words_here": self.words_here,
            "acts": offered(self.acts, request, row),
            "tables": self.tables(request, row),
            "audit_url": list_url(AuditEvent, urlencode(query))
            if query and request.user.has_perm("installations.view_auditevent")
            else "",
        }

    def page_title(self, row: Any) -> str:
        return str(row)

    def badges(self, row: Any) -> Sequence[Any]:
        """Return the states that matter most, shown under the title."""
        return ()

    def tables(self, request: HttpRequest, row: Any) -> Sequence[Table]:
        """Return rows of other models that belong to this one, as far as the operator may see them."""
        return ()

    def audit_query(self, row: Any) -> dict[str, Any] | None:
        """Return what finds the object in the audit trail, or None for one that is not a target there."""
        return None
