"""Base of every model page: rows are looked at, and changed only through acts that call a verb."""

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest
from django.db.models import BigIntegerField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from installations.admin.acts import Act, CreateAct, note_refusal, offered
from installations.admin.display import Column, Table, list_url
from installations.admin.text import visible_text
from installations.models import AuditEvent


def _is_key(text: str) -> bool:
    """Return whether a text is written like the number of a row, and small enough for one."""
    # Compared by length before it is read: reading a long number takes its time.
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(BigIntegerField.MAX_BIGINT))
    return digits and int(text) <= BigIntegerField.MAX_BIGINT


class ConsoleChangeList(ChangeList):
    """A list that is named by what it holds, not by what to select in it."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        name = str(self.opts.verbose_name_plural)
        self.title = name[:1].upper() + name[1:]


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only, not when it runs
    """View only, whatever permissions an operator holds.

    Lookups that are not listed, NUL and chosen rows that are no numbers are refused with 400.
    """

    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    change_form_template = "admin/console/change_form.html"
    change_list_template = "admin/console/change_list.html"
    # Names that the address of the list may filter by. Anything else would be an oracle for columns that are not
    # shown, and the stock rule lets every own column pass.
    allowed_lookups: ClassVar[frozenset[str]] = frozenset()
    # What the page of an object says, line by line: names of fields and columns.
    facts: ClassVar[Sequence[str | Column]] = ()
    act_classes: ClassVar[Sequence[type[Act]]] = ()
    intro: ClassVar[str] = ""
    empty_text: ClassVar[str] = "Nothing here yet."

    def __init__(self, model: Any, admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        self.acts = [act(self) for act in self.act_classes]

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
        """Say that there is no such object, and not what stood in the address: a message waits in a cookie."""
        self.message_user(request, f"There is no such {opts.verbose_name}. Perhaps it is gone.", messages.WARNING)
        return HttpResponseRedirect(reverse("admin:index"))

    def action_checkbox(self, obj: Any) -> SafeString:
        """Return the box of a row. Its label, which only a screen reader says, is made of what strangers wrote."""
        label = f"Select {visible_text(str(obj))}"
        box = forms.CheckboxInput({"class": "action-select", "aria-label": label}, lambda value: False)
        return box.render(ACTION_CHECKBOX_NAME, str(obj.pk))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        simple = {
            item.parameter_name
            for item in self.list_filter
            if isinstance(item, type) and issubclass(item, admin.SimpleListFilter)
        }
        return lookup in self.allowed_lookups or lookup in simple

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConsoleChangeList

    def get_urls(self) -> list[URLPattern]:
        # Before the stock ones, which take any text for a key.
        return [*(act.url_pattern() for act in self.acts), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._note_refused_action(request)
        # PostgreSQL takes no NUL and would fail the request; nothing that is kept holds one.
        if any("\0" in value for values in request.GET.lists() for value in (values[0], *values[1])):
            raise DisallowedModelAdminLookup("A parameter of a list holds a NUL character.")
        links = [(act.url(), act.label) for act in self.acts if isinstance(act, CreateAct) and act.permitted(request)]
        context = {
            "intro": self.intro,
            "empty_text": self.empty_text,
            "list_links": links,
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

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
