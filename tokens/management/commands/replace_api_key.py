"""Store a new API key in the place of one."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand
from tokens.management.backend_command import add_last_day, key_from_input
from tokens.services.api_keys import replace_api_key


class Command(OperatorCommand):
    help = (
        "Store a new API key in the place of one, with its label, scopes and purposes. The key is the first line of "
        "standard input, never an argument."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--key", required=True, type=int, metavar="NUMBER", help="of the one to replace")
        parser.add_argument(
            "--overlap-hours", required=True, type=int, metavar="H", help="how long the old one stays; 0 wipes it now"
        )
        add_last_day(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        row = replace_api_key(
            api_key_id=options["key"],
            key=key_from_input(),
            overlap=timedelta(hours=max(-1, min(options["overlap_hours"], 100_000))),
            expires_at=options["last_day"],
            actor=actor,
            reason=options["reason"],
        )
        return f"{row} takes the place of API key #{options['key']}; have the old one deleted at Flowlu"
