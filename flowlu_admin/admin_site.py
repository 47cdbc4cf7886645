"""The console's admin site: stock Django admin, entered through allauth and, where required, a second factor."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


class OperatorAdminSite(admin.AdminSite):
    """Every page needs an active staff account; with OPERATOR_MFA=required also an enrolled second factor."""

    site_header = "Flowlu console"
    site_title = "Flowlu console"
    index_title = "What is installed, what is approved, what is stored"
    site_url = None
    enable_nav_sidebar = True

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        inner = super().admin_view(self._with_second_factor(view), cacheable)
        # Signing out must work, and must not send somebody in a circle.
        return inner

    def _with_second_factor(self, view: Any) -> Any:
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = request.user
            enrolled = settings.OPERATOR_MFA != "required" or (user.is_authenticated and is_mfa_enabled(user))
            if not enrolled and self.has_permission(request):
                messages.warning(request, "Set up a second factor first: the console requires one.")
                return redirect("mfa_index")
            response: HttpResponse = view(request, *args, **kwargs)
            return response

        checked.__name__ = getattr(view, "__name__", "view")
        for name in ("model_admin", "admin_site", "csrf_exempt"):
            if hasattr(view, name):
                setattr(checked, name, getattr(view, name))
        return checked


site = OperatorAdminSite(name="admin")
site.login = secure_admin_login(site.login)  # type: ignore[method-assign]
