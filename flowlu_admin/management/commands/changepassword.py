"""Set an operator's password. Django's command of this name would end no session that waits, and leave no trace."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from flowlu_admin.models import Operator
from flowlu_admin.sessions import end_other_sessions
from installations import audit
from installations.actors import command_actor
from installations.management.output import Refusal, VisibleCommand
from installations.management.typed import new_password


class Command(VisibleCommand):
    help = "Set an operator's password and end their sessions. It is the first line of standard input, or asked for."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Operator.objects.filter(username=options["name"], is_staff=True)
        operator = found.first()
        if operator is None:
            raise CommandError(f"There is no operator named {options['name']!r}.")
        password = new_password()
        try:
            validate_password(password, operator)
        except ValidationError as error:
            raise Refusal(*error.messages) from None
        with transaction.atomic(durable=True):
            operator = found.select_for_update(no_key=True).get()
            operator.set_password(password)
            operator.save(update_fields=["password"])
            ended = end_other_sessions(operator.pk, None)
            event = audit.Event("operator.password_changed", "operator", str(operator.pk), details={"sessions": ended})
            audit.append(command_actor(), event)
        self.say(f"operator {operator.get_username()}: has a new password")
