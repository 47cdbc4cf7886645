"""Create a service client. Its key is the only line of standard output."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, find_application, find_portal
from tokens.management.backend_command import find_purposes
from tokens.services.service_clients import Allowed, create_service_client


class Command(OperatorCommand):
    help = (
        "Create a backend service's account, switched on. Its key is the only line of standard output and is never "
        "shown again: lead it into the file where the service reads its secrets."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--purpose", action="append", default=[], metavar="CODE", help="repeat it; none: nothing")
        parser.add_argument(
            "--app", action="append", default=[], metavar="A", help="repeat it; none: in no application"
        )
        parser.add_argument("--portal", action="append", default=[], metavar="P", help="repeat it; none: on no portal")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        allowed = Allowed.of(
            find_purposes(options["purpose"]),
            [find_application(app_id) for app_id in options["app"]],
            [find_portal(domain) for domain in options["portal"]],
        )
        made = create_service_client(name=options["name"], allowed=allowed, actor=actor, reason=options["reason"])
        self.note(f"service client {made.client} created; its key is on standard output, once")
        return made.key
