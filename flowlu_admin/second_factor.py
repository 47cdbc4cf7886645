"""A second factor belongs to a session: the account having one proves nothing about who holds the session.

A session that was opened before its operator set one up, with a stolen password perhaps, has to give it like any other;
whoever sets up or removes a factor ends the operator's other sessions; and a factor that was removed proves nothing any
more, in this session either.
"""

import time
from dataclasses import dataclass
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY, get_authentication_records
from allauth.account.signals import password_changed, password_reset
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from flowlu_admin.factors import FACTORS, factors_of
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
    if factors_of(request.user).exists():
        back = request.get_full_path() if request.method == "GET" else ""
        return Missing(_asking(request, back), gettext("Give your second factor: this session has not yet."))
    if settings.OPERATOR_MFA == "required":
        return Missing(reverse("mfa_index"), gettext("Set up a second factor first: the console requires one."))
    return None


def where_to_confirm(request: HttpRequest) -> str:
    """Return where an operator confirms that it is still they who hold the session, or "" where they did just now.

    By the second factor, where the session gave one, else by the password; the sign-in itself counts. No statement
    where they did.
    """
    records = get_authentication_records(request, request.user)
    factors = [record for record in records if record.get("method") == _METHOD]
    proved_at = max((record.get("at", 0) for record in factors or records), default=0)
    if time.time() - proved_at < app_settings.REAUTHENTICATION_TIMEOUT:
        return ""
    return _asking(request, request.get_full_path() if request.method == "GET" else request.path)


def _asking(request: HttpRequest, back: str) -> str:
    """Return the page that asks for the first of the ways to confirm who one is, and leads back from there."""
    ways = get_adapter().get_reauthentication_methods(request.user)
    return f"{ways[0]['url']}?{urlencode({'next': back} if back else {})}"


def connect() -> None:
    """Do what belongs to a change of factors from now on."""
    signals.authenticator_added.connect(_added, dispatch_uid="flowlu_admin.factor_added")
    signals.authenticator_removed.connect(_removed, dispatch_uid="flowlu_admin.factor_removed")
    signals.authenticator_reset.connect(_renewed, dispatch_uid="flowlu_admin.factor_renewed")
    password_changed.connect(_password_changed, dispatch_uid="flowlu_admin.password_ends_sessions")
    password_reset.connect(_password_changed, dispatch_uid="flowlu_admin.new_password_ends_sessions")


def _added(request: HttpRequest, user: AbstractBaseUser, authenticator: Authenticator, **_more: Any) -> None:
    if authenticator.type not in FACTORS:
        return  # recovery codes come with the first
    # This session gave it: setting one up takes its code, or its signature.
    proof = {"method": _METHOD, "at": time.time(), "id": authenticator.pk, "type": authenticator.type}
    _keep(request, [*get_authentication_records(request, user), proof])
    end_other_sessions(user.pk, request.session.session_key)


def _removed(request: HttpRequest, user: AbstractBaseUser, authenticator: Authenticator, **_more: Any) -> None:
    if authenticator.type not in FACTORS:
        return
    left = set(Authenticator.objects.filter(user_id=user.pk).values_list("pk", flat=True))
    records = get_authentication_records(request, user)
    _keep(request, [each for each in records if each.get("method") != _METHOD or each.get("id") in left])
    end_other_sessions(user.pk, request.session.session_key)


def _renewed(request: HttpRequest, user: AbstractBaseUser, **_more: Any) -> None:
    # A session that came in with the app or a code of before may be of whoever it was renewed for.
    end_other_sessions(user.pk, request.session.session_key)


def _password_changed(request: HttpRequest, user: AbstractBaseUser, **_more: Any) -> None:
    # Django ends those that are signed in; one that gave the old password and waits for the factor would go on, and so
    # would one to which a code for another password was mailed.
    end_other_sessions(user.pk, request.session.session_key)


def _keep(request: HttpRequest, records: list[dict[str, Any]]) -> None:
    request.session[AUTHENTICATION_METHODS_SESSION_KEY] = records
