"""Invite somebody by mail to be an operator."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from flowlu_admin.invitations import invite_operator
from installations.actors import Actor
from installations.management.operator_command import OperatorCommand


class Command(OperatorCommand):
    help = "Mail somebody a link with which they make their own account, once. The link is printed nowhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="where the link goes")
        parser.add_argument("--group", action="append", default=[], metavar="GROUP", help="once for each group")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        groups = options["group"]
        done = invite_operator(email=options["email"], groups=groups, actor=actor, reason=options["reason"])
        invitation = done.invitation
        if not done.mailed:
            raise CommandError(
                f"{invitation} is kept, and the mail server did not take its mail: see the log. Send it again in the "
                "console."
            )
        named = f"for {', '.join(sorted(groups))}" if groups else "for no group"
        return f"{invitation}: mailed to {invitation.email}, {named}, until {invitation.expires_at:%Y-%m-%d %H:%M} UTC"
