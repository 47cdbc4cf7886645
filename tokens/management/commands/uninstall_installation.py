"""Mark an installation as uninstalled and revoke everything of it."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import (
    OperatorCommand,
    add_installation_arguments,
    find_installation,
    plural,
)
from tokens.services.revocation import uninstall_installation


class Command(OperatorCommand):
    help = "Record that an installation is gone: revokes all its tokens. A later launch starts with nothing approved."

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        result = uninstall_installation(installation_id=installation.pk, actor=actor, reason=options["reason"])
        if result is None:
            return f"{installation}: was uninstalled already"
        return f"{installation}: uninstalled, {plural(result.tokens_cut, 'token', 'tokens')} revoked"
