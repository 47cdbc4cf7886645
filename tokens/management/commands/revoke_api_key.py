"""Revoke one API key."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand
from tokens import backend_reads
from tokens.models import ApiKey
from tokens.services.api_keys import revoke_api_key


class Command(OperatorCommand):
    help = (
        "Wipe a stored API key: no call through here starts with it after that. It stays valid at Flowlu until an "
        "administrator of the portal deletes it there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--key", required=True, type=int, metavar="NUMBER", help="its number, as the console shows it"
        )
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        changed = revoke_api_key(api_key_id=options["key"], actor=actor, reason=options["reason"])
        if not changed:
            return f"API key #{options['key']} was revoked already"
        older = backend_reads.replaced_and_alive(ApiKey(pk=options["key"]))
        alive = "".join(f"; {row}, which it replaced, works on until it is revoked too or expires" for row in older)
        return f"API key #{options['key']} revoked; have it deleted at Flowlu{alive}"
