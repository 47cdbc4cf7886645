"""The pages of signing in with a company account: away, back, and linking one's own. None is there while it is off."""

import logging
from collections.abc import Callable
from functools import wraps

from allauth.account.adapter import get_adapter
from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.account.utils import get_next_redirect_url
from allauth.decorators import rate_limit
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from flowlu_admin.oidc.accounts import (
    admit_holder,
    company_account_of,
    link_company_account,
    unlink_company_account,
)
from flowlu_admin.oidc.provider import LINK, SIGN_IN, ProviderFailed, Returned, come_back, is_on, leave
from flowlu_admin.second_factor import what_is_missing
from installations.errors import StateConflict

logger = logging.getLogger(__name__)

_Page = Callable[[HttpRequest], HttpResponse]


def _only_when_on(page: _Page) -> _Page:
    @wraps(page)
    def checked(request: HttpRequest) -> HttpResponse:
        if not is_on():
            raise Http404
        return page(request)

    return checked


@_only_when_on
@require_POST
@rate_limit(action="company", limit_get=True)  # type: ignore[untyped-decorator]  # allauth is not typed
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """Send somebody to the provider, from where they come back to sign in."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    return _leave(request, SIGN_IN, get_next_redirect_url(request))


@_only_when_on
@require_GET
@rate_limit(action="company", limit_get=True)  # type: ignore[untyped-decorator]  # allauth is not typed
def callback_page(request: HttpRequest) -> HttpResponse:
    """Sign somebody in who came back, or link what they came back with. The second factor is asked for as ever."""
    try:
        returned = come_back(request)
    except ProviderFailed as error:
        return _failed(request, error)
    try:
        if returned.process == LINK:
            return _link(request, returned)
        operator = admit_holder(holder=returned.holder)
    except StateConflict as error:
        return _refused(request, error.public_message)
    if request.user.is_authenticated:
        get_adapter(request).logout(request)
    record_authentication(request, operator, "socialaccount", provider="openid_connect")
    login = Login(user=operator, redirect_url=returned.next_url, signal_kwargs={"way": "company account"})
    response: HttpResponse = perform_login(request, login)
    return response


@_only_when_on
@reauthentication_required(app="allauth.account")  # type: ignore[untyped-decorator]  # allauth is not typed
def account_page(request: HttpRequest) -> HttpResponse:
    """Show which company account an operator has here, and let them link, unlink or give it once more."""
    own = int(str(request.user.pk))
    if request.method == "POST" and "again" in request.POST:
        return _leave(request, SIGN_IN, get_next_redirect_url(request))
    if request.method == "POST" and "link" in request.POST:
        return _leave(request, LINK)
    if request.method == "POST" and "unlink" in request.POST:
        try:
            unlink_company_account(operator_id=own, session_key=request.session.session_key)
        except StateConflict as error:
            messages.error(request, error.public_message)
        else:
            messages.success(request, gettext("The company account is unlinked."))
    if request.method == "POST":
        return redirect("account_company")
    back = get_next_redirect_url(request) or ""
    shown = {"link": company_account_of(own), "name": settings.OIDC_NAME, "back": back}
    return TemplateResponse(request, "account/company.html", shown)


def _leave(request: HttpRequest, process: str, next_url: str | None = None) -> HttpResponse:
    """Answer with a page that goes on by itself: a browser holds a redirect after a form against `form-action`."""
    try:
        address = leave(request, process, next_url)
    except ProviderFailed as error:
        return _failed(request, error)
    return TemplateResponse(request, "account/company_leave.html", {"address": address, "name": settings.OIDC_NAME})


def _link(request: HttpRequest, returned: Returned) -> HttpResponse:
    if not request.user.is_authenticated or request.user.pk != returned.operator_id or what_is_missing(request):
        return _failed(request, ProviderFailed("another_operator"))
    key = request.session.session_key
    link_company_account(operator_id=request.user.pk, holder=returned.holder, session_key=key)
    messages.success(request, gettext("The company account is linked: you can sign in with it from now on."))
    return redirect("account_company")


def _failed(request: HttpRequest, error: ProviderFailed) -> HttpResponse:
    logger.warning("Nobody came in through the OpenID provider: %s", error.code)
    words = gettext(
        "The company's sign-in gave no answer that this console can rely on, so nothing was done. Try again. If it "
        "goes on like this, tell whoever runs this console: the log says more."
    )
    return _refused(request, words)


def _refused(request: HttpRequest, words: str) -> HttpResponse:
    shown = {"words": words, "name": settings.OIDC_NAME}
    return TemplateResponse(request, "account/company_refused.html", shown, status=403)
