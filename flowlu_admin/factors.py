"""What counts as a second factor, and the verbs about one's own.

An authenticator app and security keys count. Recovery codes come with the first of them, stand in for one that is not
at hand, and go with the last. Locks: the account → its factors → audit head.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from allauth.core.internal.httpkit import authenticated_user
from allauth.mfa import signals
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import flows as app_flows
from allauth.mfa.totp.internal.auth import clear_totp_secret
from allauth.mfa.utils import encrypt
from allauth.mfa.webauthn.internal import flows as key_flows
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from flowlu_admin.models import Operator
from installations import audit
from installations.actors import Via, operator_actor
from installations.errors import StateConflict
from installations.said import said

APP: Final = Authenticator.Type.TOTP
KEY: Final = Authenticator.Type.WEBAUTHN
FACTORS: Final = (APP, KEY)

LAST_FACTOR: Final = _(
    "This is your last second factor, and the console requires one. Add another one first, then remove this one. To "
    "move the authenticator app to another phone, replace it."
)
_REMOVE: Final = {APP: app_flows.deactivate_totp, KEY: key_flows.remove_authenticator}


def factors_of(user: Any) -> QuerySet[Authenticator]:
    """Return what an operator can give as a second factor, recovery codes aside."""
    rows: QuerySet[Authenticator] = Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS)
    return rows


def may_be_removed(factor: Authenticator) -> bool:
    """Return whether another factor stays, or none is required."""
    return settings.OPERATOR_MFA != "required" or factors_of(factor.user).exclude(pk=factor.pk).exists()


def add_key(*, request: HttpRequest, name: str, credential: dict[str, Any]) -> bool:
    """Make a security key that was checked one of one's own; returns whether recovery codes came with it.

    Raises ReauthenticationRequired.
    """
    with adding(request):
        _key, codes = key_flows.add_authenticator(request, name=name, credential=credential)
    return codes is not None


@contextmanager
def adding(request: HttpRequest) -> Iterator[None]:
    """Add a factor in a transaction that a reset of all factors comes before or after, never in between.

    Raises ReauthenticationRequired where the reset, or whatever else, ended the session meanwhile.
    """
    with transaction.atomic(durable=True):
        hold(authenticated_user(request))
        if not request.session.exists(request.session.session_key or ""):
            raise ReauthenticationRequired
        yield


@contextmanager
def signing_in(request: HttpRequest, factor: Authenticator) -> Iterator[bool]:
    """Sign in with a factor that was checked, in a transaction that a reset of all factors comes before or after.

    Yields whether the factor is still there. A reset that comes after finds the session, and ends it.
    """
    with transaction.atomic(durable=True):
        hold(factor.user)
        is_there = Authenticator.objects.filter(pk=factor.pk).exists()
        yield is_there
        if is_there:
            request.session.save()


def rename_key(*, request: HttpRequest, key: Authenticator, name: str) -> None:
    """Give one of one's own security keys another name. Raises ReauthenticationRequired."""
    with transaction.atomic(durable=True):
        key_flows.rename_authenticator(request, key, name)
        actor = operator_actor(authenticated_user(request), Via.ADMIN)
        told = {"factor": str(key.type)}
        audit.append(actor, audit.Event("operator.factor_renamed", "operator", actor.id, details=told))


def replace_app(*, request: HttpRequest, secret: str) -> None:
    """Put the authenticator app that has this secret in the place of the one before, and end one's other sessions.

    There is no moment without a factor, so that the last one can move to another phone. Raises
    ReauthenticationRequired, and StateConflict where there is none to replace.
    """
    raise_if_reauthentication_required(request, app="allauth.mfa")
    user = authenticated_user(request)
    with transaction.atomic(durable=True):
        hold(user)
        app = factors_of(user).filter(type=APP).first()
        if app is None:
            raise StateConflict(said("There is no authenticator app to replace."))
        app.data, app.created_at, app.last_used_at = {"secret": encrypt(secret)}, timezone.now(), None
        app.save(update_fields=["data", "created_at", "last_used_at"])
        # Which ends the other sessions.
        signals.authenticator_reset.send(sender=Authenticator, request=request, user=user, authenticator=app)
    clear_totp_secret(request)


def remove_factor(*, request: HttpRequest, factor_id: int) -> bool:
    """Take one of one's own factors away, recovery codes with the last one; returns whether it was there.

    Where a second factor is required the last one stays, also when two are removed at once. Raises
    ReauthenticationRequired, and StateConflict for the last one.
    """
    user = authenticated_user(request)
    with transaction.atomic(durable=True):
        hold(user)
        factor = factors_of(user).filter(pk=factor_id).first()
        if factor is None:
            return False
        if not may_be_removed(factor):
            raise StateConflict(str(LAST_FACTOR))
        _REMOVE[factor.type](request, factor)
    return True


def hold(user: Any) -> None:
    """Let nobody else change the factors of this account until the end of the transaction."""
    Operator.objects.select_for_update(no_key=True).get(pk=user.pk)
