"""Suspend one installation."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, add_installation_arguments, find_installation
from installations.services import suspend_installation


class Command(OperatorCommand):
    help = "Suspend an installation: no call starts after it. Tokens and approvals stay."

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        changed = suspend_installation(installation_id=installation.pk, actor=actor, reason=options["reason"])
        return f"{installation}: {'suspended' if changed else 'was suspended already'}"
