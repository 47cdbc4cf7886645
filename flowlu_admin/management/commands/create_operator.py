"""Create an operator's account."""

from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError, transaction

from flowlu_admin.new_accounts import new_account
from flowlu_admin.roles import ROLES
from installations import audit
from installations.actors import command_actor
from installations.errors import InvalidRequest
from installations.management.operator_command import in_words
from installations.management.output import VisibleCommand
from installations.management.typed import new_password


class Command(VisibleCommand):
    help = "Create an operator. The password is the first line of standard input, or asked for; never an argument."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--email", default="", metavar="E")
        parser.add_argument("--group", choices=sorted(ROLES), metavar="GROUP", help=", ".join(sorted(ROLES)))
        parser.add_argument("--superuser", action="store_true", help="may do everything")

    def handle(self, *args: Any, **options: Any) -> None:
        password = new_password()
        try:
            user = new_account(
                name=options["name"],
                email=options["email"],
                password=password,
                is_superuser=options["superuser"],
            )
        except InvalidRequest as error:
            raise CommandError(in_words(error)) from None
        try:
            with transaction.atomic(durable=True):
                user.save()
                if options["group"]:
                    user.groups.add(Group.objects.get(name=options["group"]))
                audit.append(
                    command_actor(),
                    audit.Event(
                        "operator.created",
                        "operator",
                        str(user.pk),
                        details={"group": options["group"], "superuser": user.is_superuser},
                    ),
                )
        except IntegrityError:
            raise CommandError(f"There is an operator named {options['name']!r} already.") from None
        may = "may do everything" if user.is_superuser else f"in group {options['group']}"
        if not user.is_superuser and not options["group"]:
            may = "in no group yet: may sign in and see nothing"
        self.say(f"operator {user.get_username()} created, {may}")
