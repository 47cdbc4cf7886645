"""State that an installation which is suspected to be removed is still there."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, add_installation_arguments, find_installation
from installations.services import state_present


class Command(OperatorCommand):
    help = (
        "Record the statement that an installation is still there, where its evidence speaks for a removal. The "
        "opposite is uninstall_installation. Nothing it may do changes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        changed = state_present(installation_id=installation.pk, actor=actor, reason=options["reason"])
        return f"{installation}: " + ("stated to be still there" if changed else "was not suspected to be removed")
