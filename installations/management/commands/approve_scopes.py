"""Approve scopes of one installation."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.approval_requests import approve_alone, request_approval
from installations.errors import SecondOperatorNeeded
from installations.management.operator_command import (
    OperatorCommand,
    add_installation_arguments,
    add_review_argument,
    find_installation,
)
from installations.services import approve_scopes


class Command(OperatorCommand):
    help = "Approve scopes that the manifest asks for, as declared or at a lower level."

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        parser.add_argument(
            "--break-glass",
            action="store_true",
            help="approve scopes of high risk without a second operator; reported, and looked at later",
        )
        parser.add_argument("scopes", nargs="+", metavar="SCOPE", help="code.level, like crm.accounts.read")
        add_review_argument(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        wanted: dict[str, Any] = {
            "installation_id": installation.pk,
            "requested": options["scopes"],
            "actor": actor,
            "reason": options["reason"],
            "review_by": options["review_by"],
        }
        try:
            result = approve_alone(**wanted) if options["break_glass"] else approve_scopes(**wanted)
        except SecondOperatorNeeded:
            request = request_approval(**wanted).request
            return (
                f"{installation}: nothing approved yet; {request.requested_by} asked for {', '.join(request.scopes)}, "
                f"and another operator has to confirm request #{request.pk} in the console"
            )
        approved = ", ".join(result.approved) or "nothing new"
        unchanged = f"; already approved: {', '.join(result.unchanged)}" if result.unchanged else ""
        activated = "; the installation is active now" if result.activated else ""
        return f"{installation}: approved {approved}{unchanged}{activated}"
