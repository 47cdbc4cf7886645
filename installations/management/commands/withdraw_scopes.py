"""Withdraw approved scopes of one installation."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, add_installation_arguments, find_installation
from installations.services import withdraw_scopes


class Command(OperatorCommand):
    help = (
        "Withdraw approved scopes; it holds from the next call on. A scope that a withdrawn one had swallowed "
        "is withdrawn with it unless it is named with --keep."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_installation_arguments(parser)
        parser.add_argument(
            "scopes", nargs="+", metavar="SCOPE", help="code, or code.level where it has to be this level"
        )
        parser.add_argument("--keep", action="append", default=[], metavar="SCOPE", help="a swallowed scope to keep")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        installation = find_installation(options["portal"], options["app"])
        result = withdraw_scopes(
            installation_id=installation.pk,
            codes=options["scopes"],
            keep=options["keep"],
            actor=actor,
            reason=options["reason"],
        )
        also = (
            f"; with them, as they were swallowed: {', '.join(result.also_withdrawn)}" if result.also_withdrawn else ""
        )
        kept = f"; kept: {', '.join(result.kept)}" if result.kept else ""
        # Only what a withdrawn scope had swallowed can be kept; to lower a level, the lower one is approved.
        idle = sorted(set(options["keep"]) - set(result.kept) - {text.rpartition(".")[0] for text in result.kept})
        nothing = f"; nothing to keep of {', '.join(idle)}: nothing withdrawn swallowed it" if idle else ""
        return f"{installation}: withdrawn {', '.join(result.withdrawn)}{also}{kept}{nothing}"
