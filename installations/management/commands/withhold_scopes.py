"""Approve nothing of what a new manifest asks for more, on one installation."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, add_installation_arguments, find_installation
from installations.services import withhold_scopes


class Command(OperatorCommand):
    help = (
        "Decide to approve nothing of what the manifest asks for since the last decision. What is approved goes on, "
        "and the installation needs no decision any more until another manifest asks for more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        withheld = withhold_scopes(installation_id=installation.pk, actor=actor, reason=options["reason"])
        return f"{installation}: " + ("withheld " + "; ".join(withheld) if withheld else "nothing to decide about")
