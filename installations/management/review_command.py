"""Base of the commands that review approved scopes of one installation."""

from abc import abstractmethod
from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import (
    OperatorCommand,
    add_installation_arguments,
    add_review_argument,
    find_installation,
)
from installations.reviewing import ReviewResult


class ReviewCommand(OperatorCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        parser.add_argument(
            "scopes", nargs="+", metavar="SCOPE", help="code, or code.level where it has to be this level"
        )
        add_review_argument(parser)
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        done = self.review(
            installation_id=installation.pk,
            codes=options["scopes"],
            actor=actor,
            reason=options["reason"],
            review_by=options["review_by"],
        )
        return f"{installation}: {done}"

    @abstractmethod
    def review(self, **values: Any) -> str:
        """Call the verb and say what it did."""

    def unchanged(self, result: ReviewResult, why: str) -> str:
        """Name what stays as it was."""
        return f"; {why} already: {', '.join(result.unchanged)}" if result.unchanged else ""
