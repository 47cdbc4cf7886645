"""The console's admin site: stock Django admin, entered through allauth and, where required, a second factor."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Final

from allauth.account.views import logout as account_logout
from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _

from flowlu_admin.glossary_page import glossary_view
from flowlu_admin.open_sessions import note_seen
from flowlu_admin.second_factor import what_is_missing, where_to_confirm
from installations.pasted import looks_like_credential

# Everything else that packages register (accounts, groups, second factors, social apps with their secrets) would be
# raw rows to edit; the console shows what has verbs.
# In the order in which an operator thinks of them, not by the alphabet.
SHOWN_APPS: Final = ("installations", "tokens", "flowlu_admin")
_ORDER: Final = (
    "installation",
    "review",
    "application",
    "manifest",
    "approvalrequest",
    "breakglass",
    "approvedpermission",
    "catalogueedition",
    "portal",
    "portaluser",
    "evidence",
    "auditevent",
    "oauthtoken",
    "embedsession",
    "revocation",
    "upstreamrevocation",
    "refreshattempt",
    "apikey",
    "purpose",
    "serviceclient",
    "servicecall",
    "operator",
    "invitation",
    "noticedelivery",
)

_LOOKS_LIKE_CREDENTIAL: Final = _(
    "The address of the page held what looks like a token or a key, so it was not used. Remove it from your browser's "
    "history. If it may have leaked, hand it to the desk for leaked tokens."
)


class OperatorAdminSite(admin.AdminSite):
    """Every page needs an active staff account, and a session that gave its second factor where there is one; with
    OPERATOR_MFA=required there has to be one. No page takes what looks like a credential in its address."""

    site_header = _("Flowlu console")
    site_title = _("Flowlu console")
    index_title = _("Overview")
    site_url = None

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        models = model_or_iterable if isinstance(model_or_iterable, list | tuple) else [model_or_iterable]
        shown = [model for model in models if model._meta.app_label in SHOWN_APPS]
        super().register(shown, admin_class, **options)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Lead to allauth's sign-in, the only one: Django's own asks for no second factor and counts no guesses."""
        if not request.user.is_authenticated:
            wanted = request.GET.get(REDIRECT_FIELD_NAME)
            return redirect_to_login(wanted, reverse("account_login")) if wanted else redirect("account_login")
        if not self.has_permission(request):
            raise PermissionDenied
        return redirect("admin:index")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return account_logout(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        # One page for it, with allauth's rate limit and a fresh sign-in.
        return redirect("account_change_password")

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Answer no field: none of the console asks, and it would search a list without any of its bounds."""
        raise Http404

    def where_to_confirm(self, request: HttpRequest) -> str:
        """Return where to lead whoever is about to do what needs a fresh proof of who they are, or ""."""
        return where_to_confirm(request)

    def get_urls(self) -> list[Any]:
        from flowlu_admin.notices.page import notices_view
        from flowlu_admin.search_page import search_view
        from flowlu_admin.sessions_page import sessions_view
        from flowlu_admin.state_page import state_view
        from installations.admin import saved_filters

        return [
            path("search/", self.admin_view(search_view), name="search"),
            path("glossary/", self.admin_view(glossary_view), name="glossary"),
            path("notices/", self.admin_view(notices_view), name="notices"),
            path("sessions/", self.admin_view(sessions_view), name="sessions"),
            path("state/", self.admin_view(state_view), name="state"),
            path("filters/", self.admin_view(saved_filters.save_view), name="saved_filter_save"),
            path("filters/<int:object_id>/", self.admin_view(saved_filters.open_view), name="saved_filter"),
            path(
                "filters/<int:object_id>/delete/",
                self.admin_view(saved_filters.delete_view),
                name="saved_filter_delete",
            ),
            *super().get_urls(),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super().get_app_list(request, app_label)
        found.sort(key=lambda app: SHOWN_APPS.index(app["app_label"]))
        for app in found:
            app["models"].sort(key=lambda model: _place(model["object_name"]))
            for model in app["models"]:
                entrance = getattr(self._registry[model["model"]], "entrance", None)
                if entrance:
                    model["admin_url"], model["name"] = reverse(entrance[0]), entrance[1]
        return found

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        inner = super().admin_view(self._with_second_factor(view), cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # Before the sign-in and the second factor, which would carry the address on.
            given = (text for name, values in request.GET.lists() for text in (name, *values))
            if any(map(looks_like_credential, given)):
                if request.user.is_authenticated:
                    messages.error(request, _LOOKS_LIKE_CREDENTIAL)
                return redirect(request.path)
            response: HttpResponse = inner(request, *args, **kwargs)
            return response

        return update_wrapper(guarded, inner)

    def _with_second_factor(self, view: Any) -> Callable[..., HttpResponse]:
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            missing = what_is_missing(request) if self.has_permission(request) else None
            if missing is not None:
                messages.warning(request, missing.words)
                return redirect(missing.address)
            note_seen(request)
            response: HttpResponse = view(request, *args, **kwargs)
            return response

        # Django reads these from the view that it is given.
        checked.__dict__.update(getattr(view, "__dict__", {}))
        return checked


def _place(name: str) -> int:
    name = name.lower()
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
