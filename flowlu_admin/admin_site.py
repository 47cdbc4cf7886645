"""The console's admin site: stock Django admin, entered through allauth and, where required, a second factor."""

from collections.abc import Callable
from typing import Any, Final

from allauth.account.decorators import secure_admin_login
from allauth.account.views import logout as account_logout
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

# Everything else that packages register (accounts, groups, second factors, social apps with their secrets) would be
# raw rows to edit; the console shows what has verbs.
SHOWN_APPS: Final = frozenset({"installations", "tokens"})
# As an operator thinks of them, not by the alphabet.
_ORDER: Final = (
    "Installation",
    "Application",
    "Manifest",
    "ApprovedPermission",
    "Portal",
    "PortalUser",
    "Evidence",
    "AuditEvent",
    "OAuthToken",
    "EmbedSession",
    "Revocation",
    "UpstreamRevocation",
    "RefreshAttempt",
    "ApiKey",
    "Purpose",
    "ServiceClient",
    "ServiceCall",
)


class OperatorAdminSite(admin.AdminSite):
    """Every page needs an active staff account; with OPERATOR_MFA=required also an enrolled second factor."""

    site_header = "Flowlu console"
    site_title = "Flowlu console"
    index_title = "Overview"
    site_url = None

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        models = model_or_iterable if isinstance(model_or_iterable, list | tuple) else [model_or_iterable]
        shown = [model for model in models if model._meta.app_label in SHOWN_APPS]
        super().register(shown, admin_class, **options)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return secure_admin_login(super().login)(request, extra_context=extra_context)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return account_logout(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        # One page for it, with allauth's rate limit and a fresh sign-in.
        return redirect("account_change_password")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super().get_app_list(request, app_label)
        for app in found:
            app["models"].sort(key=lambda model: _place(model["object_name"]))
        return found

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(self._with_second_factor(view), cacheable)

    def _with_second_factor(self, view: Any) -> Callable[..., HttpResponse]:
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            missing = settings.OPERATOR_MFA == "required" and not is_mfa_enabled(request.user)
            if missing and self.has_permission(request):
                messages.warning(request, "Set up a second factor first: the console requires one.")
                return redirect("mfa_index")
            response: HttpResponse = view(request, *args, **kwargs)
            return response

        # Django reads these from the view that it is given.
        checked.__dict__.update(getattr(view, "__dict__", {}))
        return checked


def _place(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
