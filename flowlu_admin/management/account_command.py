"""Base of the commands about an operator's account."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from flowlu_admin.models import Operator
from installations.management.operator_command import OperatorCommand


class AccountCommand(OperatorCommand):
    """Take the name of the account beside `--operator`, who acts."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="whose account")
        super().add_arguments(parser)

    def account(self, options: dict[str, Any]) -> Operator:
        """Return the account that is named, removed or not; raises CommandError when there is none."""
        found = Operator.objects.filter(username=options["name"], is_staff=True).first()
        if found is None:
            raise CommandError(f"There is no operator named {options['name']!r}.")
        return found
