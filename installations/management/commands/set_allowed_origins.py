"""Say from which origins of their own pages may use an application."""

from typing import Any

from django.core.management.base import CommandParser

from installations.actors import Actor
from installations.cross_origin import set_allowed_origins
from installations.management.operator_command import OperatorCommand, find_application


class Command(OperatorCommand):
    help = (
        "Make these the origins whose pages may use an application through the API; the list that was there is "
        "replaced. Without any, only pages of this service itself may."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--app", required=True, metavar="A", help="the application's appId")
        parser.add_argument("origins", nargs="*", metavar="ORIGIN", help="like https://app.example.com, without a path")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        application = find_application(options["app"])
        changed = set_allowed_origins(
            application_id=application.pk, origins=options["origins"], actor=actor, reason=options["reason"]
        )
        application.refresh_from_db(fields=["allowed_origins"])
        allowed = ", ".join(application.allowed_origins) or "no origin but this service's own"
        return f"{application}: " + (f"allows {allowed}" if changed else f"allowed {allowed} already")
