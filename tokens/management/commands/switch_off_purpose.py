"""Switch a purpose off."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand
from tokens.management.backend_command import find_purposes
from tokens.services.purposes import switch_purpose


class Command(OperatorCommand):
    help = "Refuse every call for a purpose, of every client, from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", metavar="CODE")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        [row] = find_purposes([options["code"]])
        changed = switch_purpose(purpose_id=row.pk, on=False, actor=actor, reason=options["reason"])
        return f"purpose {row.code} {'is off now' if changed else 'was off already'}"
