"""Take the second factors of an operator away."""

from typing import Any

from django.conf import settings

from flowlu_admin.management.account_command import AccountCommand
from flowlu_admin.operator_accounts import reset_second_factors
from installations.actors import Actor


class Command(AccountCommand):
    help = "Take every second factor of an operator away and end their sessions. They can set up another one."

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        account = self.account(options)
        changed = reset_second_factors(operator_id=account.pk, actor=actor, reason=options["reason"])
        needed = settings.OPERATOR_MFA == "required"
        left = "has to set up a second factor anew" if needed else "has no second factor now, and needs none to sign in"
        done = left if changed else "had no second factor"
        return f"operator {account.get_username()}: {done}"
