"""The pages of allauth that operators use, those on which an invitation is accepted, and those of company accounts.

The others of allauth (sign-up, mail addresses, social connections, signing in with a key alone) do not exist.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as account
from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path
from django.views.generic import RedirectView

from flowlu_admin.factor_pages import (
    AddAppView,
    AddKeyView,
    EditKeyView,
    ReauthenticateKeyView,
    RemoveAppView,
    RemoveKeyView,
    ReplaceAppView,
    SecondFactorView,
)
from flowlu_admin.invitation_pages import accept_page, code_page
from flowlu_admin.oidc.pages import account_page, callback_page, sign_in_page
from flowlu_admin.second_factor import where_to_confirm
from flowlu_admin.time_zone_page import time_zone

# allauth asks for the earlier password only, which whoever sits at an open browser may know.
_confirmed = reauthentication_required(app="allauth.account")


_Page = Callable[..., HttpResponseBase]


def _forgetting(page: _Page) -> _Page:
    """Do nothing after the proof that was sent before it: a form is filled in and looked at anew (docs/adr/0040)."""

    @wraps(page)
    def without_what_was_sent(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.session.pop(STATE_SESSION_KEY, None)
        return page(request, *args, **kwargs)

    return without_what_was_sent


def _proved(page: _Page) -> _Page:
    """Let whoever has neither a password nor a factor sign in once more first: allauth asks them for nothing."""

    @wraps(page)
    def after_a_proof(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        confirm_at = where_to_confirm(request) if request.user.is_authenticated else ""
        return redirect(confirm_at) if confirm_at else page(request, *args, **kwargs)

    return after_a_proof


def _change_password(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated and not request.user.has_usable_password():
        return render(request, "account/no_password.html")
    changed: HttpResponse = account.password_change(request)
    return changed


urlpatterns = [
    path("", RedirectView.as_view(pattern_name="mfa_index", permanent=False), name="account_home"),
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("reauthenticate/", _forgetting(account.reauthenticate), name="account_reauthenticate"),
    path("password/change/", _confirmed(_change_password), name="account_change_password"),
    path("password/reset/", account.password_reset, name="account_reset_password"),
    path("password/reset/code/", account.confirm_password_reset_code, name="account_confirm_password_reset_code"),
    path("password/reset/new/", account.complete_password_reset, name="account_complete_password_reset"),
    path("password/reset/done/", account.password_reset_from_key_done, name="account_password_reset_completed"),
    path("invitation/", code_page, name="account_invitation"),
    path("invitation/account/", accept_page, name="account_invitation_accept"),
    path("company/", account_page, name="account_company"),
    path("company/login/", sign_in_page, name="account_company_sign_in"),
    path("company/callback/", callback_page, name="account_company_callback"),
    path("time-zone/", time_zone, name="account_time_zone"),
    path("2fa/", mfa.index, name="mfa_index"),
    path("2fa/authenticate/", SecondFactorView.as_view(), name="mfa_authenticate"),
    path("2fa/reauthenticate/", _forgetting(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("2fa/totp/activate/", _proved(AddAppView.as_view()), name="mfa_activate_totp"),
    path("2fa/totp/replace/", ReplaceAppView.as_view(), name="mfa_replace_totp"),
    path("2fa/totp/deactivate/", RemoveAppView.as_view(), name="mfa_deactivate_totp"),
    path("2fa/recovery-codes/", recovery_codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("2fa/recovery-codes/generate/", recovery_codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("2fa/recovery-codes/download/", recovery_codes.download_recovery_codes, name="mfa_download_recovery_codes"),
    path("2fa/webauthn/add/", _proved(AddKeyView.as_view()), name="mfa_add_webauthn"),
    path(
        "2fa/webauthn/reauthenticate/",
        _forgetting(ReauthenticateKeyView.as_view()),
        name="mfa_reauthenticate_webauthn",
    ),
    path("2fa/webauthn/keys/<int:pk>/edit/", EditKeyView.as_view(), name="mfa_edit_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/remove/", RemoveKeyView.as_view(), name="mfa_remove_webauthn"),
]
