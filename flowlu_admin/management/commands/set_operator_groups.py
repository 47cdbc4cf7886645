"""Change the groups of an operator."""

from typing import Any

from django.core.management.base import CommandParser

from flowlu_admin.management.account_command import AccountCommand
from flowlu_admin.operator_accounts import set_operator_groups
from installations.actors import Actor


class Command(AccountCommand):
    help = "Make these the groups of an operator; without --group, none."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--group", action="append", default=[], metavar="GROUP", help="once for each group")

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        account = self.account(options)
        groups = options["group"]
        changed = set_operator_groups(operator_id=account.pk, groups=groups, actor=actor, reason=options["reason"])
        named = f"in {', '.join(sorted(groups))}" if groups else "in no group"
        return f"operator {account.get_username()}: {named}{' now' if changed else ' already'}"
