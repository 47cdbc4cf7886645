"""Lock and unlock, for whatever can be locked."""

from collections.abc import Sequence
from typing import ClassVar

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome
from installations.admin.text import Text
from installations.forms import ReasonForm
from installations.models import Application, Installation, Portal, PortalUser
from installations.services import Lockable, lock, unlock

_WHAT: dict[type, tuple[Text, Text]] = {
    Portal: (_("portal"), _("every installation and every user of this portal")),
    Application: (_("application"), _("every installation of this application, on every portal")),
    Installation: (_("installation"), _("everything of this installation, for all its users")),
    PortalUser: (_("user"), _("everything in this user's name, in every application on their portal")),
}


def lock_stops(target: Lockable) -> list[str]:
    kind, extent = _WHAT[type(target)]
    error = "user_locked" if isinstance(target, PortalUser) else "installation_locked"
    return [
        gettext(
            "From the moment this is saved, %(extent)s is refused with %(error)s: calls, new sessions, hand-overs of "
            "tokens."
        )
        % {"extent": extent, "error": error},
        gettext("It holds until an operator unlocks the %(kind)s. A reload of the page does not help.")
        % {"kind": kind},
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
        if self.locks:
            done, already = (
                gettext("%(target)s is locked now."),
                gettext("Nothing changed: %(target)s was locked already."),
            )
        else:
            done = gettext("%(target)s is unlocked now.")
            already = gettext("Nothing changed: %(target)s was unlocked already.")
        return Outcome.of(changed, done % {"target": target}, already=already % {"target": target})


class Lock(_LockAct):
    slug = "lock"
    label = _("Lock")
    summary = _("Refuse everything at once and keep it as it is.")
    tone = "stop"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")
    locks = True

    def stops(self, target: Lockable) -> Sequence[Text]:
        return lock_stops(target)

    def stays(self, target: Lockable) -> Sequence[Text]:
        return (
            SDK_GOES_ON,
            IN_FLIGHT,
            gettext(
                "Nothing is wiped: approvals, tokens and sessions stay, and count again after unlocking. To cut "
                "tokens, revoke them."
            ),
            TOKENS_STAY_VALID,
        )


class Unlock(_LockAct):
    slug = "unlock"
    label = _("Unlock")
    summary = _("Take the lock away; what is approved and stored counts again.")
    locks = False

    def stops(self, target: Lockable) -> Sequence[Text]:
        kind, extent = _WHAT[type(target)]
        return (
            gettext("This lock no longer stands in the way of %(extent)s.") % {"extent": extent},
            gettext("Approvals, tokens and sessions count again as far as they still hold by themselves."),
        )

    def stays(self, target: Lockable) -> Sequence[Text]:
        others = {
            Portal: gettext("locks of applications, installations and users"),
            Application: gettext("locks of portals, installations and users"),
            Installation: gettext("locks of the portal, the application and users"),
            PortalUser: gettext("locks of the portal, applications and installations"),
        }
        return (
            gettext("Other locks stay: %(others)s.") % {"others": others[type(target)]},
            gettext("A suspended installation stays suspended, and what was revoked stays revoked."),
        )
