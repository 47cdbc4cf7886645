"""Base of the commands that act for an operator: same verbs, same permissions and same audit as the admin."""

from abc import ABC, abstractmethod
from argparse import ArgumentTypeError
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from installations.actors import Actor, Via, operator_actor
from installations.errors import DomainError, InvalidRequest, NotPermitted
from installations.management.output import VisibleCommand
from installations.models import Application, Installation, Portal, PortalUser
from installations.services import public_id
from installations.trail.refusals import note_refused


class OperatorCommand(VisibleCommand, ABC):
    """Take `--operator` and `--reason`, turn a refusal into one line and exit code 1.

    Commands ask for no second factor: a shell on the machine is the trust boundary. The audit row says `command`.
    """

    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--operator", required=True, metavar="NAME", help="who acts; needs the permission")
        parser.add_argument("--reason", required=True, metavar="TEXT", help="1 to 1000 characters, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = operator(options["operator"])
        try:
            summary = self.act(actor, options)
        except NotPermitted as error:
            kind, name, installation_id = _named(options)
            command = type(self).__module__.rpartition(".")[2]
            note_refused(
                actor=actor,
                permission=error.permission,
                attempted=command,
                target=(kind, name),
                installation_id=installation_id,
            )
            raise CommandError(error.public_message) from None
        except DomainError as error:
            raise CommandError(in_words(error)) from None
        self.say(summary)

    @abstractmethod
    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        """Call the verb and return the one summary line."""


def in_words(error: DomainError) -> str:
    """Return a refusal in one line; where it is about fields, each of them says what is wrong."""
    if isinstance(error, InvalidRequest) and error.fields:
        return " ".join(f"{name}: {text}." for name, text in error.fields.items())
    return error.public_message


def operator(name: str) -> Actor:
    """Return the actor of an active operator; raises CommandError when there is none of that name."""
    user = get_user_model().objects.filter(username=name, is_active=True, is_staff=True).first()
    if user is None:
        raise CommandError(f"There is no active operator named {name!r}.")
    return operator_actor(user, Via.COMMAND)


def add_installation_arguments(parser: CommandParser) -> None:
    parser.add_argument("--portal", required=True, metavar="P", help="the portal's domain, like acme.flowlu.com")
    parser.add_argument("--app", required=True, metavar="A", help="the application's appId")


def add_review_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--review-by",
        type=_day,
        metavar="DATE",
        help="an earlier next review than the risk of the scopes gives, as YYYY-MM-DD",
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date like 2026-04-01") from None


def find_portal(domain: str) -> Portal:
    portal = Portal.objects.filter(domain=domain.lower()).first()
    if portal is None:
        raise CommandError(f"No portal {domain!r} was ever seen here.")
    return portal


def find_application(app_id: str) -> Application:
    application = Application.objects.filter(app_id=app_id).first()
    if application is None:
        raise CommandError(f"No application {app_id!r} is registered. Import its manifest first.")
    return application


def find_installation(portal: str, app_id: str) -> Installation:
    """Return the live installation, or the last uninstalled one when none is live."""
    found = Installation.objects.filter(portal=find_portal(portal), application=find_application(app_id))
    installation = found.order_by("-generation").first()
    if installation is None:
        raise CommandError(f"{app_id!r} was never seen on {portal!r}. It appears with the first launch.")
    return installation


def find_portal_user(portal: str, flowlu_user_id: str) -> PortalUser:
    user = PortalUser.objects.filter(portal=find_portal(portal), flowlu_user_id=flowlu_user_id).first()
    if user is None:
        raise CommandError(f"No user {flowlu_user_id!r} of {portal!r} was ever seen here.")
    return user


def _named(options: dict[str, Any]) -> tuple[str, str, int | None]:
    """Return what the options of a refused command name, as the audit trail names it."""
    # A command that takes several of a kind is about none of them by itself.
    portal, app, user = (
        value if isinstance(value, str) else None for value in (options.get(name) for name in ("portal", "app", "user"))
    )
    try:
        if portal and user:
            return "portaluser", public_id(find_portal_user(portal, user)), None
        if portal and app:
            installation = find_installation(portal, app)
            return "installation", str(installation.pk), installation.pk
        if portal:
            return "portal", public_id(find_portal(portal)), None
        if app:
            return "application", public_id(find_application(app)), None
    except CommandError:
        pass
    return "command", "", None


def plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def with_review(scopes: Mapping[str, date]) -> str:
    """Return scopes with the day by which each is to be reviewed next. None of them ends on it."""
    return ", ".join(f"{scope} (review by {day})" for scope, day in scopes.items())
