"""The two pages on which somebody who was invited takes the invitation up: the code, then a name and a password."""

from typing import Final

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.decorators import rate_limit
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from flowlu_admin.forms import AcceptForm, CodeForm
from flowlu_admin.invitations import accept_invitation, hash_code, usable_invitation
from installations.admin.acts import posted
from installations.errors import InvalidRequest, StateConflict
from installations.saying import translated

# In the session, which is sealed, there is the hash only.
_IN_SESSION: Final = "invitation"


@rate_limit(action="invitation")  # type: ignore[untyped-decorator]  # allauth is not typed
def code_page(request: HttpRequest) -> HttpResponse:
    """Take the code from the body of a form: in an address it would come to logs, histories and other sites."""
    if request.user.is_authenticated:
        return TemplateResponse(request, "account/invitation_signed_in.html")
    form = CodeForm(posted(request))
    if form.is_valid():
        code_hash = hash_code(form.cleaned_data["code"])
        try:
            usable_invitation(code_hash)
        except StateConflict as error:
            form.add_error(None, translated(error.public_message))
        else:
            request.session[_IN_SESSION] = code_hash
            return redirect("account_invitation_accept")
    return TemplateResponse(request, "account/invitation.html", {"form": form})


@rate_limit(action="invitation")  # type: ignore[untyped-decorator]  # allauth is not typed
def accept_page(request: HttpRequest) -> HttpResponse:
    """Make the account, and sign in to it. Where it is required, the console asks for a second factor then."""
    if request.user.is_authenticated:
        return TemplateResponse(request, "account/invitation_signed_in.html")
    code_hash = request.session.get(_IN_SESSION, "")
    form = AcceptForm(posted(request))
    try:
        invitation = usable_invitation(code_hash)
        if form.is_valid():
            name, password = form.cleaned_data["username"], form.cleaned_data["password"]
            account = accept_invitation(code_hash=code_hash, username=name, password=password)
            del request.session[_IN_SESSION]
            return _sign_in(request, account)
    except InvalidRequest as error:
        for field, text in error.fields.items():
            form.add_error(field if field in form.fields else None, f"{translated(text)}.")
    except StateConflict as error:
        request.session.pop(_IN_SESSION, None)
        lost = CodeForm({})
        lost.errors.clear()
        lost.add_error(None, translated(error.public_message))
        return TemplateResponse(request, "account/invitation.html", {"form": lost})
    context = {"form": form, "invitation": invitation, "needs_factor": settings.OPERATOR_MFA == "required"}
    return TemplateResponse(request, "account/invitation_accept.html", context)


def _sign_in(request: HttpRequest, account: User) -> HttpResponse:
    response: HttpResponse = perform_password_login(request, {"username": account.username}, Login(user=account))
    return response
