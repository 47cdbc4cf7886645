"""Remove the name of a portal user and cut what is stored of theirs."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, find_portal_user, plural
from tokens.services.erasing import erase_portal_user


class Command(OperatorCommand):
    help = (
        "Erase a portal user: the name goes, tokens are revoked, sessions end. The audit trail has the Flowlu id only "
        "and stays. A later visit is recorded anew: lock the user to stop that."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--portal", required=True, metavar="P", help="the portal's domain, like acme.flowlu.com")
        parser.add_argument("--user", required=True, metavar="ID", help="Flowlu's id of the user")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        user = find_portal_user(options["portal"], options["user"])
        result = erase_portal_user(portal_user_id=user.pk, actor=actor, reason=options["reason"])
        if result is None:
            return f"{user}: was erased already"
        tokens, sessions = plural(result.tokens_cut, "token", "tokens"), result.sessions_ended
        return f"{user}: erased, {tokens} revoked, {plural(sessions, 'session', 'sessions')} ended"
