"""Keep approved scopes of one installation until their next review."""

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
from installations.reviewing import keep_scopes


class Command(OperatorCommand):
    help = (
        "Keep approved scopes as they are until their next review, by the day that the risk of each gives. Nothing "
        "about what they allow changes."
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
        result = keep_scopes(
            installation_id=installation.pk,
            codes=options["scopes"],
            actor=actor,
            reason=options["reason"],
            review_by=options["review_by"],
        )
        unchanged = f"; decided about today already: {', '.join(result.unchanged)}" if result.unchanged else ""
        return f"{installation}: kept {until(result.kept) or 'nothing anew'}{unchanged}"
