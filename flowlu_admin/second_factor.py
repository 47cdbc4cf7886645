"""A second factor belongs to a session: the account having one proves nothing about who holds the session.

A session that was opened before its operator set one up, with a stolen password perhaps, has to give it like any other;
and whoever sets up or removes a factor ends the operator's other sessions.
"""

import time
from dataclasses import dataclass
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY, get_authentication_records
from allauth.account.signals import password_changed
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from flowlu_admin.sessions import end_other_sessions

_METHOD = "mfa"


@dataclass(frozen=True, slots=True)
class Missing:
    """Where an operator has to go before the console opens, and why."""

    address: str
    words: str


def what_is_missing(request: HttpRequest) -> Missing | None:
    """Return what a signed-in operator has to do before the console opens, or None.

    To give the factor that the account has, or to set one up where that is required. No statement where the session
    gave it.
    """
    if any(record.get("method") == _METHOD for record in get_authentication_records(request, request.user)):
        return None
    if is_mfa_enabled(request.user):
        back = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
        return Missing(f"{reverse('mfa_reauthenticate')}?{back}", "Give your second factor: this session has not yet.")
    if settings.OPERATOR_MFA == "required":
        return Missing(reverse("mfa_index"), "Set up a second factor first: the console requires one.")
    return None


def connect() -> None:
    """Do what belongs to a change of factors from now on."""
    signals.authenticator_added.connect(_added, dispatch_uid="flowlu_admin.factor_added")
    signals.authenticator_removed.connect(_removed, dispatch_uid="flowlu_admin.factor_removed")
    password_changed.connect(_password_changed, dispatch_uid="flowlu_admin.password_ends_sessions")


def _added(request: HttpRequest, user: AbstractBaseUser, authenticator: Authenticator, **_more: Any) -> None:
    if authenticator.type != Authenticator.Type.TOTP:
        return  # recovery codes come with it
    # This session gave it: setting one up takes its code.
    proof = {"method": _METHOD, "at": time.time(), "id": authenticator.pk, "type": authenticator.type}
    _keep(request, [*get_authentication_records(request, user), proof])
    end_other_sessions(user.pk, request.session.session_key)


def _removed(request: HttpRequest, user: AbstractBaseUser, authenticator: Authenticator, **_more: Any) -> None:
    if authenticator.type != Authenticator.Type.TOTP:
        return
    _keep(request, [each for each in get_authentication_records(request, user) if each.get("method") != _METHOD])
    end_other_sessions(user.pk, request.session.session_key)


def _password_changed(request: HttpRequest, user: AbstractBaseUser, **_more: Any) -> None:
    # Django ends those that are signed in; one that gave the old password and waits for the factor would go on.
    end_other_sessions(user.pk, request.session.session_key)


def _keep(request: HttpRequest, records: list[dict[str, Any]]) -> None:
    request.session[AUTHENTICATION_METHODS_SESSION_KEY] = records
