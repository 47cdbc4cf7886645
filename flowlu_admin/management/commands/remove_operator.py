"""Remove an operator."""

from typing import Any

from flowlu_admin.management.account_command import AccountCommand
from flowlu_admin.operator_accounts import remove_operator
from installations.actors import Actor
from installations.management.operator_command import plural


class Command(AccountCommand):
    help = "Let an operator do nothing any more: their sessions end, what they asked for is void."

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        account = self.account(options)
        done = remove_operator(operator_id=account.pk, actor=actor, reason=options["reason"])
        if done is None:
            return f"operator {account.get_username()}: was removed already"
        sessions = plural(done.sessions_ended, "session", "sessions")
        requests = plural(done.requests_voided, "request", "requests")
        withdrawn = plural(done.invitations_withdrawn, "invitation", "invitations")
        return (
            f"operator {account.get_username()}: removed, {sessions} ended, {requests} made void, {withdrawn} withdrawn"
        )
