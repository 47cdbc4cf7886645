"""Lock and unlock, for whatever can be locked."""

from collections.abc import Sequence
from typing import ClassVar

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome
from installations.forms import ReasonForm
from installations.models import Application, Installation, Portal, PortalUser
from installations.services import Lockable, lock, unlock

_WHAT: dict[type, tuple[str, str]] = {
    Portal: ("portal", "every installation and every user of this portal"),
    Application: ("application", "every installation of this application, on every portal"),
    Installation: ("installation", "everything of this installation, for all its users"),
    PortalUser: ("user", "everything in this user's name, in every application on their portal"),
}


def lock_stops(target: Lockable) -> list[str]:
    kind, extent = _WHAT[type(target)]
    error = "user_locked" if isinstance(target, PortalUser) else "installation_locked"
    return [
        f"From the moment this is saved, {extent} is refused with {error}: calls, new sessions, hand-overs of tokens.",
        f"It holds until an operator unlocks the {kind}. A reload of the page does not help.",
    ]


class _LockAct(Act):
    permission = "installations.lock_portal"
    locks: ClassVar[bool]

    def applies(self, target: Lockable) -> bool:
        if isinstance(target, Installation) and target.status == Installation.Status.UNINSTALLED:
            return not self.locks and target.locked_at is not None
        return (target.locked_at is None) == self.locks

    def perform(self, target: Lockable, form: ReasonForm, actor: Actor) -> Outcome:
        verb = lock if self.locks else unlock
        changed = verb(target=target, actor=actor, reason=form.cleaned_data["reason"])
        word = "locked" if self.locks else "unlocked"
        return Outcome.of(changed, f"{target} is {word} now.", already=f"{target} was {word} already")


class Lock(_LockAct):
    slug = "lock"
    label = "Lock"
    summary = "Refuse everything at once and keep it as it is."
    tone = "stop"
    stops_heading = "What stops"
    stays_heading = "What does not stop"
    locks = True

    def stops(self, target: Lockable) -> Sequence[str]:
        return lock_stops(target)

    def stays(self, target: Lockable) -> Sequence[str]:
        return (
            SDK_GOES_ON,
            IN_FLIGHT,
            "Nothing is wiped: approvals, tokens and sessions stay, and count again after unlocking. To cut tokens, "
            "revoke them.",
            TOKENS_STAY_VALID,
        )


class Unlock(_LockAct):
    slug = "unlock"
    label = "Unlock"
    summary = "Take the lock away; what is approved and stored counts again."
    locks = False

    def stops(self, target: Lockable) -> Sequence[str]:
        kind, extent = _WHAT[type(target)]
        return (
            f"This lock no longer stands in the way of {extent}.",
            "Approvals, tokens and sessions count again as far as they still hold by themselves.",
        )

    def stays(self, target: Lockable) -> Sequence[str]:
        others = {
            Portal: "locks of applications, installations and users",
            Application: "locks of portals, installations and users",
            Installation: "locks of the portal, the application and users",
            PortalUser: "locks of the portal, applications and installations",
        }
        return (
            f"Other locks stay: {others[type(target)]}.",
            "A suspended installation stays suspended, and what was revoked stays revoked.",
        )
