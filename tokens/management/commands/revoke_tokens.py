"""Revoke the tokens of one portal user, or all of an installation."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import (
    OperatorCommand,
    add_installation_arguments,
    find_installation,
    find_portal_user,
    plural,
)
from tokens.services.revocation import revoke_tokens


class Command(OperatorCommand):
    help = (
        "Revoke stored tokens: no call through here starts after it. They stay valid at Flowlu until they expire, "
        "and a page reload brings a new one: lock the user to stop that too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        parser.add_argument("--user", metavar="FLOWLU_USER_ID", help="only this user's")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        # An empty --user, as from an unset shell variable, must not mean everybody.
        named = options["user"] is not None
        user = find_portal_user(options["portal"], options["user"]) if named else None
        result = revoke_tokens(installation_id=installation.pk, portal_user=user, actor=actor, reason=options["reason"])
        return f"{installation}: {plural(result.tokens_cut, 'token', 'tokens')} revoked"
