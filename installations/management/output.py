"""What commands print. Nothing that a stranger named may steer the terminal, hide in a line or make one of its own."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError
from django.db import OperationalError, connection

from installations.deception import one_line


class Refusal(CommandError):
    """A refusal of several lines, each of which is made visible."""

    def __init__(self, *lines: object) -> None:
        super().__init__("\n".join(one_line(line) for line in lines))


class VisibleCommand(BaseCommand):
    """A command whose lines and refusals hold visible characters only, and which refuses where no database answers."""

    def create_parser(self, *args: Any, **options: Any) -> CommandParser:
        """Return the parser; what it does not understand is repeated in visible characters only."""
        parser = super().create_parser(*args, **options)
        refuse = parser.error
        # Django makes the parser of a class of its own: the one method is replaced on what it made.
        parser.error = lambda message: refuse(one_line(message))  # type: ignore[method-assign]  # on purpose, see above
        return parser

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except (Refusal, SystemCheckError):
            raise  # of several lines; what the checks say is ours
        except CommandError as error:
            raise CommandError(one_line(error), returncode=error.returncode) from None
        except OperationalError as error:
            if connection.connection is not None:
                raise  # of a database that was reached: where it happened tells more than what it says
            raise CommandError(f"The database was not reached: {one_line(error)}") from error

    def say(self, line: object) -> None:
        self.stdout.write(one_line(line))

    def note(self, line: object) -> None:
        self.stderr.write(one_line(line))
