"""Lower approved scopes of one installation from full to read."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import (
    OperatorCommand,
    add_installation_arguments,
    add_review_argument,
    find_installation,
    until,
)
from installations.reviewing import lower_scopes


class Command(OperatorCommand):
    help = (
        "Lower approved scopes from full to read; it holds from the next call on. Needs the right to withdraw, and "
        "works where the manifest does not ask for the scope any more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        parser.add_argument(
            "scopes", nargs="+", metavar="SCOPE", help="code, or code.level where it has to be this level"
        )
        add_review_argument(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        result = lower_scopes(
            installation_id=installation.pk,
            codes=options["scopes"],
            actor=actor,
            reason=options["reason"],
            review_by=options["review_by"],
        )
        unchanged = f"; at read already: {', '.join(result.unchanged)}" if result.unchanged else ""
        return f"{installation}: lowered to read {until(result.lowered) or 'nothing'}{unchanged}"
