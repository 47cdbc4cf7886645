"""Store an API key of a portal for backend jobs."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, add_installation_arguments, find_installation
from tokens.management.backend_command import add_last_day, find_purposes, key_from_input
from tokens.services.api_keys import add_api_key


class Command(OperatorCommand):
    help = (
        "Store an API key of the portal, for declared purposes that act as the system. The key is the first line of "
        "standard input, never an argument."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        parser.add_argument("--label", required=True, metavar="L", help="how the portal's administrator will know it")
        parser.add_argument("--scope", required=True, action="append", metavar="S", help="an approved one; repeat it")
        parser.add_argument("--purpose", required=True, action="append", metavar="CODE", help="repeat it for more")
        add_last_day(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        row = add_api_key(
            installation_id=installation.pk,
            label=options["label"],
            key=key_from_input(),
            scope_texts=options["scope"],
            purposes=find_purposes(options["purpose"]),
            expires_at=options["last_day"],
            actor=actor,
            reason=options["reason"],
        )
        return f"{installation}: {row} stored"
