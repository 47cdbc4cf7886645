"""Who does a thing: an operator, a portal user or the service itself. Verbs take an actor and ask it first.

Pure. The audit trail stores an actor by value, so that a removed account stays named in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from installations.errors import NotPermitted, ReasonHoldsSecret, ReasonRequired
from installations.pasted import looks_like_credential
from installations.said import said

REASON_MAX = 1000


class ActorKind(StrEnum):
    OPERATOR = "operator"
    PORTAL_USER = "portal_user"
    SYSTEM = "system"


class Via(StrEnum):
    """By which door the act came in."""

    ADMIN = "admin"
    COMMAND = "command"
    API = "api"
    SYSTEM = "system"


class OperatorAccount(Protocol):
    """The part of `auth.User` that an actor needs."""

    pk: int
    is_active: bool
    is_staff: bool

    def get_username(self) -> str: ...

    def has_perm(self, perm: str) -> bool: ...


def _nothing(_permission: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Actor:
    kind: ActorKind
    id: str
    name: str
    via: Via
    may: Callable[[str], bool] = field(default=_nothing, repr=False, compare=False)

    def require(self, permission: str) -> None:
        """Return when this actor holds the Django permission; raises NotPermitted otherwise."""
        if not self.may(permission):
            raise NotPermitted(permission=permission, actor=self.id)


def operator_actor(user: OperatorAccount, via: Via) -> Actor:
    """Return the actor for an operator's account. One that is inactive or not staff may do nothing."""

    def may(permission: str) -> bool:
        return user.is_active and user.is_staff and user.has_perm(permission)

    return Actor(ActorKind.OPERATOR, str(user.pk), user.get_username(), via, may)


def portal_user_actor(portal: str, flowlu_user_id: str) -> Actor:
    """Return the actor for a portal user: an id only, so that erasing the user leaves the trail intact."""
    return Actor(ActorKind.PORTAL_USER, f"{portal}/{flowlu_user_id}", "", Via.API)


def command_actor() -> Actor:
    """Return the actor of a command that names no operator: whoever holds a shell on the machine."""
    return Actor(ActorKind.SYSTEM, "shell", "shell", Via.COMMAND, lambda _permission: True)


def system_actor() -> Actor:
    """Return the actor for what the service observes by itself."""
    return Actor(ActorKind.SYSTEM, "service", "service", Via.SYSTEM)


def provider_actor() -> Actor:
    """Return the actor for what the company's provider of accounts says of operators: the deployment answers for it."""
    return Actor(ActorKind.SYSTEM, "openid-provider", "OpenID provider", Via.SYSTEM)


def _joined(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


# Those who act and are nobody's account. An application's policy, which approves, is in the trail as well.
_NOBODYS: Final = (command_actor(), system_actor(), provider_actor())
_RESERVED: Final = frozenset(
    _joined(name)
    for name in (*(each.id for each in _NOBODYS), *(each.name for each in _NOBODYS), ActorKind.SYSTEM, "policy")
)


def is_reserved(name: str) -> bool:
    """Return whether an operator of this name would be taken for none, however its words are written and parted."""
    return _joined(name) in _RESERVED


def clean_reason(reason: str) -> str:
    """Return the reason without surrounding white space.

    Raises ReasonRequired unless it has 1 to 1000 characters, and ReasonHoldsSecret, which is one, for what looks like a
    credential.
    """
    cleaned = reason.strip()
    if not cleaned or len(cleaned) > REASON_MAX or "\x00" in cleaned:
        raise ReasonRequired
    if looks_like_credential(cleaned):
        raise ReasonHoldsSecret
    return cleaned


def secret_faults(**texts: str) -> dict[str, str]:
    """Name the fields whose text looks like a credential: what describes a thing is kept and shown in clear."""
    fault = said("looks like it holds a token, a key or a password. It is shown in clear: describe it in other words")
    return {name: fault for name, text in texts.items() if looks_like_credential(text)}
