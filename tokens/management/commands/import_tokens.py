"""Move a plaintext table of tokens and API keys in."""

import sys
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Final

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from installations.actors import Actor, clean_reason
from installations.errors import DomainError, NotPermitted, RateLimited
from installations.management.operator_command import OperatorCommand, in_words, plural
from tokens.management.token_lines import Line, LineRefused, PairLine, lines_of, read
from tokens.services.importing import Imported, Outcome, import_api_key, import_pair

_TRIES: Final = 5
_LONGEST_WAIT: Final = 60  # seconds
# What errors say is for whom they usually meet: somebody's page.
_WORDS: Final = {
    "application_unknown": "this application is not registered here; import its manifest first",
    "flowlu_denied": "Flowlu does not let this user ask who they are",
    "installation_locked": "the portal, the application or both together are locked here",
    "installation_suspended": "the application is suspended on this portal",
    "invalid_token": "Flowlu does not take this access token; refresh it where it was used, or have the user open the "
    "application",
    "portal_not_allowed": "the portal is no plain address like acme.flowlu.com, or one that the application's settings "
    "leave out",
    "token_revoked": "it was revoked here and stays so",
    "user_locked": "this user is locked here",
    "user_mismatch": "Flowlu says that the token is another user's",
}
_AGAIN: Final = frozenset({"flowlu_error", "flowlu_timeout", "flowlu_unavailable", "rate_limited"})


class Command(OperatorCommand):
    help = (
        "Seal the pairs of portals' users and the API keys of portals that a file, or standard input, has as JSON "
        "Lines. Flowlu is asked whose each pair is. Says of each line what became of it, never anything that it holds. "
        "What is here already is left alone: run it again after an interruption, or for the lines that were refused. "
        "Exit code 1 unless every line is here now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="one JSON object on each line; - reads standard input")
        parser.add_argument("--dry-run", action="store_true", help="do everything, ask Flowlu too, and keep nothing")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        # Refused before anything is read.
        actor.require("tokens.import_oauthtoken")
        clean_reason(options["reason"])
        self._how = {"actor": actor, "reason": options["reason"], "dry_run": options["dry_run"]}
        self._counts: Counter[str] = Counter()
        last = 0
        try:
            with _opened(options["file"]) as stream, tqdm(unit=" lines", disable=None, leave=False) as bar:
                for last, raw in lines_of(stream):
                    told = self._become_of(raw)
                    with tqdm.external_write_mode(file=sys.stdout):
                        self.say(f"line {last}: {told}")
                    bar.update()
        except KeyboardInterrupt:
            raise CommandError(
                f"Stopped at line {last}: {self._summary()}. What was stored stays; run it again with the same input."
            ) from None
        if not last:
            raise CommandError("Nothing was read: there is no line in it.")
        if self._counts["refused"]:
            raise CommandError(f"{self._summary()}. Mend those lines and run it again.")
        return self._summary()

    def _become_of(self, raw: bytes) -> str:
        """Return what became of a line, in words, and count it."""
        try:
            imported = self._import(read(raw))
        except NotPermitted:
            raise
        except LineRefused as error:
            self._counts["refused"] += 1
            return f"refused: {error}"
        except DomainError as error:
            self._counts["refused"] += 1
            return f"refused: {_reason(error)}"
        self._counts["stored" if imported.outcome is Outcome.STORED else "here"] += 1
        return _told(imported, dry_run=self._how["dry_run"])

    def _import(self, line: Line) -> Imported:
        """Import a line; where there are too many calls at once, wait as long as is asked for and try again."""
        for _ in range(_TRIES - 1):
            try:
                return self._try(line)
            except RateLimited as error:
                time.sleep(min(error.retry_after or 1, _LONGEST_WAIT))
        return self._try(line)

    def _try(self, line: Line) -> Imported:
        if isinstance(line, PairLine):
            return import_pair(place=line.place, flowlu_user_id=line.user_id, pair=line.pair, **self._how)
        return import_api_key(
            place=line.place,
            label=line.label,
            key=line.key,
            scope_texts=line.scopes,
            purpose_codes=line.purposes,
            expires_at=line.expires_at,
            **self._how,
        )

    def _summary(self) -> str:
        counts = self._counts
        lines = plural(counts.total(), "line", "lines")
        would = "would be " if self._how["dry_run"] else ""
        return f"{lines}: {counts['stored']} {would}stored, {counts['here']} here already, {counts['refused']} refused"


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    """Return the stream to read, which closes with the block unless it is standard input."""
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise CommandError(f"The file cannot be read: {error.strerror}.") from None


def _reason(error: DomainError) -> str:
    words = _WORDS.get(error.code) or in_words(error).rstrip(".")
    return f"{words}; import this line again" if error.code in _AGAIN else words


def _told(imported: Imported, *, dry_run: bool) -> str:
    if imported.outcome is Outcome.HERE:
        return f"here already, {imported.row}"
    if imported.outcome is Outcome.REPLACED:
        return f"here already: a newer pair took its place, {imported.row}"
    told = "would be stored" if dry_run else f"stored, {imported.row}"
    return f"{told}, without its refresh token, which is not kept here" if imported.without_refresh_token else told
