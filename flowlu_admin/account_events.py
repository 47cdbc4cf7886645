"""What operators do with their own accounts, in the audit trail: allauth tells of it by its signals.

A takeover of an account begins with these. allauth commits first and tells then, so that an event may be missing after
a crash in between; it is never there for what was rolled back.
"""

from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.dispatch import Signal

from installations import audit
from installations.actors import OperatorAccount, Via, operator_actor

VERBS: dict[Signal, str] = {
    account.user_logged_in: "operator.signed_in",
    account.password_changed: "operator.password_changed",
    account.password_reset: "operator.password_reset",
    account.password_reset_code_rejected: "operator.reset_refused",
    mfa.authentication_failed: "operator.factor_refused",
    mfa.authenticator_used: "operator.factor_used",
    mfa.authenticator_added: "operator.factor_added",
    mfa.authenticator_removed: "operator.factor_removed",
    mfa.authenticator_reset: "operator.factor_renewed",
}


def connect() -> None:
    """Make every signal of VERBS an event from now on."""
    for signal, verb in VERBS.items():
        signal.connect(_record, dispatch_uid=f"flowlu_admin.{verb}")


def _record(
    signal: Signal,
    user: AbstractBaseUser,
    authenticator: Any = None,
    reauthenticated: bool = False,
    way: str = "",
    **_more: Any,
) -> None:
    account: OperatorAccount = user  # type: ignore[assignment]  # the accounts of this service are auth.User
    details: dict[str, Any] = {} if authenticator is None else {"factor": str(authenticator.type)}
    if way:
        details["way"] = way
    if signal is mfa.authenticator_used:
        details["to"] = "confirm" if reauthenticated else "sign in"
    with transaction.atomic():
        audit.append(
            operator_actor(account, Via.ADMIN),
            audit.Event(VERBS[signal], "operator", str(user.pk), details=details),
        )
