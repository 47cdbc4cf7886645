"""Unlock a portal, an application, an installation or a portal user."""

from typing import Any

from installations.actors import Actor
from installations.management.lock_command import LockCommand
from installations.services import unlock


class Command(LockCommand):
    help = "Take a lock away."

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        target = self.target(options)
        changed = unlock(target=target, actor=actor, reason=options["reason"])
        return f"{target}: {'unlocked' if changed else 'was not locked'}"
