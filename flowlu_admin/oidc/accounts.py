"""Verbs about operators' accounts at the company's provider: come in with one, link one's own, unlink it.

The provider says who somebody is; whether they may come in is decided here. An account there is known by its issuer and
subject, never by a name or mail address. Locks are taken in the order the account of the operator → its company account
→ audit head.
"""

import logging
from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from flowlu_admin.models import CompanyAccount
from flowlu_admin.new_accounts import new_account_without_password
from flowlu_admin.oidc.id_tokens import Holder
from flowlu_admin.sessions import end_other_sessions
from installations import audit
from installations.actors import Via, operator_actor, provider_actor
from installations.errors import StateConflict

logger = logging.getLogger(__name__)

# In the trail the deployment answers for what its settings give.
_PROVIDER = provider_actor()
_WHY = "The company's provider says so."


class _No(Enum):
    """Why somebody who holds an account at the provider does not come in."""

    UNKNOWN = "unknown"
    REMOVED = "removed"
    NO_GROUP = "no_group"


@dataclass(frozen=True, slots=True)
class _Answer:
    operator: User | None
    no: _No | None = None


def admit_holder(*, holder: Holder) -> User:
    """Return the operator that a company account stands for, with the groups that the provider gives them now.

    The mapped groups that the provider no longer names are taken away, those given here stay. Whoever is left without a
    mapped one does not come in, and their open sessions end. Where the settings allow it, somebody new with a mapped
    group gets an account. Raises StateConflict, with words for who asks, once what was taken is committed.
    """
    try:
        with transaction.atomic(durable=True):
            answer = _admit_locked(holder)
    except IntegrityError:  # of two first sign-ins at once, the second one
        with transaction.atomic(durable=True):
            answer = _admit_locked(holder)
    if answer.operator is None or answer.no is not None:
        raise StateConflict(_words(answer.no or _No.UNKNOWN))
    return answer.operator


def link_company_account(*, operator_id: int, holder: Holder, session_key: str | None) -> int:
    """Let an operator come in with this company account from now on; returns how many other sessions of theirs ended.

    Raises StateConflict where they have one already, somebody else has it, or they were removed.
    """
    try:
        with transaction.atomic(durable=True):
            held = _hold(operator_id)
            if not (held.is_active and held.is_staff):
                raise StateConflict(_words(_No.REMOVED))
            if _linked().filter(issuer=holder.issuer, operator=held).exists():
                raise StateConflict(gettext("You have a company account here. Unlink that one first."))
            CompanyAccount.objects.update_or_create(
                operator=held,
                issuer=holder.issuer,
                subject=holder.subject,
                defaults={"groups": [], "linked_at": timezone.now(), "unlinked_at": None},
            )
            told = {"sessions": end_other_sessions(held.pk, session_key)}
            actor = operator_actor(held, Via.ADMIN)
            audit.append(actor, audit.Event("operator.company_linked", "operator", str(held.pk), details=told))
    except IntegrityError:
        raise StateConflict(gettext("Another operator comes, or came, in with this company account.")) from None
    return told["sessions"]


def unlink_company_account(*, operator_id: int, session_key: str | None) -> bool:
    """Let an operator come in with their password only, without the groups that the provider gave.

    Their other sessions end. Returns whether that changed it.

    Raises StateConflict for somebody without a password, who could not come in any more.
    """
    with transaction.atomic(durable=True):
        held = _hold(operator_id)
        if not held.has_usable_password():
            raise StateConflict(gettext("You have no password here, so that you could not sign in any more."))
        theirs = _linked().filter(operator=held, issuer=settings.OIDC_ISSUER)
        link = theirs.select_for_update(no_key=True).first()
        if link is None:
            return False
        given = list(held.groups.filter(name__in=link.groups).order_by("name"))
        held.groups.remove(*given)
        link.groups, link.unlinked_at = [], timezone.now()
        link.save(update_fields=["groups", "unlinked_at"])
        told = {"sessions": end_other_sessions(held.pk, session_key), "taken": [group.name for group in given]}
        actor = operator_actor(held, Via.ADMIN)
        audit.append(actor, audit.Event("operator.company_unlinked", "operator", str(held.pk), details=told))
    return True


def company_account_of(operator_id: int) -> CompanyAccount | None:
    """Return the account at the provider of the settings. One statement."""
    return _linked().filter(operator_id=operator_id, issuer=settings.OIDC_ISSUER).first()


def _linked() -> QuerySet[CompanyAccount]:
    return CompanyAccount.objects.filter(unlinked_at__isnull=True)


def _admit_locked(holder: Holder) -> _Answer:
    known = CompanyAccount.objects.filter(issuer=holder.issuer, subject=holder.subject).first()
    if known is None:
        return _new_locked(holder)
    operator = _hold(known.operator_id)
    link = CompanyAccount.objects.select_for_update(no_key=True).get(pk=known.pk)  # no row of these ever goes
    if not (operator.is_active and operator.is_staff):
        audit.append(_PROVIDER, _refused(operator, _No.REMOVED, 0))
        return _Answer(operator, _No.REMOVED)
    if link.unlinked_at is not None:
        return _Answer(None, _No.UNKNOWN)
    given = _mapped(holder)
    changed = _bring_groups_locked(operator, link, given)
    if not settings.OIDC_GROUP_MAP or given:
        audit.append(_PROVIDER, *changed)
        return _Answer(operator)
    ended = end_other_sessions(operator.pk, None)
    audit.append(_PROVIDER, *changed, _refused(operator, _No.NO_GROUP, ended))
    return _Answer(operator, _No.NO_GROUP)


def _new_locked(holder: Holder) -> _Answer:
    given = _mapped(holder)
    if not (settings.OIDC_CREATE_OPERATORS and given):
        return _Answer(None, _No.NO_GROUP if settings.OIDC_CREATE_OPERATORS else _No.UNKNOWN)
    operator = new_account_without_password(name=holder.name, email=holder.email)
    if operator is None:
        # Of two first sign-ins at once, the other one's account may be what is in the way.
        made = CompanyAccount.objects.filter(issuer=holder.issuer, subject=holder.subject).exists()
        return _admit_locked(holder) if made else _Answer(None, _No.UNKNOWN)
    operator.save()
    operator.groups.set(given.values())
    CompanyAccount.objects.create(operator=operator, issuer=holder.issuer, subject=holder.subject, groups=sorted(given))
    told = {"groups": sorted(given)}
    audit.append(_PROVIDER, audit.Event("operator.created", "operator", str(operator.pk), None, _WHY, told))
    return _Answer(operator)


def _mapped(holder: Holder) -> dict[str, Group]:
    """Return the groups here that those of the provider give, by name. One that does not exist is left out."""
    named = {name for group in holder.groups for name in settings.OIDC_GROUP_MAP.get(group, ())}
    found = {group.name: group for group in Group.objects.filter(name__in=named)}
    if missing := named - found.keys():
        logger.error("OIDC_GROUP_MAP names groups that do not exist: %s", ", ".join(sorted(missing)))
    return found


def _bring_groups_locked(operator: User, link: CompanyAccount, given: dict[str, Group]) -> list[audit.Event]:
    """Give and take what is the provider's to give and take: what the map names, and what it gave before."""
    theirs = {name for names in settings.OIDC_GROUP_MAP.values() for name in names} | set(link.groups)
    held = {group.name: group for group in operator.groups.all()}
    added = sorted(given.keys() - held.keys())
    taken = sorted((held.keys() & theirs) - given.keys())
    operator.groups.add(*(given[name] for name in added))
    operator.groups.remove(*(held[name] for name in taken))
    if link.groups != sorted(given):
        link.groups = sorted(given)
        link.save(update_fields=["groups"])
    if not (added or taken):
        return []
    told = {"added": added, "taken": taken}
    return [audit.Event("operator.groups_changed", "operator", str(operator.pk), None, _WHY, told)]


def _hold(operator_id: int) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=operator_id)


def _refused(operator: User, no: _No, ended: int) -> audit.Event:
    told = {"why": no.value, "sessions": ended}
    return audit.Event("operator.company_refused", "operator", str(operator.pk), details=told)


def _words(no: _No) -> str:
    return {
        _No.UNKNOWN: gettext(
            "No operator of this console comes in with this company account. If you are one, sign in with your "
            "password and link it under Company account. If not, ask somebody who manages operators to invite you."
        ),
        _No.REMOVED: gettext("This account may not sign in. Ask somebody who manages operators."),
        _No.NO_GROUP: gettext(
            "Your company account is in no group that may use this console. Ask whoever manages those groups in your "
            "company to add you, then sign in again."
        ),
    }[no]
