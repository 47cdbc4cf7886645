"""Look up tokens that were found in a leak."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from installations.actors import Actor
from installations.management.operator_command import OperatorCommand, plural
from tokens import leaks
from tokens.leak_search import Hit
from tokens.services.leaks import find_leaked


class Command(OperatorCommand):
    help = (
        "Say which tokens of a file, or of standard input, are known here: whose they are, where, what they may do, "
        "when they were last used. Prints no part of any token; stores and logs nothing of what it reads."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="one token on each line, or a log; - reads standard input")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        actor.require("tokens.find_leaked")
        try:
            lines = leaks.read(_read(options["file"]))
        except leaks.TooMuchAtOnce as error:
            raise CommandError(str(error)) from None
        found = find_leaked(lines=lines, actor=actor, reason=options["reason"])
        for hit in found.hits:
            self.say(_told(hit))
        return (
            f"{plural(found.lines, 'line', 'lines')}: {len(found.live)} live, "
            f"{len(found.hits) - len(found.live)} revoked before, {found.unknown} not known here"
        )


def _read(name: str) -> str:
    try:
        if name == "-":
            raw = sys.stdin.buffer.read(leaks.MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as stream:
                raw = stream.read(leaks.MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"The file cannot be read: {error.strerror}.") from None
    return raw.decode("utf-8", "replace")


def _told(hit: Hit) -> str:
    numbers = ", ".join(str(number) for number in hit.lines[:5]) + (" …" if len(hit.lines) > 5 else "")
    where = f"line {numbers}: {hit.kind}"
    if hit.token is not None:
        where += f", {hit.token} of user {hit.token.portal_user.flowlu_user_id}"
    if hit.api_key is not None:
        where += f", {hit.api_key}"
    where += f", {hit.installation or 'more than one installation'}"
    if hit.revoked_at is not None:
        return f"{where}; revoked already on {hit.revoked_at:%Y-%m-%d %H:%M} UTC"
    used = f"last used {hit.last_used_at:%Y-%m-%d %H:%M} UTC" if hit.last_used_at else "last use not known"
    state = f"{hit.token.state}; " if hit.token is not None else ""
    return f"{where}; {state}may do: {' '.join(hit.scopes) or 'nothing approved'}; {used}"
