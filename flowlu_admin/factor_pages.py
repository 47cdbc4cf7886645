"""allauth's pages of second factors, with the rules of this console: `flowlu_admin.factors` has them."""

from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.totp.forms import DeactivateTOTPForm
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    EditWebAuthnView,
    ReauthenticateWebAuthnView,
    RemoveWebAuthnView,
)
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views import View

from flowlu_admin.factors import APP, KEY, add_key, adding, factors_of, remove_factor, replace_app, signing_in
from installations.errors import StateConflict
from installations.saying import translated


class SecondFactorView(AuthenticateView):  # type: ignore[misc]  # allauth is not typed
    """The second factor after the password: what the account has is offered, and a recovery code in its place."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kinds = set(factors_of(self.stage.login.user).values_list("type", flat=True))
        return {**super().get_context_data(**kwargs), "has_app": APP in kinds, "has_key": KEY in kinds}

    def form_valid(self, form: Any) -> HttpResponse:
        with signing_in(self.request, form.authenticator) as is_there:
            if is_there:
                signed_in: HttpResponse = super().form_valid(form)
                return signed_in
        self.request.session.flush()  # its row went with them
        messages.error(self.request, gettext("Your second factors were taken away meanwhile. Sign in anew."))
        return redirect("account_login")


class _ShowsItsForm:
    """Show the form that was refused: allauth checks it anew, against a challenge that is made only then."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]  # mixed into a view
        return found | kwargs


class AddKeyView(_ShowsItsForm, AddWebAuthnView):  # type: ignore[misc]  # allauth is not typed
    def form_valid(self, form: Any) -> HttpResponse:
        given = form.cleaned_data
        codes = add_key(request=self.request, name=given["name"], credential=given["credential"])
        return redirect("mfa_view_recovery_codes" if codes else "mfa_index")


class EditKeyView(EditWebAuthnView):  # type: ignore[misc]  # allauth is not typed
    success_url = reverse_lazy("mfa_index")


class ReauthenticateKeyView(_ShowsItsForm, ReauthenticateWebAuthnView):  # type: ignore[misc]  # allauth is not typed
    def form_invalid(self, form: Any) -> HttpResponse:
        """Ask once more: allauth leads away from what was about to be done."""
        again: HttpResponse = self.render_to_response(self.get_context_data(form=form))
        return again


class _Removes:
    """Take the factor away, or say why it stays, which a form without fields says before it is sent."""

    request: HttpRequest
    success_url = reverse_lazy("mfa_index")

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            remove_factor(request=self.request, factor_id=form.authenticator.pk)
        except StateConflict as refused:  # another one went in between
            form.add_error(None, translated(refused.public_message))
            return self.form_invalid(form)  # type: ignore[attr-defined, no-any-return]  # mixed into a view
        return redirect(str(self.success_url))


class RemoveAppView(_Removes, DeactivateTOTPView):  # type: ignore[misc]  # allauth is not typed
    pass


class RemoveKeyView(_Removes, RemoveWebAuthnView):  # type: ignore[misc]  # allauth is not typed
    form_class = DeactivateTOTPForm  # asks the adapter whether the factor may go; nothing in it is about an app

    def get_form_kwargs(self) -> dict[str, Any]:
        return {"data": {}, **super().get_form_kwargs(), "authenticator": self.object}


class AddAppView(ActivateTOTPView):  # type: ignore[misc]  # allauth is not typed
    def form_valid(self, form: Any) -> HttpResponseBase:
        with adding(self.request):
            added: HttpResponseBase = super().form_valid(form)
        return added


@method_decorator(reauthentication_required(app="allauth.mfa"), name="dispatch")
class ReplaceAppView(ActivateTOTPView):  # type: ignore[misc]  # allauth is not typed
    template_name = "mfa/totp/replace_form.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not factors_of(request.user).filter(type=APP).exists():
            return redirect("mfa_activate_totp")
        return View.dispatch(self, request, *args, **kwargs)  # allauth's own leads away whoever has an app

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            replace_app(request=self.request, secret=form.secret)
        except StateConflict:  # it was taken away meanwhile
            return redirect("mfa_activate_totp")
        messages.success(self.request, gettext("The authenticator app was replaced. The earlier one counts no more."))
        return redirect(reverse("mfa_index"))
