"""Restore a removed operator."""

from typing import Any

from flowlu_admin.management.account_command import AccountCommand
from flowlu_admin.operator_accounts import restore_operator
from installations.actors import Actor


class Command(AccountCommand):
    help = "Let a removed operator sign in again, with the groups and the second factor they had."

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        account = self.account(options)
        changed = restore_operator(operator_id=account.pk, actor=actor, reason=options["reason"])
        return f"operator {account.get_username()}: {'may sign in again' if changed else 'was not removed'}"
