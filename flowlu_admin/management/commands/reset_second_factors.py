"""Take the second factors of an operator away."""

from typing import Any

from flowlu_admin.management.account_command import AccountCommand
from flowlu_admin.operator_accounts import reset_second_factors
from installations.actors import Actor


class Command(AccountCommand):
    help = "Take every second factor of an operator away and end their sessions. They set up another one."

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        account = self.account(options)
        changed = reset_second_factors(operator_id=account.pk, actor=actor, reason=options["reason"])
        done = "has to set up a second factor anew" if changed else "had no second factor"
        return f"operator {account.get_username()}: {done}"
