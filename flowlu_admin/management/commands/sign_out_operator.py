"""End the sessions of an operator."""

from typing import Any

from flowlu_admin.management.account_command import AccountCommand
from flowlu_admin.operator_accounts import sign_out_operator
from installations.actors import Actor
from installations.management.operator_command import plural


class Command(AccountCommand):
    help = "End every session of an operator. They may sign in anew."

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        account = self.account(options)
        ended = sign_out_operator(operator_id=account.pk, actor=actor, reason=options["reason"])
        return f"operator {account.get_username()}: {plural(ended, 'session', 'sessions')} ended"
