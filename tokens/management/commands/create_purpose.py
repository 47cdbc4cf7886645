"""Declare a purpose."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand
from tokens.management.backend_command import add_last_day
from tokens.models import Purpose
from tokens.services.purposes import declare_purpose


class Command(OperatorCommand):
    help = "Declare for what backend code may act, and with which scopes at most."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", metavar="CODE", help="sent in X-Purpose, like invoice-sync")
        parser.add_argument("--acts-as", required=True, choices=Purpose.ActsAs.values, metavar="user|system")
        parser.add_argument("--scope", required=True, action="append", metavar="S", help="repeat it for more")
        parser.add_argument("--owner", required=True, metavar="WHO", help="who answers for it")
        parser.add_argument("--description", required=True, metavar="TEXT", help="what is done, and why")
        parser.add_argument("--off", action="store_true", help="declare it switched off")
        add_last_day(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        row = declare_purpose(
            code=options["code"],
            description=options["description"],
            scope_texts=options["scope"],
            acts_as=options["acts_as"],
            owner=options["owner"],
            expires_at=options["last_day"],
            enabled=not options["off"],
            actor=actor,
            reason=options["reason"],
        )
        return f"purpose {row.code} declared, switched {'on' if row.enabled else 'off'}"
