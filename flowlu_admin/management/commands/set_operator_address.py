"""Set the mail address of an operator."""

from typing import Any

from django.core.management.base import CommandParser

from flowlu_admin.management.account_command import AccountCommand
from flowlu_admin.operator_accounts import set_operator_address
from installations.actors import Actor


class Command(AccountCommand):
    help = "Set the mail address to which notices and codes for a new password of an operator go. Their sessions end."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--email", required=True, metavar="E")

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        account = self.account(options)
        how = {"operator_id": account.pk, "email": options["email"], "actor": actor, "reason": options["reason"]}
        changed = set_operator_address(**how)
        return f"operator {account.get_username()}: {'is written to there now' if changed else 'had this address'}"
