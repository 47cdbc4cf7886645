"""Lock a portal, an application, an installation or a portal user."""

from typing import Any

from installations.actors import Actor
from installations.management.lock_command import LockCommand
from installations.services import lock


class Command(LockCommand):
    help = "Stop all use of a portal, an application, an installation or a portal user."

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        target = self.target(options)
        changed = lock(target=target, actor=actor, reason=options["reason"])
        return f"{target}: {'locked' if changed else 'was locked already'}"
