"""What `lock` and `unlock` share: which row their options name."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from installations.management.operator_command import (
    OperatorCommand,
    find_application,
    find_installation,
    find_portal,
    find_portal_user,
)
from installations.services import Lockable


class LockCommand(OperatorCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--portal", metavar="P", help="alone: the whole portal")
        parser.add_argument("--app", metavar="A", help="alone: the whole application; with --portal: one installation")
        parser.add_argument("--user", metavar="ID", help="with --portal: one portal user, by Flowlu's user id")
        super().add_arguments(parser)

    def target(self, options: dict[str, Any]) -> Lockable:
        """Return the row that the options name; raises CommandError when they name none or two things."""
        portal, app, user = options["portal"], options["app"], options["user"]
        # Asked for None: an empty option, as from an unset shell variable, must not widen what is locked.
        if user is not None and (app is not None or portal is None):
            raise CommandError("--user goes with --portal, and not with --app: a user is locked on the whole portal.")
        if user is not None:
            return find_portal_user(portal, user)
        if portal is not None and app is not None:
            return find_installation(portal, app)
        if portal is not None:
            return find_portal(portal)
        if app is not None:
            return find_application(app)
        raise CommandError("Name what to act on: --portal P, --app A, both, or --portal P --user ID.")
