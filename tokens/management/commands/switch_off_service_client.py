"""Switch a service client off."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand
from tokens.models import ServiceClient
from tokens.services.service_clients import switch_service_client


class Command(OperatorCommand):
    help = "Refuse every call with the key of a service client, from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        row = ServiceClient.objects.filter(name=options["name"]).first()
        if row is None:
            raise CommandError(f"There is no service client named {options['name']!r}.")
        changed = switch_service_client(client_id=row.pk, on=False, actor=actor, reason=options["reason"])
        return f"service client {row} {'is off now' if changed else 'was off already'}"
