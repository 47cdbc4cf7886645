"""Verbs about invitations: invite somebody by mail, send it again, withdraw it, and accept it once.

The code is 256 random bits. It is in the mail and in the body of the form that its holder sends, in no address that a
server sees and in no row. Nobody is invited to more than who invites may, then and at the moment of accepting. Locks
are taken in the order the account of who acts → the invitation → audit head.
"""

import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from flowlu_admin.granting import MANAGE, named_groups, require_all_of, require_still_active
from flowlu_admin.invitation_mail import mail_invitation
from flowlu_admin.models import Invitation, Operator
from flowlu_admin.new_accounts import NAME, new_account
from installations import audit
from installations.actors import Actor, ActorKind, Via, clean_reason, operator_actor
from installations.errors import InvalidRequest, NotPermitted, StateConflict
from installations.said import said

logger = logging.getLogger(__name__)

_NO_MAIL = said(
    "This service sends no mail yet, so nobody can be invited. Set EMAIL_HOST and PUBLIC_URL, or make the account "
    "with manage.py create_operator."
)
_OVER = said(
    "This invitation cannot be used: the code is not whole, or it was used, withdrawn or replaced by a newer one, or "
    "its time is over. Ask whoever invited you to send it again."
)


@dataclass(frozen=True, slots=True)
class Invited:
    invitation: Invitation
    mailed: bool


def hash_code(code: str) -> str:
    """Return the form in which a code is stored."""
    return sha256(code.strip().encode()).hexdigest()


def invite_operator(*, email: str, groups: Collection[str], actor: Actor, reason: str) -> Invited:
    """Invite somebody to make themselves an account in these groups, and mail them how.

    Where the mail server does not take it, the invitation waits to be sent again. Raises NotPermitted, also where a
    group may more than who invites, ReasonRequired, InvalidRequest, and StateConflict where no mail can be sent, a
    group does not exist, or an operator or an open invitation has the address.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    _check_mail_is_set_up()
    address = _clean_address(email)
    code = secrets.token_urlsafe(32)
    try:
        with transaction.atomic(durable=True):
            inviter = _hold(actor)
            wanted = named_groups(groups)
            for group in wanted.values():
                require_all_of(group, actor)
            _check_is_new(address)
            invitation = Invitation.objects.create(
                email=address,
                groups=sorted(wanted),
                code_hash=hash_code(code),
                invited_by=inviter,
                expires_at=_end(),
            )
            audit.append(actor, _event("invitation.made", invitation, why, groups=invitation.groups))
    except IntegrityError:  # of two at once, the second one
        raise StateConflict(_invited_already()) from None
    return _mail(invitation, code)


def send_invitation_again(*, invitation_id: int, actor: Actor, reason: str) -> Invited:
    """Mail a new code, from now on for as long as a new invitation; the old one opens nothing any more.

    Raises NotPermitted, ReasonRequired, and StateConflict where no mail can be sent or it was accepted or withdrawn.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    _check_mail_is_set_up()
    code = secrets.token_urlsafe(32)
    with transaction.atomic(durable=True):
        inviter = _hold(actor)
        invitation = _open(invitation_id)
        for group in named_groups(invitation.groups).values():
            require_all_of(group, actor)
        # Who sends it answers for it from now on.
        invitation.invited_by, invitation.code_hash = inviter, hash_code(code)
        invitation.expires_at, invitation.mailed_at = _end(), None
        invitation.save(update_fields=["invited_by", "code_hash", "expires_at", "mailed_at"])
        audit.append(actor, _event("invitation.sent_again", invitation, why))
    return _mail(invitation, code)


def withdraw_invitation(*, invitation_id: int, actor: Actor, reason: str) -> bool:
    """Let nobody use an invitation, from the commit on. Returns whether that changed anything.

    Raises NotPermitted, ReasonRequired, and StateConflict for one that was accepted, or none.
    """
    actor.require(MANAGE)
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        _hold(actor)
        found = Invitation.objects.select_for_update(no_key=True).filter(pk=invitation_id).first()
        if found is not None and found.state == Invitation.State.WITHDRAWN:
            return False
        invitation = _open(invitation_id)
        _withdraw(invitation)
        audit.append(actor, _event("invitation.withdrawn", invitation, why))
    return True


def withdraw_invitations_of(operator: Operator, why: str) -> list[audit.Event]:
    """Withdraw what an operator invited to and nobody accepted; returns the events, for the caller to append.

    Part of a verb: call it inside its transaction, before it appends.
    """
    waiting = Invitation.objects.select_for_update(no_key=True).filter(invited_by=operator, code_hash__isnull=False)
    events = []
    for invitation in waiting.order_by("pk"):
        _withdraw(invitation)
        events.append(_event("invitation.withdrawn", invitation, why))
    return events


def usable_invitation(code_hash: str) -> Invitation:
    """Return the invitation that a code opens now; raises StateConflict in the same words for every other one."""
    found = Invitation.objects.filter(code_hash=code_hash, expires_at__gt=timezone.now()).first()
    if found is None:
        raise StateConflict(_OVER)
    return found


def accept_invitation(*, code_hash: str, username: str, password: str) -> User:
    """Make the account that an invitation stands for. It is used then, for good.

    Raises StateConflict for an invitation that cannot be used, in the same words whatever the reason, and
    InvalidRequest for a name that is taken or no good, and for a password that is too weak.
    """
    known = Invitation.objects.filter(code_hash=code_hash).first()
    if known is None:
        raise StateConflict(_OVER)
    name = username.strip().lower()
    try:
        NAME(name)
    except ValidationError as error:
        raise InvalidRequest(fields={"username": str(error.message)}) from None
    account = new_account(name=name, email=known.email, password=password)
    with transaction.atomic(durable=True):
        found = Invitation.objects.select_for_update(no_key=True).filter(code_hash=code_hash).first()
        if found is None or found.state != Invitation.State.WAITING:
            raise StateConflict(_OVER)
        groups = _still_given(found)
        if User.objects.filter(email__iexact=found.email).exists():
            raise StateConflict(_OVER)
        _save_new(account)
        account.groups.set(groups)
        found.accepted_at, found.account, found.code_hash = timezone.now(), account, None
        found.save(update_fields=["accepted_at", "account", "code_hash"])
        created = audit.Event("operator.created", "operator", str(account.pk), details={"groups": found.groups})
        audit.append(operator_actor(account, Via.ADMIN), created, _event("invitation.accepted", found, ""))
    return account


def _save_new(account: User) -> None:
    """Save an account whose name nobody has, however it is written; raises InvalidRequest."""
    taken = InvalidRequest(fields={"username": said("This name is taken. Choose another one")})
    if User.objects.filter(username__iexact=account.username).exists():
        raise taken
    try:
        with transaction.atomic():
            account.save()
    except IntegrityError:
        raise taken from None


def _still_given(invitation: Invitation) -> list[Group]:
    """Return the groups if who invited may still give them; raises StateConflict otherwise."""
    try:
        groups = list(named_groups(invitation.groups).values())
        if invitation.invited_by is not None:
            giver = operator_actor(invitation.invited_by, Via.ADMIN)
            giver.require(MANAGE)
            for group in groups:
                require_all_of(group, giver)
    except (NotPermitted, StateConflict):
        raise StateConflict(_OVER) from None
    return groups


def _mail(invitation: Invitation, code: str) -> Invited:
    """Send the mail and note that it went; what the mail server says stays in the log, as a kind of error only."""
    try:
        mail_invitation(invitation, code)
    except (OSError, ValueError) as error:
        logger.error("The mail of invitation #%s was not taken: %s", invitation.pk, type(error).__name__)
        return Invited(invitation, mailed=False)
    invitation.mailed_at = timezone.now()
    Invitation.objects.filter(pk=invitation.pk, code_hash=hash_code(code)).update(mailed_at=invitation.mailed_at)
    return Invited(invitation, mailed=True)


def _hold(actor: Actor) -> User | None:
    """Return the account of who acts, held so that a removal comes before or after; None for a shell."""
    if actor.kind != ActorKind.OPERATOR:
        return None
    account = User.objects.select_for_update(no_key=True).filter(pk=int(actor.id)).first()
    require_still_active(actor)
    return account


def _open(invitation_id: int) -> Invitation:
    found = Invitation.objects.select_for_update(no_key=True).filter(pk=invitation_id).first()
    if found is None:
        raise StateConflict(said("There is no such invitation."))
    if found.code_hash is None:
        raise StateConflict(said("This invitation was %(state)s already.", state=found.state))
    return found


def _withdraw(invitation: Invitation) -> None:
    invitation.withdrawn_at, invitation.code_hash = timezone.now(), None
    invitation.save(update_fields=["withdrawn_at", "code_hash"])


def _check_mail_is_set_up() -> None:
    if not settings.SENDS_MAIL or not settings.PUBLIC_URL:
        raise StateConflict(_NO_MAIL)


def _clean_address(email: str) -> str:
    address = email.strip()
    try:
        Invitation._meta.get_field("email").clean(address, None)
    except ValidationError:
        raise InvalidRequest(fields={"email": said("This is no mail address")}) from None
    return address


def _check_is_new(address: str) -> None:
    if User.objects.filter(email__iexact=address).exists():
        raise StateConflict(said("An operator has this address already. Change or restore that account instead."))
    if Invitation.objects.filter(email__iexact=address, code_hash__isnull=False).exists():
        raise StateConflict(_invited_already())


def _invited_already() -> str:
    return said("This address was invited already. Send that invitation again, or withdraw it first.")


def _end() -> datetime:
    return timezone.now() + timedelta(hours=settings.INVITATION_HOURS)


def _event(verb: str, invitation: Invitation, why: str, **details: object) -> audit.Event:
    return audit.Event(verb, "invitation", str(invitation.pk), None, why, dict(details))
